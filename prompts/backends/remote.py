"""Answers from any OpenAI-compatible server: vLLM, TGI, llama.cpp, Ollama, or Inference Providers' router."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from prompts.backends import Sampling, Thinking
from prompts.backends.plan import Batch
from prompts.errors import UserError, WorldError
from prompts.messages import Finish, Prompt, Reply

T = TypeVar("T")
TIMEOUT = 120.0  # seconds without a byte from the server
AT_ONCE = 8  # requests in flight
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before a request is tried again


class RemoteBackend:
    """`key` goes with each request and nowhere else."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        from huggingface_hub import InferenceClient

        self.name, self._model = f"{url}#{model}", model
        self._url = url
        self._client = InferenceClient(base_url=url, api_key=key or "none", timeout=TIMEOUT)

    def render(self, prompt: Prompt, thinking: Thinking = "default") -> None:
        """A server applies its own template and does not show it."""

    def stream(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Iterator[Reply]:
        started = time.perf_counter()
        text, thought, used, finish = "", "", None, "length"
        with server_errors(self._url):
            asking = self._client.chat_completion(**self._arguments(prompt, sampling), stream=True)
            for chunk in interruptible(asking, stop):
                used = getattr(chunk, "usage", None) or used
                for choice in chunk.choices or []:
                    thought += getattr(choice.delta, "reasoning_content", None) or ""
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
                if stop.is_set():
                    yield _reply(text, used, started, "cancelled")
                    return
                yield _reply(_with_thought(thought, text), used, started, "running")
            if stop.is_set():
                yield _reply(_with_thought(thought, text), used, started, "cancelled")
                return
        yield _reply(_with_thought(thought, text.strip()), used, started, "stop" if finish == "stop" else "length")

    def fingerprint(self) -> str:
        return self.name

    def plan(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Batch]:
        """Each prompt by itself: what the server does with them is its own business."""
        return [[at] for at in range(len(prompts))]

    def batch(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event, plan: Sequence[Batch] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        rows = [at for batch in (plan if plan is not None else self.plan(prompts, sampling)) for at in batch]
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            waiting = {pool.submit(self._ask, prompts[at], sampling, stop): at for at in rows}
            for done in interruptible(as_completed(waiting), stop):
                if (reply := done.result()) is not None:
                    yield waiting[done], reply
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is in flight ends for nobody; nothing new is sent

    def _ask(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Reply | None:
        if stop.is_set():
            return None
        started = time.perf_counter()
        with server_errors(self._url):
            answer = self._patiently(lambda: self._client.chat_completion(**self._arguments(prompt, sampling)), stop)
            choice = answer.choices[0]
            text = choice.message.content or ""
        finish: Finish = "stop" if choice.finish_reason == "stop" else "length"
        thought = getattr(choice.message, "reasoning_content", None) or ""
        return _reply(_with_thought(thought, text.strip()), answer.usage, started, finish)

    def _patiently(self, call: Callable[[], Any], stop: threading.Event) -> Any:
        """Tries again after 429 and 5xx, waiting longer each time, unless stopped."""
        from huggingface_hub.errors import HfHubHTTPError

        for pause in PAUSES:
            try:
                return call()
            except HfHubHTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                if (status != 429 and status < 500) or stop.wait(pause):
                    raise
        return call()

    def _arguments(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        switch = {"chat_template_kwargs": {"enable_thinking": sampling.thinking == "on"}}
        return {
            **({} if sampling.thinking == "default" else {"extra_body": switch}),
            "model": self._model,
            "messages": prompt.as_dicts(),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }


def interruptible(items: Iterable[T], stop: threading.Event) -> Iterator[T]:
    """The items as they come from a thread of their own, until `stop` is set: a server that says nothing holds nobody up."""
    found: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def take() -> None:
        try:
            for item in items:
                found.put((True, item))
                if stop.is_set():
                    break
            found.put((False, None))
        except BaseException as error:
            found.put((False, error))

    threading.Thread(target=take, daemon=True).start()
    while not stop.is_set():
        try:
            more, item = found.get(timeout=0.2)
        except queue.Empty:
            continue
        if more:
            yield item
        elif item is None:
            return
        else:
            raise item


def _with_thought(thought: str, text: str) -> str:
    """A server that splits off the thought gives it apart; here it stands before the answer, as local models write it."""
    return f"<think>{thought}</think>{text}" if thought else text


def _reply(text: str, used: Any, started: float, finish: Finish) -> Reply:
    tokens_in = getattr(used, "prompt_tokens", None)
    tokens_out = getattr(used, "completion_tokens", None)
    return Reply(text, tokens_in, tokens_out, time.perf_counter() - started, finish)


@contextmanager
def server_errors(url: str) -> Iterator[None]:
    """Turns what the client raises into sentences that say who refused."""
    from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

    try:
        yield
    except InferenceTimeoutError:
        raise WorldError(
            "the server {url} did not answer within {timeout:.0f} seconds", url=url, timeout=TIMEOUT
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        detail = (error.response.text or "")[:200] if error.response is not None else str(error)[:200]
        if status in (401, 403):
            raise WorldError("the server {url} refused the key (status {status})", url=url, status=status) from None
        if status in (400, 404, 422):
            raise UserError(
                "the server {url} does not accept the request (status {status}): {detail}",
                url=url,
                status=status,
                detail=detail,
            ) from None
        raise WorldError(
            "the server {url} failed (status {status}): {detail}", url=url, status=status, detail=detail
        ) from None
    except (OSError, ValueError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise WorldError(
            "the server {url} cannot be used: {name}: {reason}",
            url=url,
            name=type(error).__name__,
            reason=str(error)[:200],
        ) from None
    except Exception as error:
        if "httpx" not in type(error).__module__:
            raise
        raise WorldError("the server {url} cannot be reached: {reason}", url=url, reason=str(error)[:200]) from None
