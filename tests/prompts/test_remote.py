"""Servers: a real llama.cpp, and ones that answer nonsense, stop half-way, refuse or hang."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from prompts.asking import ask
from prompts.backends import Sampling, open_backend, remote
from prompts.errors import UserError, WorldError
from prompts.messages import message, prompt
from prompts.techniques import technique
from prompts.techniques.few_shot import FewShotSettings

QUESTION = prompt(message("user", ("What is the capital of France?", "task")))
BRIEF = Sampling(max_new_tokens=20)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="pip install --no-deps xllamacpp")
    from prompts.models import embedded_installed
    from tests.llama_server import llama_server, write_f16

    if not embedded_installed():
        pytest.skip("the embedded model is not installed")
    file = write_f16(tmp_path_factory.mktemp("gguf") / "smollm2-f16.gguf")
    with llama_server(file) as url:
        yield f"{url}#smollm2"


def test_a_real_server_streams_batches_and_counts(llama: str) -> None:
    from tests.llama_server import KEY

    backend = open_backend(llama, "local", key=KEY)
    pieces = list(backend.stream(QUESTION, BRIEF, threading.Event()))
    assert pieces[-1].text == "The capital of France is Paris." and pieces[-1].finish == "stop" and len(pieces) > 5
    replies = dict(backend.batch([QUESTION] * 3, BRIEF, threading.Event()))
    assert [replies[at].text for at in range(3)] == ["The capital of France is Paris."] * 3
    assert replies[0].tokens_in == 37 and replies[0].tokens_out == 8
    *_, asked = ask(technique("few_shot"), FewShotSettings(task="What is the capital of France?", model=llama),
                    lambda name: open_backend(name, "local", key=KEY))  # fmt: skip
    assert "Paris" in asked.document()["answer"] and asked.document()["rendered"] is None


def test_a_real_server_refuses_a_bad_key(llama: str) -> None:
    with pytest.raises(WorldError, match=r"refused the key \(status 401\)"):
        list(open_backend(llama, "local", key="sk-wrong").stream(QUESTION, BRIEF, threading.Event()))


Answer = Callable[[Any], None]


@pytest.fixture
def server() -> Iterator[Any]:
    """`server(answer)` -> a model's name; `answer(handler)` writes the response."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}/v1#m"

    yield start
    for found in running:
        found.shutdown()


def reply(handler: Any, status: int, body: str, kind: str = "application/json") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())


def answered(text: str, **message_fields: Any) -> str:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message_fields}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return json.dumps(
        {"id": "x", "created": 0, "model": "m", "choices": [choice], "usage": usage, "object": "chat.completion"}
    )


def asked(name: str) -> str:
    ((_, found),) = open_backend(name, "local").batch([QUESTION], BRIEF, threading.Event())
    return found.text


@pytest.mark.parametrize("body", ["<html>", "{}", '{"choices": []}', '{"choices": [{"message": null}]}', ""])
def test_nonsense_is_a_sentence(server: Any, body: str) -> None:
    with pytest.raises(WorldError, match="the server .* cannot be used"):
        asked(server(lambda handler: reply(handler, 200, body)))


def test_a_stream_that_stops_half_way_is_a_sentence(server: Any) -> None:
    def half(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", "9999")
        handler.end_headers()
        handler.wfile.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Par"}}]}\n\n')

    with pytest.raises(WorldError, match="the server"):
        list(open_backend(server(half), "local").stream(QUESTION, BRIEF, threading.Event()))


@pytest.mark.parametrize(("status", "kind"), [(401, WorldError), (404, UserError), (400, UserError)])
def test_refusals_say_who_and_what(server: Any, status: int, kind: type) -> None:
    with pytest.raises(kind, match=f"status {status}"):
        asked(server(lambda handler: reply(handler, status, '{"error": "no"}')))


def test_busy_servers_are_asked_again(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.01, 0.01, 0.01))
    answers = iter([429, 503, 500])

    def busy(handler: Any) -> None:
        status = next(answers, 200)
        reply(handler, status, answered("here") if status == 200 else '{"error": "busy"}')

    assert asked(server(busy)) == "here"
    with pytest.raises(WorldError, match="status 503"):
        asked(server(lambda handler: reply(handler, 503, "{}")))


def test_a_server_that_hangs_is_given_up(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 0.5)
    started = time.perf_counter()
    with pytest.raises(WorldError, match="did not answer within|cannot be reached"):
        asked(server(lambda handler: time.sleep(3)))
    assert time.perf_counter() - started < 10


def test_requests_are_bounded_and_a_stop_stops(server: Any) -> None:
    lock, now, most, seen = threading.Lock(), [0], [0], [0]

    def count(handler: Any) -> None:
        with lock:
            now[0] += 1
            seen[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        reply(handler, 200, answered("x"))
        with lock:
            now[0] -= 1

    stop = threading.Event()
    name = server(count)
    for _ in open_backend(name, "local").batch([QUESTION] * 200, BRIEF, stop):
        stop.set()
    assert 1 < most[0] <= remote.AT_ONCE + 1
    assert seen[0] < 60


def test_thoughts_of_a_server_stand_before_the_answer_and_are_read_apart(server: Any) -> None:
    name = server(lambda handler: reply(handler, 200, answered("Paris", reasoning_content="Hm, France.")))
    assert asked(name) == "<think>Hm, France.</think>Paris"
    found = technique("few_shot").read(FewShotSettings(task="x"), asked(name))
    assert (found.text, found.reasoning) == ("Paris", "Hm, France.")


def test_the_switch_for_thinking_is_sent(server: Any) -> None:
    bodies: list[Any] = []

    def keep(handler: Any) -> None:
        bodies.append(handler.body)
        reply(handler, 200, answered("x"))

    name = server(keep)
    for value in ("default", "on", "off"):
        list(open_backend(name, "local").batch([QUESTION], Sampling(thinking=value), threading.Event()))
    assert [body.get("chat_template_kwargs") for body in bodies] == [
        None, {"enable_thinking": True}, {"enable_thinking": False},
    ]  # fmt: skip


def test_a_key_is_in_no_file_of_the_home(server: Any, home: Path) -> None:
    from prompts.comparison import run
    from prompts.experiment import Experiment
    from prompts.rows import Table
    from prompts.settings import build

    name = server(lambda handler: reply(handler, 200, answered("x")))
    variants = [{"name": "a", "technique": "few_shot", "settings": {"task": "{{ text }}", "model": name}}]
    settings = build(Experiment, {"variants": variants})
    table = Table("t", ("text", "label"), [{"text": "a", "label": "x"}])
    *_, found = run(settings, table, "local", lambda model: open_backend(model, "local", key="sk-planted-secret"))
    assert found["variants"][0]["score"] == 1
    assert not [p for p in home.rglob("*") if p.is_file() and b"sk-planted-secret" in p.read_bytes()]
