"""Rows on their way in: how many were read, and a Stop, seen as long as that lasts."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from prompts.errors import AppError
from prompts.following import Progress, told_meanwhile
from prompts.ui.forms import stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.words import say

Shown = dict[Any, Any]  # what is shown where


class Intake:
    """Made where it shall be seen; `parts` are outputs of the events that it follows."""

    def __init__(self) -> None:
        with gr.Row(visible=False, elem_classes="centred") as self.row:
            self.line = gr.Markdown("", elem_classes="quiet")
            self.stop = stop_button()
        self.parts = [self.row, self.line, self.stop]

    def shown(self, work: Callable[[Progress], Shown]) -> Iterator[Shown]:
        """What `work(tell)` returns, and before it, where it takes longer, how far it is."""
        progress, of = TimeLeft(), 0
        try:
            for told in told_meanwhile(work):
                if "found" in told:
                    yield {**told["found"], self.row: gr.Row(visible=False)}
                    return
                if told["of"] != of:  # another step
                    progress, of = TimeLeft(), told["of"]
                line = say("Reading rows: {line}", line=progress.line(told))
                yield {self.row: gr.Row(visible=True), self.line: line, self.stop: gr.Button(visible=True)}
        except AppError:
            yield {self.row: gr.Row(visible=False)}
            raise

    def stops(self, events: list[Any], name: str) -> None:
        """Connects the Stop of these events."""
        stopped = stops(self.stop, events, self.line, name=f"{name}_reading")
        stopped.then(
            lambda: gr.Button(visible=False), None, self.stop, api_name=f"ui_stopped_{name}", api_visibility="private"
        )
