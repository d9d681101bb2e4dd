"""Prompts, rows and assertions of other tools, into an experiment. What cannot be imported is listed, line by line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prompts.errors import UserError
from prompts.templates import slots_of
from prompts.words import say

SCORERS = {  # promptfoo's assertion -> scorer, and whether its value is the row's reference (else the scorer's pattern)
    "equals": ("exact_match", True),
    "contains": ("contains", True),
    "icontains": ("contains", True),
    "regex": ("regex", False),
    "is-json": ("json_schema", False),
    "contains-json": ("json_schema", False),
    "llm-rubric": ("judge", False),
    "rouge-n": ("rouge_l", True),
}


@dataclass
class Imported:
    """An experiment in the making: `experiment` is ready for Experiment where variants were found."""

    variants: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    scorer: str = "exact_match"
    pattern: str = ""
    skipped: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "experiment": {
                "variants": self.variants,
                "scorer": self.scorer,
                "pattern": self.pattern,
                "reference": "reference",
            },
            "rows": self.rows,
            "not_imported": self.skipped,
        }


def read(path: Path) -> Imported:
    """promptfoo YAML, OpenAI chat JSONL or OpenAI Evals JSONL. Raises UserError naming the line."""
    if not path.is_file():
        raise UserError("there is no file {path}", path=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("{name} is not UTF-8", name=path.name) from None
    if path.suffix.lower() in (".yaml", ".yml"):
        return promptfoo(_yaml(text, path), path)
    if path.suffix.lower() == ".jsonl":
        return openai_jsonl(text, path)
    raise UserError("{name}: import promptfoo's .yaml, or OpenAI's .jsonl (chat or Evals)", name=path.name)


def _yaml(text: str, path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(
            "{name} is not YAML: {reason}", name=path.name, reason=" ".join(str(error).split())[:200]
        ) from None
    if not isinstance(found, dict):
        raise UserError("{name}: expected prompts, providers and tests", name=path.name)
    return found


def promptfoo(document: dict[str, Any], path: Path) -> Imported:
    """Prompts with their variables, tests with vars, and the common assertions."""
    made = Imported()
    for number, given in enumerate(_listed(document.get("prompts") or []), 1):
        _promptfoo_prompt(given, number, path, made)
    providers = document.get("providers") or document.get("targets") or []
    made.skipped += [
        say("provider {provider}: choose a model in the variant", provider=_name(provider))
        for provider in _listed(providers)
    ]
    defaults = document.get("defaultTest") or {}
    if not isinstance(defaults, dict):
        made.skipped.append(say("defaultTest: it is in another file, which is not read"))
        defaults = {}
    for number, test in enumerate(_listed(document.get("tests") or []), 1):
        if not isinstance(test, dict):
            made.skipped.append(say("test {number}: tests in another file are not read", number=number))
            continue
        _promptfoo_test(test, defaults, number, made)
    known = {"prompts", "providers", "targets", "tests", "defaultTest", "description"}
    made.skipped += [say("{name}: not known here", name=name) for name in document if name not in known]
    return made


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(provider: Any) -> str:
    return str(provider.get("id", provider)) if isinstance(provider, dict) else str(provider)


def _promptfoo_prompt(given: Any, number: int, path: Path, made: Imported) -> None:
    text = given.get("raw") if isinstance(given, dict) else given
    name = (
        str(given.get("label") or say("prompt {number}", number=number))
        if isinstance(given, dict)
        else say("prompt {number}", number=number)
    )
    if not isinstance(text, str):
        made.skipped.append(
            say("prompt {number}: only texts are read, not {given!r}", number=number, given=str(given)[:60])
        )
        return
    if text.startswith("file://"):
        file = (path.parent / text.removeprefix("file://")).resolve()
        if not file.is_relative_to(path.parent.resolve()) or not file.is_file() or file.suffix not in (".txt", ".json"):
            made.skipped.append(
                say(
                    "prompt {number}: {text} is no .txt or .json file beside {name}",
                    number=number,
                    text=text,
                    name=path.name,
                )
            )
            return
        text = file.read_text(encoding="utf-8")
    try:
        slots_of(text)
        made.variants.append(_variant(name, text))
    except UserError as error:
        made.skipped.append(say("prompt {number}: {error}", number=number, error=error.sentence()))


def _variant(name: str, text: str) -> dict[str, Any]:
    """A text, or messages written as JSON, as the technique that builds the same messages."""
    try:
        messages = json.loads(text)
    except json.JSONDecodeError:
        return {"name": name, "technique": "few_shot", "settings": {"task": text, "k": 0}}
    return {"name": name, **as_technique(messages)}


def as_technique(messages: Any) -> dict[str, Any]:
    """Chat messages as a technique's settings. Raises UserError where none builds them."""
    turns = messages if isinstance(messages, list) else []
    if not turns or not all(
        isinstance(m, dict) and all(isinstance(m.get(part), str) for part in ("role", "content")) for m in turns
    ):
        raise UserError("expected messages with role and content, as texts")
    system = "\n\n".join(m["content"] for m in turns if m["role"] in ("system", "developer"))
    rest = [m for m in turns if m["role"] not in ("system", "developer")]
    roles = [m["role"] for m in rest]
    if not rest or roles != ["user", "assistant"] * (len(rest) // 2) + ["user"]:
        raise UserError("the turns must alternate user and assistant, and end with the user's")
    if len(rest) == 1:
        return {"technique": "contextual", "settings": {"role": system, "task": rest[0]["content"]}}
    examples = [{"input": rest[at]["content"], "output": rest[at + 1]["content"]} for at in range(0, len(rest) - 1, 2)]
    if not system:
        raise UserError("examples without a system message have no task; add one")
    return {"technique": "few_shot", "settings": {"task": system, "input": rest[-1]["content"], "examples": examples}}


def _promptfoo_test(test: dict[str, Any], defaults: dict[str, Any], number: int, made: Imported) -> None:
    given = [one.get("vars") or {} for one in (defaults, test)]
    if not all(isinstance(one, dict) for one in given):
        made.skipped.append(say("test {number}: its variables are in another file, which is not read", number=number))
        return
    row = {**given[0], **given[1]}
    if wrong := [name for name, value in row.items() if isinstance(value, list | dict)]:
        made.skipped.append(
            say("test {number}: {wrong} is not a text; lists of values are not expanded", number=number, wrong=wrong[0])
        )
        return
    for given in [*_listed(defaults.get("assert") or []), *_listed(test.get("assert") or [])]:
        assertion = given if isinstance(given, dict) else {"type": json.dumps(given)}
        kind = str(assertion.get("type"))
        if kind not in SCORERS:
            made.skipped.append(
                say("test {number}: the assertion {kind!r} has no scorer here", number=number, kind=kind)
            )
            continue
        scorer, is_reference = SCORERS[kind]
        value = assertion.get("value")
        text = value if isinstance(value, str) else json.dumps(value) if value is not None else ""
        if is_reference:
            row["reference"] = text
        if made.rows and (scorer != made.scorer or (not is_reference and text != made.pattern)):
            made.skipped.append(
                say(
                    "test {number}: {kind!r} differs from the scorer of the tests before ({scorer})",
                    number=number,
                    kind=kind,
                    scorer=made.scorer,
                )
            )
            continue
        made.scorer, made.pattern = scorer, "" if is_reference else text or "{}"
    made.rows.append({name: value if isinstance(value, str) else str(value) for name, value in row.items()})


def openai_jsonl(text: str, path: Path) -> Imported:
    """OpenAI chat JSONL ({"messages": [...]}) or OpenAI Evals samples ({"input": [...], "ideal": ...})."""
    made = Imported()
    for number, item in _lines(text, path):
        if isinstance(item.get("messages"), list):
            _chat_line(item, number, made)
        elif "input" in item and "ideal" in item:
            _evals_line(item, number, made)
        else:
            made.skipped.append(say("line {number}: neither messages nor input and ideal", number=number))
    systems = {row["system"] for row in made.rows}
    settings: dict[str, Any] = {"task": "{{ question }}"} | ({"role": "{{ system }}"} if systems - {""} else {})
    if made.rows:
        made.variants.append({"name": "as it was", "technique": "contextual", "settings": settings})
    return made


def _lines(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                "{name}, line {number}: not valid JSON: {msg}", name=path.name, number=number, msg=error.msg
            ) from None
        if not isinstance(item, dict):
            raise UserError("{name}, line {number}: expected an object", name=path.name, number=number)
        yield number, item


def _chat_line(item: dict[str, Any], number: int, made: Imported) -> None:
    messages = item["messages"]
    last = messages[-1] if messages else {}
    if not isinstance(last, dict) or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
        made.skipped.append(
            say("line {number}: the last message is not the assistant's text, so there is no reference", number=number)
        )
        return
    _question(messages[:-1], last["content"], number, made)
    made.skipped += [
        say("line {number}: {name} is left out", number=number, name=name) for name in item if name != "messages"
    ]


def _evals_line(item: dict[str, Any], number: int, made: Imported) -> None:
    ideal = item["ideal"][0] if isinstance(item["ideal"], list) and item["ideal"] else item["ideal"]
    if isinstance(item["ideal"], list) and len(item["ideal"]) > 1:
        made.skipped.append(
            say("line {number}: of {ideal} ideal answers the first is taken", number=number, ideal=len(item["ideal"]))
        )
    messages = item["input"] if isinstance(item["input"], list) else [{"role": "user", "content": str(item["input"])}]
    _question(messages, str(ideal), number, made)


def _question(messages: list[Any], reference: str, number: int, made: Imported) -> None:
    try:
        found = as_technique(messages)
    except UserError as error:
        made.skipped.append(say("line {number}: {error}", number=number, error=error.sentence()))
        return
    if found["technique"] != "contextual":
        made.skipped.append(say("line {number}: a conversation of several turns is not a row", number=number))
        return
    settings = found["settings"]
    made.rows.append({"system": settings["role"], "question": settings["task"], "reference": reference})
