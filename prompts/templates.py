"""Slots -> text. Templates may come from strangers, so they are Jinja2 in its immutable sandbox, and of its grammar only
what ends in bounded time and space is allowed: slots, conditions and a few filters; no loops, calls or arithmetic.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prompts.errors import UserError
from prompts.words import say

LONGEST_TEMPLATE = 100_000
LONGEST_TEXT = 1_000_000
FILTERS = {"upper", "lower", "trim", "title", "capitalize", "default", "d", "tojson", "length", "first", "last", "int"}
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.If, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test, nodes.Concat,
)  # fmt: skip
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


@lru_cache(maxsize=256)
def _compiled(template: str) -> tuple[Callable[[Mapping[str, Any]], str], tuple[str, ...]]:
    if len(template) > LONGEST_TEMPLATE:
        raise UserError(
            "the template has {template:,} characters; at most {longest_template:,} are allowed",
            template=len(template),
            longest_template=LONGEST_TEMPLATE,
        )
    try:
        tree = _environment.parse(template)
    except TemplateSyntaxError as error:
        raise UserError(
            "the template cannot be read, line {lineno}: {message}", lineno=error.lineno, message=error.message
        ) from None
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise UserError(
                "the template uses {name} in line {lineno}; slots, conditions and simple filters are allowed",
                name=type(node).__name__.lower(),
                lineno=node.lineno,
            )
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise UserError(
                "the template uses the filter {name!r}; allowed are {names}",
                name=node.name,
                names=", ".join(sorted(FILTERS)),
            )
    slots = tuple(sorted(meta.find_undeclared_variables(tree)))
    return _of_slots_alone(tree) or _environment.from_string(template).render, slots


def _of_slots_alone(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str] | None:
    """As Jinja renders a template of nothing but text and slots, in a tenth of the time."""
    parts = [part for output in tree.body for part in getattr(output, "nodes", [output])]
    if not all(isinstance(part, nodes.TemplateData | nodes.Name) for part in parts):
        return None
    return lambda row: "".join(
        part.data if isinstance(part, nodes.TemplateData) else str(row[part.name]) for part in parts
    )


@lru_cache(maxsize=4096)
def slot_name(column: str) -> str:
    """The slot that a column fills: "First name" -> "First_name"."""
    name = re.sub(r"\W", "_", column.strip())
    return f"_{name}" if name[:1].isdigit() else name


def template_of(columns: Iterable[str]) -> str:
    """The template that shows these columns: the text alone for one, else each under its name."""
    columns = list(columns)
    unnamed = len(columns) == 1 or set(columns) <= {"instruction", "input", "prompt", "context"}
    label = "" if unnamed else "{}: "
    return "\n\n".join(f"{label.format(_title(c))}{{{{ {slot_name(c)} }}}}" for c in columns)


def _title(column: str) -> str:
    return column[:1].upper() + column[1:].replace("_", " ")


def slots_of(template: str) -> tuple[str, ...]:
    """The names of the slots in a template, sorted. Raises UserError where it cannot be read."""
    return _compiled(template)[1]


def fill(template: str, row: Mapping[str, Any], *, field: str = "") -> str:
    """`"Hello {{ name }}"` and `{"name": "Ana"}` -> `"Hello Ana"`; a None in the row fills as nothing.

    Raises UserError naming the slot that the row does not fill, or the fault in the template.
    """
    try:
        render, slots = _compiled(template)
        row = {slot_name(key): "" if value is None else value for key, value in row.items()} if slots else {}
        if missing := [slot for slot in slots if slot not in row]:
            known = ", ".join(map(str, row)) or say("none: write the text itself, or give rows")
            raise UserError("nothing fills the slot {value!r}; the columns are: {known}", value=missing[0], known=known)
        text = render(row)
    except UserError as error:
        raise UserError(error.key, field=field, **error.values) if field else error from None
    except (UndefinedError, TemplateError, TypeError, ValueError) as error:
        raise UserError("the template cannot be filled: {error}", error=error, field=field) from None
    if len(text) > LONGEST_TEXT:
        raise UserError(
            "the filled template has {text:,} characters; at most {longest_text:,}",
            text=len(text),
            longest_text=LONGEST_TEXT,
            field=field,
        )
    return str(text)
