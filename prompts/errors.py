"""The failures we expect. Whoever catches one knows who has to act.

AppError
├── UserError        the person's input: names the field or the line and says what to change (exit code 2)
│   └── NotFound     no such thing, or not this owner's: the two are never told apart
└── WorldError       something outside refused: says who, and what to do (exit code 1)

Anything else is a bug and keeps its traceback.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from prompts.words import again, plain, say


class AppError(Exception):
    """An expected failure with a sentence for a person: `key` and `values` as `say` has them. Who shows it may have it said in
    another language: `sentence`.
    """

    def __init__(self, key: str, /, *, field: str = "", **values: Any) -> None:
        self.key, self.field, self.before = key, field, ""
        self.values = {name: plain(value) for name, value in values.items()}
        super().__init__(self.sentence())

    def sentence(self, called: Callable[[str], str] = str) -> str:
        """What happened, in the language of whoever is listening now, with the field by the name that it is `called`."""
        named = f"{called(self.field)}: " if self.field else ""
        return again(self.before) + named + say(self.key, **self.values)

    def after(self, what: str) -> Self:
        """The same failure, with `what` it is about before its sentence."""
        found = type(self)(self.key, field=self.field, **self.values)
        found.before = what + self.before
        found.args = (found.sentence(),)
        return found


class UserError(AppError):
    """The input has to change; `field` names the setting, column or row where that is known."""


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU or of this machine."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def reason_of(error: BaseException) -> str:
    """A failure in a sentence, to be kept."""
    return error.sentence() if isinstance(error, AppError) else f"{type(error).__name__}: {str(error)[:300]}"


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
