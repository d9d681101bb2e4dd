"""Answers from a script, for unit tests."""

import threading
from collections.abc import Callable, Iterator, Sequence

from prompts.backends import Sampling, Thinking
from prompts.backends.plan import Batch
from prompts.messages import Prompt, Rendered, Reply


class ScriptedBackend:
    """`answer` maps a prompt to its reply; `asked` remembers every prompt."""

    name = "scripted"

    def __init__(self, answer: Callable[[Prompt], str]) -> None:
        self._answer = answer
        self.asked: list[Prompt] = []

    def render(self, prompt: Prompt, thinking: Thinking = "default") -> Rendered:
        text = prompt.plain()
        return Rendered(text, tuple(map(ord, text)))

    def stream(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Iterator[Reply]:
        reply = self._reply(prompt)
        words = reply.text.split(" ")
        for end in range(1, len(words)):
            if stop.is_set():
                yield Reply(" ".join(words[:end]), reply.tokens_in, end, 0.0, "cancelled")
                return
            yield Reply(" ".join(words[:end]), reply.tokens_in, end, 0.0, "running")
        yield reply

    def fingerprint(self) -> str:
        return self.name

    def plan(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Batch]:
        return [[at] for at in range(len(prompts))]

    def batch(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event, plan: Sequence[Batch] | None = None
    ) -> Iterator[tuple[int, Reply] | float]:
        yield 0.0
        for batch in plan if plan is not None else self.plan(prompts, sampling):
            for at in batch:
                if stop.is_set():
                    return
                yield at, self._reply(prompts[at])

    def _reply(self, prompt: Prompt) -> Reply:
        self.asked.append(prompt)
        text = self._answer(prompt)
        return Reply(text, len(prompt.plain().split()), len(text.split()), 0.0, "stop")
