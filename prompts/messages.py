"""The values that everything else passes around: Message, Prompt, Reply."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

CHARACTERS = 4  # of a token, about, where no tokenizer is at hand
Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "cancelled", "running"]


@dataclass(frozen=True)
class Part:
    """A piece of a message and where it came from: a field of the technique ("role", "task", "example 2", "input")."""

    text: str
    source: str


@dataclass(frozen=True)
class Message:
    """One turn. Its parts are joined by a blank line."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def content(self) -> str:
        return "\n\n".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Prompt:
    """The messages of one question, before any model's template is applied."""

    messages: tuple[Message, ...]

    def as_dicts(self) -> list[dict[str, str]]:
        """`[{"role": ..., "content": ...}]`, as chat templates and chat APIs take it."""
        return [{"role": message.role, "content": message.content} for message in self.messages]

    def plain(self) -> str:
        """Text to copy into any chat window."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)

    def answered(self, text: str) -> "Prompt":
        """The same conversation with the assistant's answer as its last turn."""
        return Prompt((*self.messages, message("assistant", (text, "output"))))


@dataclass(frozen=True)
class Reply:
    """What came back. Streams yield replies that grow; only the last one is not "running"."""

    text: str
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    finish: Finish
    scores: Sequence[float] | None = None  # of labels scored by log-probability: one for each label


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` (exclusive) of a rendered prompt came from `source`."""

    start: int
    end: int
    source: str


@dataclass(frozen=True)
class Rendered:
    """The exact string that a model reads, its token ids (shape: n), and what the reader should know about it."""

    text: str
    ids: tuple[int, ...]
    spans: tuple[Span, ...] = ()
    notes: tuple[str, ...] = ()
    window: int | None = None  # the longest conversation the model can hold, in tokens


def message(role: Role, *parts: tuple[str, str]) -> Message:
    """A message from (text, source) pairs; empty texts are left out."""
    return Message(role, tuple(Part(text.strip(), source) for text, source in parts if text.strip()))


def prompt(*messages: Message) -> Prompt:
    """A prompt without the messages that say nothing."""
    return Prompt(tuple(m for m in messages if m.parts))


def from_dicts(messages: Sequence[dict[str, Any]]) -> Prompt:
    """The inverse of `Prompt.as_dicts`; each message is one part, its source the role."""
    return Prompt(tuple(Message(m["role"], (Part(m["content"], m["role"]),)) for m in messages))
