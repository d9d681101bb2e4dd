"""Instructions whose following can be checked by a program, after Zhou et al. 2023, "Instruction-Following Evaluation for Large
Language Models", arXiv 2311.07911; the instructions are the project's own.
"""

import json
import re
from collections.abc import Callable
from typing import Any


def followed(reply: str, check: dict[str, Any]) -> bool:
    """Does a reply keep every condition of an instruction? Raises KeyError for a condition of no known name."""
    return all(_CHECKS[name](reply.strip(), wanted) for name, wanted in check.items())


def _is_json(reply: str, _: Any) -> bool:
    try:
        return isinstance(json.loads(reply.strip("`").removeprefix("json").strip()), dict)
    except ValueError:
        return False


def _plain(text: str) -> str:
    return text.lower().strip(" .!\"'*")


_CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "contains": lambda reply, text: text in reply,
    "contains_any": lambda reply, texts: any(text in reply.lower() for text in texts),
    "without": lambda reply, texts: bool(reply) and not any(text in reply.lower() for text in texts),
    "starts_any": lambda reply, texts: any(_plain(reply).startswith(text) for text in texts),
    "ends_any": lambda reply, texts: any(_plain(reply).endswith(text) for text in texts),
    "words_at_most": lambda reply, most: 0 < len(reply.split()) <= most,
    "lines_at_least": lambda reply, least: len([line for line in reply.splitlines() if line.strip()]) >= least,
    "sentences_at_least": lambda reply, least: len(re.findall(r"[.!?](?:\s|$)", reply)) >= least,
    "counts": lambda reply, wanted: all(reply.lower().count(word) == count for word, count in wanted.items()),
    "lower": lambda reply, _: bool(reply) and reply == reply.lower(),
    "json": _is_json,
}
