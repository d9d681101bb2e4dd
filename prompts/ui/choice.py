"""What a visitor chooses from a list, told apart from the focus that only passes by."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from prompts.ui.forms import PRIVATE, listen
from prompts.ui.visitor import Caller

# Gradio's lists tell `input` whenever they lose the focus, and `select` not of what the Enter key chose. A choice is what follows
# the Enter key or a press on an option; it counts once.
WATCH = """() => {
    document.addEventListener("keydown", event => {window.chosen = event.key === "Enter"}, true);
    document.addEventListener("mousedown", event => {window.chosen = !!event.target.closest("[role=option]")}, true);
}"""
CHOSEN = """(visitor, value, ...others) => {
    const chosen = window.chosen !== false;
    window.chosen = false;
    return [visitor, chosen ? value : null, ...others];
}"""


def watch_choices(demo: gr.Blocks) -> None:
    """What `choice` needs on the page."""
    demo.load(None, None, None, js=WATCH, api_name="ui_watch_choices", api_visibility=PRIVATE)


def choice(dropdown: gr.Dropdown, run: Callable[..., Any], visitor: Any, inputs: Sequence[Any], outputs: Any, *, name: str,
           **more: Any) -> Any:  # fmt: skip
    """As `listen`: `run(caller, chosen, *values)` when something is chosen in a list of one choice, also what it holds already."""

    def chosen(who: Caller, value: Any, *values: Any) -> Any:
        return gr.skip() if value in (None, "") else run(who, value, *values)

    return listen(dropdown.input, chosen, visitor, [dropdown, *inputs], outputs, name=name, js=CHOSEN, **more)
