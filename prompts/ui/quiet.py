"""Events that show no progress keep none.

The front end notes a state for every output of every event that ran, and when anything happens goes through all of them,
searching the page for each: with the hundred outputs of a page's first events, seconds until it can be used.
"""

import gradio as gr


def keep_quiet(page: gr.Blocks) -> None:
    """Before the page's `with` block ends."""
    for event in page.fns.values():
        if event.show_progress == "hidden" and event.show_progress_on is None:
            event.show_progress_on = []
