"""Settings -> forms and endpoints. A field's widget, label, help, default and limits all come from its declaration."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prompts.errors import UserError
from prompts.settings import Settings, bounds, build, choices, in_order, label, look, plain_type, titled
from prompts.ui.calls import like
from prompts.ui.slider import slider
from prompts.ui.visitor import caller
from prompts.words import later, say, spelled

PRIVATE = "private"
STOPPED = later("Stopped.")


@dataclass(frozen=True)
class Form:
    """The widgets of a Settings model, by field."""

    model: type[Settings]
    widgets: dict[str, Any]

    @property
    def inputs(self) -> list[Any]:
        return list(self.widgets.values())

    def read(self, values: Sequence[Any], **more: Any) -> Any:
        """Widget values, in the order of `inputs`, as settings, with fields that have no widget. Raises UserError."""
        fields = self.model.model_fields
        given = {name: _given(value, fields[name]) for name, value in zip(self.widgets, values, strict=True)}
        given = {name: value for name, value in given.items() if value is not _ABSENT} | more
        return build(self.model, given, lambda name: say(label(name, fields[name])) if name in fields else name)

    def show(self, settings: Settings) -> list[Any]:
        """The inverse: what to put into the widgets."""
        return [_shown(getattr(settings, name)) for name in self.widgets]


_ABSENT = object()


def form(model: type[Settings], values: Settings | None = None, *, leave_out: Sequence[str] = ()) -> Form:
    """Lays out the basic fields in a group and the advanced ones in a closed accordion."""
    fields = {name: info for name, info in in_order(model).items() if name not in leave_out}
    widgets: dict[str, Any] = {}
    with gr.Group():
        for together in _lines([name for name, info in fields.items() if not look(info, "advanced")], fields):
            with gr.Row():
                widgets |= {name: widget(name, fields[name], values) for name in together}
    if advanced := [name for name, info in fields.items() if look(info, "advanced")]:
        with gr.Accordion("Advanced", open=False), gr.Row():
            for name in advanced:
                widgets[name] = widget(name, fields[name], values)
    return Form(model, widgets)


def _lines(names: list[str], fields: Mapping[str, FieldInfo]) -> list[list[str]]:
    """Neighbouring numbers stand in pairs, everything else on a line of its own."""
    lines: list[list[str]] = []
    for name in names:
        number = plain_type(fields[name].annotation) in (int, float)
        if number and lines and len(lines[-1]) == 1 and plain_type(fields[lines[-1][0]].annotation) in (int, float):
            lines[-1].append(name)
        else:
            lines.append([name])
    return lines


def widget(name: str, info: FieldInfo, values: Settings | None = None) -> Any:
    """The component that fits a field's type and limits."""
    default = getattr(values, name) if values else (None if info.is_required() else info.default)
    common: dict[str, Any] = {"label": label(name, info), "info": info.description}
    kind, (low, high) = plain_type(info.annotation), bounds(info)
    if look(info, "pick"):
        return gr.Dropdown(
            [default] if default else [], value=default or None, allow_custom_value=True, min_width=280, **common
        )
    if options := choices(kind):
        if len(options) > 3:
            return gr.Dropdown(in_words(options), value=default, min_width=280, **common)
        return gr.Radio(in_words(options), value=default, min_width=280, **common)
    if kind is bool:
        return gr.Checkbox(value=bool(default), min_width=280, **common)
    if kind in (int, float):
        step = look(info, "step") or (1 if kind is int else None)
        if kind is float and low is not None and high is not None and high <= 2 and step and step >= 0.01:
            return slider(low, high, value=default, step=step, **common)
        return gr.Number(value=default, precision=0 if kind is int else None, step=step or 1, min_width=150, **common)
    if get_origin(kind) is tuple:
        return _many(get_args(kind)[0], default, common)
    return gr.Textbox(value=default or "", lines=look(info, "lines") or 1, max_lines=14, min_width=280, **common)


def _many(item: Any, default: Any, common: dict[str, Any]) -> Any:
    if isinstance(item, type) and issubclass(item, BaseModel):
        headers = [info.title or name for name, info in item.model_fields.items()]
        return gr.Dataframe(
            value=_shown(default or ()),
            headers=headers,
            datatype="str",
            type="array",
            interactive=True,
            wrap=True,
            column_count=(len(headers), "fixed"),
            column_widths=[f"{100 // len(headers)}%"] * len(headers),
            max_height=320,
            label=common["label"],
            show_search="none",
            min_width=280,
            elem_classes="rows",
        )
    known = choices(item)
    return gr.Dropdown(
        in_words(known or [str(one) for one in default or ()]),
        value=_shown(default or ()),
        multiselect=True,
        allow_custom_value=not known,
        min_width=280,
        **common,
    )


def _given(value: Any, info: FieldInfo) -> Any:
    """A widget's value as the field takes it."""
    kind = plain_type(info.annotation)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if isinstance(item, type) and issubclass(item, BaseModel):
            rows = [[cell or "" for cell in row] for row in (value or [])]
            return [dict(zip(item.model_fields, row, strict=False)) for row in rows if any(str(c).strip() for c in row)]
        return value or []
    if kind is not info.annotation and (value is None or _is_empty_number(value, info)):
        return None
    if value is None:
        emptied = None if kind in (int, float) else info.default  # a number that is missing is said to be
        return "" if kind is str else _ABSENT if info.is_required() else emptied
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _is_empty_number(value: Any, info: FieldInfo) -> bool:
    """Gradio shows an empty number as 0: of a field that may be empty and has to be above zero, 0 is empty."""
    return value == 0 and any(getattr(limit, "gt", None) == 0 for limit in info.metadata)


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return [list(item.model_dump().values()) if isinstance(item, BaseModel) else str(item) for item in value]
    return value


