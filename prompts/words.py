"""Sentences for a person, in that person's language, and kept on disk so that the next reader has them in another.

An English sentence is the key of its translation, as gettext has it, with slots as `str.format` has them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from numbers import Number
from string import Formatter
from typing import Any, TypeVar

K = TypeVar("K")
Catalogue = Mapping[str, str]  # English -> another language
_catalogue: Callable[[], Catalogue] = dict
_english = ContextVar("english", default=False)


class Said(str):
    """A sentence that knows its key and values, as long as it is not joined with others but by `+`."""

    key: str
    values: dict[str, Any]

    def __add__(self, more: str) -> str:
        return say("{first}{second}", first=self, second=more) if more else self

    def __radd__(self, before: str) -> str:
        return say("{first}{second}", first=before, second=self) if before else self


def say(key: str, /, **values: Any) -> str:
    """The sentence, a Said, in the language of whoever is listening. `values` fill its slots and may be more than it has; without
    any, braces are just braces.
    """
    text = key if _english.get() else _catalogue().get(key, key)
    used = {name: plain(values[name]) for name in _slots(key)} if values else {}
    said = Said(text.format(**{name: again(value) for name, value in used.items()}) if values else text)
    said.key, said.values = key, used
    return said


@lru_cache(maxsize=4096)
def _slots(key: str) -> tuple[str, ...]:
    return tuple({name for _, name, *_ in Formatter().parse(key) if name})


def plain(value: Any) -> Any:
    """What JSON can keep."""
    return value if isinstance(value, str | Number) else str(value)


def again(value: Any) -> Any:
    """What was said, in the language of whoever is listening now; anything else as it is."""
    return say(value.key, **value.values) if isinstance(value, Said) else value


def says(text: str, key: str) -> bool:
    """Is it that sentence, in whatever language?"""
    return isinstance(text, Said) and text.key == key


def spelled(code: str) -> str:
    """A code as a person reads it: exact_match -> exact match. Forms show choices so, and `say` knows them in other languages."""
    return re.sub("(?<=[a-z])_(?=[a-z])", " ", code)


def later(keys: K) -> K:
    """Marks sentences that are said later, one or a table of them: `say(TITLES[name])`."""
    return keys


def in_the_language_of(catalogue: Callable[[], Catalogue]) -> None:
    """`catalogue` tells the translations for whoever is listening; it is asked for every sentence."""
    global _catalogue
    _catalogue = catalogue


@contextmanager
def in_english() -> Iterator[None]:
    """What is written here is for others, whoever asked for it."""
    told = _english.set(True)
    try:
        yield
    finally:
        _english.reset(told)


def dumps(document: Any, **options: Any) -> str:
    """As `json.dumps`, with the key and the values of each sentence in its place."""
    return json.dumps(_to_keep(document), ensure_ascii=False, **options)


def loads(text: str | bytes) -> Any:
    """As `json.loads`, with every sentence that `dumps` kept in the language of whoever is listening."""
    return json.loads(text, object_hook=_as_kept)


def _to_keep(document: Any) -> Any:
    match document:
        case Said():
            return {"say": document.key, "values": _to_keep(document.values)}
        case dict():
            return {name: _to_keep(value) for name, value in document.items()}
        case list() | tuple():
            return [_to_keep(value) for value in document]
    return document


def _as_kept(found: dict[str, Any]) -> Any:
    return say(found["say"], **found["values"]) if found.keys() == {"say", "values"} else found
