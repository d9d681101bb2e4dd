"""A device that is lent for a while (ZeroGPU), as an `on_device` wrapper (prompts/backends/__init__.py).

The platform runs a function in a worker that it forks: arguments and results are pickled, an exception arrives as the name of
its class alone, and a worker that overruns its time is killed. So a call asks for a time that was measured, is cut into parts
that fit one grant, and its failures cross the boundary as values. Nothing here imports the platform: `lend` is its decorator.
"""

import functools
import inspect
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prompts.errors import AppError, NotFound, UserError, WorldError
from prompts.words import Said, say

LONGEST = 60.0  # seconds that one grant may have: what every account is given
SHORTEST = 10.0
SAFE = 1.5  # how much longer than measured a call may take
KEPT = 1000  # functions with a model, whose time is remembered
LOSSES = 3  # grants lost one after the other without anything done, after which a call gives up
Lend = Callable[..., Any]


class LostLease(WorldError):
    """The device was taken away in the middle of a call."""


@dataclass(frozen=True)
class Size:
    """How much a call of a function is: `units` of its arguments, and at which place a list stands that may be cut into parts.

    `asks`: the seconds that a call wants, for one that knows.
    """

    units: Callable[..., float] = lambda *_: 1.0
    parts_at: int | None = None
    asks: Callable[..., float] | None = None


@dataclass(frozen=True)
class _Failed:
    """A failure, as it crosses: `kind` is "NotFound", "UserError", "WorldError" or, for a bug, its traceback."""

    kind: str
    text: str
    field: str = ""
    before: str = ""

    def error(self) -> BaseException:
        known = {"NotFound": NotFound, "UserError": UserError, "WorldError": WorldError}.get(self.kind)
        if known is None or not isinstance(self.text, Said):
            logging.getLogger(__name__).error("%s", self.kind)
            return RuntimeError(self.text)
        return known(self.text.key, field=self.field, **self.text.values).after(self.before)


def _failed(error: BaseException) -> _Failed:
    if not isinstance(error, AppError):
        return _Failed(traceback.format_exc()[-4000:], f"{type(error).__name__}: {error}")
    kind = next(one for one in (NotFound, UserError, WorldError) if isinstance(error, one))
    return _Failed(kind.__name__, say(error.key, **error.values), error.field, error.before)


@dataclass
class _Took:
    """Seconds inside a grant until the first result, and until the end."""

    first: float
    whole: float


def _in_worker(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with everything that it says, its failures and its time as values."""

    def streaming(*args: Any, **more: Any) -> Iterator[Any]:
        began, first = time.monotonic(), None
        try:
            for value in function(*args, **more):
                first = first or (None if value is None else time.monotonic() - began)
                yield value
        except GeneratorExit:
            raise
        except BaseException as error:
            yield _failed(error)
        whole = time.monotonic() - began
        yield _Took(first or whole, whole)

    def plain(*args: Any, **more: Any) -> Any:
        began = time.monotonic()
        try:
            found = function(*args, **more)
        except BaseException as error:
            found = _failed(error)
        whole = time.monotonic() - began
        return found, _Took(whole, whole)

    return functools.wraps(function)(streaming if inspect.isgeneratorfunction(function) else plain)


class Leases:
    """An `on_device` wrapper: `lend(duration=seconds_of)(function)` gives the function inside a grant (spaces.GPU does).

    `sizes`: every function that may be wrapped; the platform wants them declared before the app starts.
    """

    def __init__(self, lend: Lend, sizes: dict[Callable[..., Any], Size], longest: float = LONGEST) -> None:
        self.seconds, self._sizes = longest, sizes
        self._lock = threading.Lock()
        self._known: dict[Any, tuple[float, float]] = {}  # (function, model) -> seconds to begin, seconds a unit
        self._lent = {
            function: lend(duration=functools.partial(self._asked, function))(_in_worker(function))
            for function in sizes
        }

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            def streamed(*args: Any, **more: Any) -> Iterator[Any]:
                if self._sizes[function].parts_at is None:
                    yield from self._streamed(function, args, more)
                else:
                    for part in self._parts(function, args):
                        yield from self._patiently(function, part, more)

            return functools.wraps(function)(streamed)
        return functools.wraps(function)(functools.partial(self._called, function))

    def _called(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        with _said():
            found, took = self._lent[function](*args, **more)
        if isinstance(found, _Failed):
            raise found.error()
        self._learn(function, args, took)
        return found

    def _patiently(self, function: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]) -> Iterator[Any]:
        """A part as a whole, and again where its grant was lost; only what says that the call lives comes at once."""
        for lost in range(LOSSES):
            found = []
            try:
                for value in self._streamed(function, args, more):
                    if isinstance(value, float):
                        yield value
                    else:
                        found.append(value)
            except LostLease:
                if lost + 1 == LOSSES:
                    raise
                continue
            yield from found
            return

    def _streamed(self, function: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]) -> Iterator[Any]:
        with _said():
            for value in self._lent[function](*args, **more):
                if isinstance(value, _Failed):
                    raise value.error()
                if isinstance(value, _Took):
                    self._learn(function, args, value)
                else:
                    yield value

    def _parts(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """The arguments with as much of the list as fits one grant; of what was never measured, one item first."""
        at = self._sizes[function].parts_at
        assert at is not None
        left = list(args[at])
        while left:
            count = 1
            if _key(function, args) in self._known:
                while count < len(left) and self._estimate(function, _with(args, at, left[: count + 1])) < self.seconds:
                    count += 1
            yield _with(args, at, left[:count])
            left = left[count:]

    def _estimate(self, function: Callable[..., Any], args: tuple[Any, ...]) -> float:
        begin, unit = self._known.get(_key(function, args), (self.seconds, 0.0))
        return SAFE * (begin + unit * self._sizes[function].units(*args))

    def _asked(self, function: Callable[..., Any], *args: Any, **more: Any) -> float:
        """Whole seconds that a call asks for."""
        asks = self._sizes[function].asks
        wanted = asks(*args, **more) if asks else self._estimate(function, args)
        return round(min(self.seconds, max(SHORTEST, wanted)))

    def _learn(self, function: Callable[..., Any], args: tuple[Any, ...], took: _Took) -> None:
        """The slowest beginning counts, for a worker may be new again; of the rest the latest."""
        units = max(1.0, self._sizes[function].units(*args))
        with self._lock:
            begin, _ = self._known.get(_key(function, args), (0.0, 0.0))
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[_key(function, args)] = max(begin, took.first), took.whole / units


def _key(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What measurements belong to: the function, and the model, which stands first."""
    return function, args[0] if isinstance(args[0], str) else ""


def _with(args: tuple[Any, ...], at: int, items: list[Any]) -> tuple[Any, ...]:
    return (*args[:at], items, *args[at + 1 :])


class _said:
    """The platform's refusals, which are told apart by their titles, as sentences."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error))
        if not title.startswith("ZeroGPU"):
            return
        if "aborted" in message:
            raise LostLease(say("the GPU was taken away in the middle; try again")) from None
        if "quota" in title or "credits" in title:
            raise WorldError("{message} Go on when there is more.", message=message.strip()) from None
        if "timeout" in title:
            raise WorldError("no GPU was free within a minute; try again") from None
        if "duration" in title:
            raise WorldError(
                "{message}; the Space's owner can lower PROMPT_OR_TUNE_LEASE_SECONDS", message=message.strip()
            ) from None
        if "token" in message:
            raise WorldError("your pass for the GPU has expired: reload the page, then go on") from None
        raise WorldError("the GPU cannot be had: {message}", message=message) from None