_SPECIAL = {
    "request": gr.Request | None,
    "oauth_token": gr.OAuthToken | None,
}


def endpoint(
    model: type[Settings] | None,
    run: Callable[..., Any],
    *,
    name: str,
    text: str,
    extra: Mapping[str, tuple[Any, Any, str]] | None = None,
    personal: bool = False,
    costs: bool | None = None,
) -> None:
    """Publishes `run(caller, settings, **extra)` as API endpoint and MCP tool `name`, its parameters from the model.

    `extra`: name -> (type, default, help) of parameters that are no settings. `run` may be a generator. `personal`: it
    works on what belongs to the caller, so the caller has to be known. `costs`: it takes long, so that quotas hold; None: of
    generators.
    """
    costs = inspect.isgeneratorfunction(run) if costs is None else costs
    fields = {} if model is None else model.model_fields
    kinds = {
        field: (_api_type(info.annotation), _api_default(info), info.description or "")
        for field, info in fields.items()
    }
    kinds |= dict(extra or {})
    ordered = sorted(kinds, key=lambda field: kinds[field][1] is not inspect.Parameter.empty)

    def call(values: tuple[Any, ...]) -> Any:
        given = dict(zip([*ordered, *_SPECIAL], values, strict=True))
        who = caller(given.pop("request"), given.pop("oauth_token"))
        if personal and who.shared:
            raise UserError("over MCP a Space cannot tell callers apart; give your token in the header X-HF-Token")
        more = {field: given.pop(field) for field in extra or {}}
        return who.owner, partial(run, who, build(model, given), **more) if model else partial(run, who, **more)

    function = like(run, call, costs=costs)
    function.__name__ = name
    arguments = "\n".join(f"    {field}: {kinds[field][2]}" for field in ordered)
    function.__doc__ = f"{text}\n\nArgs:\n{arguments}" if arguments else text
    annotations = {field: kinds[field][0] for field in ordered} | _SPECIAL
    defaults = {field: kinds[field][1] for field in ordered} | dict.fromkeys(_SPECIAL)
    returned = list[dict[str, Any]] if name.startswith("list_") else dict[str, Any]
    _sign(function, annotations, defaults, returned)
    limit = "default" if costs else None  # what only looks is never behind what works
    gr.api(function, api_name=name, api_description=text, concurrency_limit=limit)


def listen(
    trigger: Callable[..., Any],
    run: Callable[..., Any],
    visitor: Any,
    inputs: Sequence[Any],
    outputs: Any,
    *,
    name: str,
    line: Any = None,
    costs: bool | None = None,
    **more: Any,
) -> Any:
    """Connects a private, named event: `run(caller, *values)` with the values of `inputs`. Returns the event. `line`: the output
    of a long work that says how far it is; what it failed of stays there. `costs`: as of `endpoint`.
    """
    costs = inspect.isgeneratorfunction(run) if costs is None else costs
    values = [f"value_{number}" for number in range(len(inputs))]
    annotations = {**_SPECIAL, "profile": gr.OAuthProfile | None, "secret": Any, **dict.fromkeys(values, Any)}

    def call(given: tuple[Any, ...]) -> Any:
        request, token, profile, secret, *rest = given
        who = caller(request, token, profile, secret or "")
        if who.shared:  # the page has a secret or a session
            raise UserError("this page's calls need the page: use the public endpoints")
        return who.owner, partial(run, who, *rest)

    function = like(run, call, costs=costs, line=line, called=titled)
    function.__name__ = name
    _sign(function, annotations, dict.fromkeys([*_SPECIAL, "profile"]), None)
    return trigger(function, [visitor, *inputs], outputs, api_name=name, api_visibility=PRIVATE, **more)


def stop_button() -> gr.Button:
    return gr.Button("Stop", size="md", scale=0, min_width=90)


def stops(button: Any, events: Any, status: Any, said: str = STOPPED, *, name: str) -> Any:
    """Connects a Stop button: the event or events are cancelled first, and what is `said` comes after the words on their way.
    Returns the last event.
    """

    def stopped() -> str:
        time.sleep(0.5)
        return say(said)

    ended = button.click(None, None, None, cancels=events, api_name=f"ui_cancel_{name}", api_visibility=PRIVATE)
    return ended.then(stopped, None, status, api_name=f"ui_stop_{name}", api_visibility=PRIVATE)


def in_words(values: Sequence[Any]) -> list[tuple[str, Any]]:
    """What may be chosen, as a list reads best: (name, value)."""
    return [(spelled(str(value)) or "–", value) for value in values]


def _sign(function: Any, annotations: Mapping[str, Any], defaults: Mapping[str, Any], returned: Any) -> None:
    """The signature and hints that Gradio reads names, types and defaults from."""
    required = inspect.Parameter.empty
    special = any(name not in defaults for name in annotations)  # defaults may not stand before required values
    parameters = [
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind,
            default=required if special else defaults.get(name, required),
        )
        for name, kind in annotations.items()
    ]  # fmt: skip
    function.__signature__ = inspect.Signature(parameters, return_annotation=returned)
    function.__annotations__ = {**annotations, "return": returned}


def _api_type(annotation: Any) -> Any:
    kind = plain_type(annotation)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return _api_rows(item) if isinstance(item, type) and issubclass(item, BaseModel) else list[str]
    return annotation


def _api_rows(item: type[BaseModel]) -> Any:
    """Models as plain objects; of texts alone where they hold nothing else."""
    texts = all(info.annotation is str for info in item.model_fields.values())
    return list[dict[str, str]] if texts else list[dict[str, Any]]


def _api_default(info: FieldInfo) -> Any:
    if info.is_required():
        return inspect.Parameter.empty
    return list(info.default) if isinstance(info.default, tuple) else info.default
