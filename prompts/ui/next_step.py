"""What to do next: one button at the end of every tab."""

from typing import Any

import gradio as gr

from prompts.ui.forms import PRIVATE

# tab -> (where its button leads, what it says)
STEPS = {
    "start": ("iterative_refinement", "Next: ask the model"),
    "iterative_refinement": ("contextual", "Next: give it context"),
    "contextual": ("chain_of_thought", "Next: let it reason"),
    "chain_of_thought": ("few_shot", "Next: show it examples"),
    "few_shot": ("compare", "Next: compare the prompts"),
    "compare": ("fine_tune", "Next: fine-tune a small model"),
    "fine_tune": ("ladder", "Next: is the fine-tune worth it?"),
    "ladder": ("monitor", "Next: keep watch over it"),
    "monitor": ("start", "Back to the start"),
}


def next_step(tab: str, pages: Any) -> None:
    """Builds the button inside the current tab; `pages` is the gr.Tabs."""
    target, said = STEPS[tab]
    with gr.Row(elem_classes="next"):
        button = gr.Button(
            f"{said} →", variant="primary" if tab == "start" else "secondary", size="md", scale=0, min_width=260
        )
    button.click(lambda: gr.Tabs(selected=target), None, pages, api_name=f"ui_next_{tab}", api_visibility=PRIVATE,
                 show_progress="hidden", js="() => {window.scrollTo({top: 0})}")  # fmt: skip
