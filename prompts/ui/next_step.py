"""At the end of every page one button that leads to the next."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from prompts.ui.forms import PRIVATE

Pages = Sequence[tuple[str, str]]  # (id, title) of every tab, in order


def next_step(tab: str, order: Pages, pages: Any) -> None:
    """Builds the button inside the current tab; `pages` is the gr.Tabs."""
    at = [name for name, _ in order].index(tab)
    target, title = order[(at + 1) % len(order)]
    said = "Back to the start" if target == "start" else f"Next: {title} →"
    with gr.Row(elem_classes="next"):
        button = gr.Button(
            said, variant="primary" if tab == "start" else "secondary", size="md", scale=0, min_width=260
        )
    # On the page alone: an answer from the server could come after one has gone on to yet another tab.
    chosen = f"() => {{window.scrollTo({{top: 0}}); return {{__type__: 'update', selected: '{target}'}}}}"
    button.click(None, None, pages, js=chosen, api_name=f"ui_next_{tab}", api_visibility=PRIVATE)
