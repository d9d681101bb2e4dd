"""What strangers send: addresses, bodies, repositories and data sets that mean harm."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from prompts import addresses
from prompts.addresses import guard, public_address
from prompts.backends import Sampling, open_backend
from prompts.backends.remote import interruptible
from prompts.errors import UserError, WorldError
from prompts.loading import load_tokenizer
from prompts.messages import from_dicts
from prompts.ui import bodies
from prompts.ui.bodies import BoundedBodies
from prompts.weights import check_size
from tests.hub_server import Repo
from tuning.data.hub import hub_data, save_dataset


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "::1",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "0.0.0.0",
        "fd00::1",
        "2130706433",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::ffff:10.0.0.1",
        "224.0.0.1",
    ],
)
def test_private_addresses_are_told(host: str) -> None:
    with pytest.raises((UserError, WorldError), match="private address|cannot be found"):
        public_address(host)


class Sends(BaseHTTPRequestHandler):
    """A server that sends everybody on to `to`, or answers where there is nobody to send to."""

    to, asked = "", 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
                  "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
        self.send_response(307 if self.to else 200)
        if self.to:
            self.send_header("location", self.to)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None: ...


def serve(address: str, to: str = "") -> tuple[type[Sends], ThreadingHTTPServer, str]:
    handler = type("Handler", (Sends,), {"to": to, "asked": 0})
    server = ThreadingHTTPServer((address, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return handler, server, f"http://{address}:{server.server_port}/v1"


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guard, for which 127.0.0.1 is a public address and 127.0.0.2 is not."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setenv("SYSTEM", "spaces")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    guard()
    yield
    set_client_factory(default_client_factory)


def ask(url: str) -> str:
    prompt = from_dicts([{"role": "user", "content": "hi"}])
    done = dict(open_backend(f"{url}#m", "ana").batch([prompt], Sampling(max_new_tokens=4), threading.Event()))
    return str(done[0].text)


@pytest.mark.usefixtures("guarded")
def test_a_public_server_cannot_send_the_app_on_to_a_private_one() -> None:
    inside, server, private = serve("127.0.0.2")
    outside, other, public = serve("127.0.0.1", to=f"{private}/chat/completions")
    plain, third, fine = serve("127.0.0.1")
    try:
        assert ask(fine) == "hi" and plain.asked == 1
        with pytest.raises(UserError, match=r"127\.0\.0\.2 is a private address"):
            ask(private)
        with pytest.raises(UserError, match=r"127\.0\.0\.2 is a private address"):
            ask(public)
        assert outside.asked == 1 and inside.asked == 0, "the private server was never reached"
    finally:
        for one in (server, other, third):
            one.shutdown()


def test_a_repository_of_absurd_size_is_asked_about_and_not_fetched(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["ana/huge"] = Repo(False, [("a" * 40, {"config.json": b"{}", "tokenizer.json": b"{}"})])
    hub.claims["ana/huge"] = {f"model-{n:05}.safetensors": 5_000_000_000 for n in range(200)}
    with pytest.raises(UserError, match=r"ana/huge has 1,000 GB of files, and .* take a smaller model"):
        load_tokenizer("ana/huge")
    assert not any("/resolve/" in line for line in hub.requests), "nothing was fetched"
    monkeypatch.setenv("PROMPT_OR_TUNE_MAX_MODEL_GB", "2")
    hub.claims["ana/huge"] = {"model.safetensors": 3_000_000_000}
    with pytest.raises(UserError, match="has 3 GB of files, and at most 2 GB are fetched here"):
        load_tokenizer("ana/huge")


def test_a_data_set_that_names_files_elsewhere_is_not_followed(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.url)
    inside, server, private = serve("127.0.0.1")
    for path in (
        f"{private}/rows.jsonl", "/etc/hostname", f"zip://x::{private}/a.zip", "zip://x::file:///etc/a.zip", "ftp://127.0.0.1/x",
        "../other/rows.jsonl",
    ):  # fmt: skip
        page = f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {path}\n---\n"
        hub.repos["datasets/ana/evil"] = Repo(
            False, [("b" * 40, {"README.md": page.encode(), "rows.jsonl": b'{"a": "b"}\n'})]
        )
        with pytest.raises(UserError, match="outside of its repository"):
            save_dataset("ana", hub_data("ana/evil"))
    assert inside.asked == 0
    server.shutdown()


def through(pieces: list[tuple[float, bytes]], path: str = "/gradio_api/call/few_shot") -> tuple[int, bytes, list[Any]]:
    """(status, body, what the app received) of a POST whose pieces come after so many seconds."""
    received, sent = [], []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            received.append(message)
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    left = list(pieces)

    async def receive() -> Any:
        wait, body = left.pop(0)
        await asyncio.sleep(wait)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(BoundedBodies(app)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], received


def test_bodies_are_bounded_in_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST", 1_000_000)
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    monkeypatch.setattr(bodies, "IDLE", 0.2)
    status, said, received = through([(0, b"a" * 600_000), (0, b"b" * 400_000)])
    assert (status, said) == (200, b"ok") and received[0]["body"] == b"a" * 600_000 + b"b" * 400_000
    status, said, received = through([(0, b"a" * 600_000), (0, b"b" * 400_001)])
    assert status == 413 and b"upload larger data as a file" in said and not received
    status, said, received = through([(0, b"a"), (0.5, b"b")])
    assert status == 408 and b"took longer than" in said and not received
    status, said, received = through([(0, b"a" * 2_000_000), (0.05, b"b")], "/gradio_api/upload")
    assert status == 200 and len(received) == 2, "files have limits of their own"
    _, _, received = through([(0, b"a"), (5, b"b")], "/gradio_api/upload")
    assert received[-1] == {"type": "http.disconnect"}, "who stalls is gone"


def test_a_private_model_that_lies_here_is_opened_to_who_may_see_it(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["ana/secret"] = Repo(True, [("c" * 40, {"config.json": b"{}"})])
    monkeypatch.setenv("SYSTEM", "spaces")
    check_size("ana/secret", "hf_writer")
    for token in (None, "hf_nobody"):
        with pytest.raises((UserError, WorldError)):
            load_tokenizer("ana/secret", token)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WorldError, match="the Hub cannot be reached"):
        load_tokenizer("ana/other")
    assert not any("/resolve/" in line for line in hub.requests), (
        "nobody looks into the cache before the Hub has said yes"
    )


def test_a_server_that_says_nothing_is_left_when_it_is_told_to_stop() -> None:
    stop, silent = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        silent.wait(20)
        yield 2

    began, found = time.monotonic(), []
    threading.Timer(0.3, stop.set).start()
    for item in interruptible(items(), stop):
        found.append(item)
    silent.set()
    assert found == [1] and time.monotonic() - began < 2
