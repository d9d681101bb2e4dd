"""Gradio's slider, of which Gradio itself fails raw where its number is emptied."""

from typing import Any

import gradio as gr


def slider(low: float, high: float, **more: Any) -> gr.Slider:
    """A slider that tells of no number as None, as Gradio's number field does."""
    found = gr.Slider(low, high, min_width=280, **more)
    read = found.preprocess
    found.preprocess = lambda payload: None if payload is None else read(payload)
    return found
