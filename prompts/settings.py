"""Settings: the base of everything a person can set.

A setting is written down once, here as a field: type, default, range, unit and help. The form, the command line, the
JSON file, the API parameters and the README tables are derived from it.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from types import UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from prompts.errors import UserError
from prompts.words import later, say

S = TypeVar("S", bound=BaseModel)
P = TypeVar("P", bound="Settings")


class Settings(BaseModel):
    """Frozen; unknown names are refused, so that a misspelt setting is an error and not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def changed(self, **values: Any) -> Self:
        """A copy with some fields replaced, checked again. Raises UserError."""
        return build(type(self), {**self.model_dump(), **values})

    def only(self, model: "type[P]") -> "P":
        """Those of its fields that `model` has, as one. Raises UserError."""
        return build(model, {name: getattr(self, name) for name in model.model_fields})

    def to_json(self) -> dict[str, Any]:
        """Plain values: what JSON and YAML files hold."""
        return self.model_dump(mode="json")


def knob(
    default: Any = ...,
    *,
    title: str,
    help: str,
    unit: str = "",
    advanced: bool = False,
    lines: int = 1,
    step: float | None = None,
    place: int = 50,
    pick: bool = False,
    **limits: Any,
) -> Any:
    """A field. `lines` is the height of its text box, `step` that of its slider, a low `place` puts it high in the form,
    `pick` makes it a choice among names that the page knows (columns, models); `limits` are pydantic's (ge, le ...).
    """
    extra: dict[str, Any] = {
        "unit": unit,
        "advanced": advanced,
        "lines": lines,
        "step": step,
        "place": place,
        "pick": pick,
    }
    return Field(default, title=title, description=help, json_schema_extra=extra, **limits)


def look(info: FieldInfo, key: str) -> Any:
    """What `knob` noted about a field: unit, advanced, lines, step, place or pick."""
    extra = info.json_schema_extra
    return extra.get(key) if isinstance(extra, dict) else None


def label(name: str, info: FieldInfo) -> str:
    """What the page calls a field, with its unit."""
    unit = look(info, "unit")
    return f"{info.title or name}{f' ({unit})' if unit else ''}"


def titled(name: str) -> str:
    """What the page calls a setting where it is known by one name alone; else the name itself, also of a switch: whose message is
    of `data` does not mean whether they are published.
    """
    fields = (model.model_fields[name] for model in _below(Settings) if name in model.model_fields)
    found = {label(name, info) for info in fields if plain_type(info.annotation) is not bool}
    return say(found.pop()) if len(found) == 1 else name


def _below(model: type[Settings]) -> list[type[Settings]]:
    return [model, *(one for under in model.__subclasses__() for one in _below(under))]


def build(model: type[S], values: Mapping[str, Any], called: Callable[[str], str] = str) -> S:
    """`model(**values)`. Raises UserError with one sentence per wrong field, by the name that it is `called`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise user_error(error, called) from None


def user_error(error: ValidationError, called: Callable[[str], str] = str) -> UserError:
    """Pydantic's findings as sentences: `learning_rate: Input should be less than or equal to 1 (got 7)`."""
    found = []
    for item in error.errors(include_url=False):
        name = ".".join((called if not at else str)(str(part)) for at, part in enumerate(item["loc"]))
        if item["type"] == "missing":
            found.append(say("{name}: a value is needed", name=name))
        elif item["type"] == "extra_forbidden":
            found.append(say("{name}: there is no such setting", name=name))
        else:
            given = item["input"]
            shown = (
                say(" (got {given!r})", given=given)
                if isinstance(given, str | int | float) and len(str(given)) < 60
                else ""
            )
            found.append((f"{name}: " if name else "") + _what(item) + (shown if name else ""))
    said = reduce(lambda before, one: before + "; " + one, found)
    return UserError("{said}", said=said)


FAULTS = {  # Pydantic's words for what can be wrong with a value, by its name of the fault
    "greater_than": later("Input should be greater than {gt:g}"),
    "greater_than_equal": later("Input should be greater than or equal to {ge:g}"),
    "less_than": later("Input should be less than {lt:g}"),
    "less_than_equal": later("Input should be less than or equal to {le:g}"),
    "literal_error": later("Input should be {expected}"),
    "int_type": later("Input should be a valid integer"),
    "int_parsing": later("Input should be a valid integer, unable to parse string as an integer"),
    "int_from_float": later("Input should be a valid integer, got a number with a fractional part"),
    "float_type": later("Input should be a valid number"),
    "float_parsing": later("Input should be a valid number, unable to parse string as a number"),
    "finite_number": later("Input should be a finite number"),
    "string_type": later("Input should be a valid string"),
    "bool_type": later("Input should be a valid boolean"),
    "bool_parsing": later("Input should be a valid boolean, unable to interpret input"),
    "list_type": later("Input should be a valid list"),
    "tuple_type": later("Input should be a valid tuple"),
}


def _what(item: ErrorDetails) -> str:
    """A fault in words that can be said in another language."""
    if item["type"] not in FAULTS:
        return say("{message}", message=item["msg"])  # its own braces are no slots
    return say(FAULTS[item["type"]], **item.get("ctx", {}))


def in_order(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by their place in the form, and as declared within one place."""
    return dict(sorted(model.model_fields.items(), key=lambda item: look(item[1], "place") or 50))


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The lowest and the highest allowed value, None where there is no limit."""
    low: float | None = None
    high: float | None = None
    for item in info.metadata:
        low = next((v for v in (getattr(item, "ge", None), getattr(item, "gt", None)) if v is not None), low)
        high = next((v for v in (getattr(item, "le", None), getattr(item, "lt", None)) if v is not None), high)
    return low, high


def choices(annotation: Any) -> list[Any]:
    """The values of a Literal, else an empty list."""
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def plain_type(annotation: Any) -> Any:
    """`X | None` -> X; everything else unchanged."""
    if get_origin(annotation) in (Union, UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def table(model: type[BaseModel]) -> str:
    """The settings of `model` as a Markdown table, for the README."""
    rows = ["| setting | default | range | what it does |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        low, high = bounds(info)
        span = " · ".join(str(c) for c in choices(info.annotation))
        if low is not None or high is not None:
            span = f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}"
        unit = look(info, "unit")
        default = "(required)" if info.is_required() else f"`{_shown(info.default)}`"
        rows.append(f"| `{name}` | {default} | {span}{f' {unit}' if unit else ''} | {info.description} |")
    return "\n".join(rows)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value != "" else "none"
