"""An emulator of ZeroGPU: the real package `spaces` against a device API on loopback, with the CPU in the GPU's place.

What is real: workers are forked and allowed by the API, arguments and results are pickled, a worker that overruns its grant is
killed, a visitor's quota is charged by the second and refuses what is more than is left. Run as a script it serves the app.
"""

import base64
import json
import os
import runpy
import secrets
import signal
import socket
import sys
import threading
import time
import types
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FACTOR = 1.5  # what the package multiplies durations with before it asks


def visitor(name: str) -> dict[str, str]:
    """The headers of a visitor, as the Hub's proxy adds them."""
    payload = base64.urlsafe_b64encode(json.dumps({"user": name}).encode()).decode().rstrip("=")
    return {"X-IP-Token": f"a.{payload}.c"}


@dataclass
class Grant:
    user: str
    seconds: float
    index: int
    task: str
    began: float = field(default_factory=time.monotonic)
    timer: threading.Timer | None = None


class Device:
    """`with Device() as device:` serves the API at `device.url`; `most`: seconds of one grant, `quota`: of one visitor."""

    def __init__(self, *, most: float = 120, quota: float = 300) -> None:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.routing import Route

        self.most, self.left = most, defaultdict[str, float](lambda: quota)
        self.running: dict[str, Grant] = {}
        self.granted: list[Grant] = []
        self.workers: dict[int, tuple[str, int]] = {}  # GPU -> its task, and the process that was allowed to use it
        routes = [Route(f"/{name.replace('_', '-')}", getattr(self, name), methods=["POST"])
                  for name in ("startup_report", "schedule", "allow", "release")]  # fmt: skip
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._socket = listener
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)

    def __enter__(self) -> "Device":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def environment(self, folder: Path) -> dict[str, str]:
        """What a Space on ZeroGPU has in its environment."""
        cgroup = folder / "cgroup"
        cgroup.write_text("0::/space\n")
        return {
            "SYSTEM": "spaces", "SPACE_ID": "ana/app", "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": self.url,
            "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup), "GRADIO_SSR_MODE": "false", "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def take_away(self) -> None:
        """Kills the worker that has a grant now."""
        for grant in list(self.running.values()):
            self._kill(grant.index)

    def _kill(self, index: int) -> None:
        with suppress(ProcessLookupError, KeyError):
            os.kill(self.workers.pop(index)[1], signal.SIGKILL)

    async def startup_report(self, _request: Any) -> Any:
        return _answer({})

    async def schedule(self, request: Any) -> Any:
        asked = request.query_params
        seconds, token = float(asked["durationSeconds"]), asked.get("token")
        user = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["user"] if token else ""
        if seconds > self.most * FACTOR:
            return _answer({"left": 0, "wait": -1}, 429)
        if seconds > self.left[user]:
            return _answer({"left": int(self.left[user]), "wait": 3600}, 429)
        busy = {grant.index for grant in self.running.values()}
        index = next(number for number in range(100) if number not in busy)
        idle = self.workers.get(index, ("", 0))[0] == asked["taskId"]
        if not idle:
            self._kill(index)
        name = secrets.token_hex(8)
        grant = Grant(user, seconds / FACTOR, index, asked["taskId"])
        self.running[name] = grant
        self.granted.append(grant)
        grant.timer = threading.Timer(grant.seconds, self._kill, [index])
        grant.timer.daemon = True
        grant.timer.start()
        return _answer({"idle": idle, "nvidiaIndex": index, "nvidiaUUID": f"GPU-{index}", "allowToken": name})

    async def allow(self, request: Any) -> Any:
        grant = self.running[request.query_params["allowToken"]]
        self.workers[grant.index] = (grant.task, int(request.query_params["pid"]))
        return _answer({})

    async def release(self, request: Any) -> Any:
        grant = self.running.pop(request.query_params["allowToken"], None)
        if grant is None:
            return _answer({}, 404)
        if grant.timer:
            grant.timer.cancel()
        self.left[grant.user] -= time.monotonic() - grant.began
        return _answer({})


def _answer(document: dict[str, Any], status: int = 200) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse(document, status)


def serve() -> None:
    """app.py with the platform's package, whose CUDA part is replaced: the device is the CPU."""
    cuda: Any = types.ModuleType("spaces.zero.torch")
    for name in ("patch", "unpatch", "move", "enter_mode", "is_in_bad_fork"):
        setattr(cuda, name, lambda *_, **__: None)
    cuda.pack = cuda.size = lambda *_, **__: 0
    cuda.init = lambda _gpu: __import__("torch").set_num_threads(1)  # more of them hang after a fork
    sys.modules[cuda.__name__] = cuda
    runpy.run_path("app.py", run_name="__main__")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    serve()
