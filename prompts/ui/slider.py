"""Gradio's slider, of which Gradio itself fails raw where its number is emptied."""

from typing import Any

import gradio as gr

from prompts.words import say


def slider(low: float, high: float, *, label: str, **more: Any) -> gr.Slider:
    """A slider that asks for a number where there is none."""
    found = gr.Slider(low, high, label=label, min_width=280, **more)
    read = found.preprocess

    def preprocess(value: float | None) -> float:
        if value is None:
            raise gr.Error(say("{field}: give a number from {low:g} to {high:g}", field=say(label), low=low, high=high))
        return read(value)

    found.preprocess = preprocess
    return found
