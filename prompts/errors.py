"""The failures we expect. Whoever catches one knows who has to act.

AppError
├── UserError        the person's input: names the field or the line and says what to change (exit code 2)
│   └── NotFound     no such thing, or not this owner's: the two are never told apart
└── WorldError       something outside refused: says who, and what to do (exit code 1)

Anything else is a bug and keeps its traceback.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from typing import Any, Self


class AppError(Exception):
    """An expected failure with a sentence for a person.

    `key` is the sentence in English, with slots as `str.format` has them for `values`, if there are any. Who shows it to a person
    may have it in another language: `said`.
    """

    def __init__(self, key: str, /, *, field: str = "", **values: Any) -> None:
        self.key, self.field, self.before = key, field, ""
        self.values = {name: value if isinstance(value, str | Number) else str(value) for name, value in values.items()}
        super().__init__(self.said())

    def said(self, translations: Mapping[str, str] | None = None) -> str:
        """The sentence, by `translations` of keys; English where there is none."""
        sentence = (translations or {}).get(self.key, self.key)
        text = sentence.format(**self.values) if self.values else sentence
        return f"{self.before}{self.field}: {text}" if self.field else f"{self.before}{text}"

    def after(self, what: str) -> Self:
        """The same failure, with `what` it is about before its sentence."""
        found = type(self)(self.key, field=self.field, **self.values)
        found.before = f"{what}{self.before}"
        found.args = (found.said(),)
        return found


class UserError(AppError):
    """The input has to change; `field` names the setting, column or row where that is known."""


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU or of this machine."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


@contextmanager
def about(what: str) -> Iterator[None]:
    """Puts `what` it is about before the sentence of a UserError."""
    try:
        yield
    except UserError as error:
        raise error.after(what) from None


class NotFound(UserError):
    """No such run, prompt or file for this owner."""


class WorldError(AppError):
    """The Hub, a server, the disk or the machine refused."""
