"""The failures we expect. Whoever catches one knows who has to act.

AppError
├── UserError        the person's input: names the field or the line and says what to change (exit code 2)
│   └── NotFound     no such thing, or not this owner's: the two are never told apart
└── WorldError       something outside refused: says who, and what to do (exit code 1)

Anything else is a bug and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class AppError(Exception):
    """An expected failure with a sentence for a person."""


class UserError(AppError):
    """The input has to change; `field` names the setting, column or row where that is known."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


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
        raise UserError(f"{what}{error}") from None


class NotFound(UserError):
    """No such run, prompt or file for this owner."""


class WorldError(AppError):
    """The Hub, a server, the disk or the machine refused."""
