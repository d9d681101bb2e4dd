"""The app as a process of its own, as a user starts it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(home: Path, script: str = "app.py", **environment: str) -> Iterator[str]:
    """`python app.py` on a free port; yields its URL and prints its log if it does not come up."""
    port = free_port()
    log = home / "app.log"
    given = {
        "OMP_NUM_THREADS": "2",
        **os.environ,
        "PROMPT_OR_TUNE_HOME": str(home),
        "GRADIO_SERVER_PORT": str(port),
        **environment,
    }
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, script], cwd=ROOT, env=given, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(2400):
            if answers(url):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            raise AssertionError(f"it did not come up: {log.read_text()}")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def nothing_left_at_work(home: Path) -> Iterator[None]:
    """Also after a failure: a training outlives the app that began it."""
    try:
        yield
    finally:
        for run in home.glob("owners/*/runs/*"):
            (run / "cancel").touch()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/config", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False
