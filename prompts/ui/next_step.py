"""The pages in their order, and at the end of each one button that leads to the next."""

from typing import Any

import gradio as gr

from prompts.techniques import TECHNIQUES
from prompts.ui.forms import PRIVATE

# (id, title) of every tab
PAGES = (
    ("start", "Start"),
    *((technique.name, technique.title) for technique in TECHNIQUES),
    ("compare", "Compare"),
    ("fine_tune", "Fine-tune"),
    ("ladder", "Ladder"),
    ("monitor", "Monitor"),
)


def next_step(tab: str, pages: Any) -> None:
    """Builds the button inside the current tab; `pages` is the gr.Tabs."""
    at = [name for name, _ in PAGES].index(tab)
    target, title = PAGES[(at + 1) % len(PAGES)]
    said = "Back to the start" if target == "start" else f"Next: {title} →"
    with gr.Row(elem_classes="next"):
        button = gr.Button(
            said, variant="primary" if tab == "start" else "secondary", size="md", scale=0, min_width=260
        )
    button.click(lambda: gr.Tabs(selected=target), None, pages, api_name=f"ui_next_{tab}", api_visibility=PRIVATE,
                 show_progress="hidden", js="() => {window.scrollTo({top: 0})}")  # fmt: skip
