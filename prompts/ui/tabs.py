"""The prompt tabs, one for each technique."""

from functools import partial
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.home import adapters
from prompts.models import EMBEDDED
from prompts.start import Beginning
from prompts.techniques import TECHNIQUES
from prompts.ui.forms import listen
from prompts.ui.next_step import Pages, next_step
from prompts.ui.rows_picker import choices_of
from prompts.ui.technique_tab import TechniqueTab
from prompts.ui.tree_section import tree_views
from prompts.ui.visitor import Caller


def prompt_tabs(visitor: Any, on_device: OnDevice, first: Beginning, order: Pages, pages: Any) -> list[TechniqueTab]:
    """Builds the tabs inside the current gr.Tabs `pages`, opened on a task; returns them so that the page can fill their lists."""
    made = []
    for technique in TECHNIQUES:
        with gr.Tab(technique.title, id=technique.name) as page:
            tab = TechniqueTab(technique, visitor, on_device, first.settings[technique.name])
            next_step(technique.name, order, pages)
        listen(page.select, partial(_lists, tab), visitor, [], [tab.model, tab.library.saved, tab.rows.sample],
               name=f"ui_lists_{technique.name}", show_progress="hidden")  # fmt: skip
        if tab.tree:  # what a load puts into a page that was never open is not drawn
            listen(page.select, tree_views, visitor, [tab.tree.tree], tab.tree.shown, name="ui_tree_select",
                   show_progress="hidden")  # fmt: skip
        made.append(tab)
    return made


def _lists(tab: TechniqueTab, who: Caller) -> list[Any]:
    """What may have come since the page was loaded: adapters, saved prompts, rows."""
    lists = [EMBEDDED, *adapters(who.owner)], tab.library.choices(who.owner), choices_of(who)
    return [gr.Dropdown(choices=choices) for choices in lists]


def fill_on_load(demo: Any, tabs: list[TechniqueTab], visitor: Any, after: Any) -> list[Any]:
    """On every page load: the visitor's adapters in each model list, saved prompts and versions. Returns the events that list
    data.
    """

    def fill(who: Caller) -> list[Any]:
        models = gr.Dropdown(choices=[EMBEDDED, *adapters(who.owner)])
        saved = [gr.Dropdown(choices=tab.library.choices(who.owner)) for tab in tabs]
        return [*[models] * len(tabs), *saved]

    outputs = [*(tab.model for tab in tabs), *(tab.library.saved for tab in tabs)]
    listen(after, fill, visitor, [], outputs, name="ui_fill", show_progress="hidden")
    for tab in tabs:
        if tab.tree:
            listen(after, tree_views, visitor, [tab.tree.tree], tab.tree.shown, name="ui_tree", show_progress="hidden")
    return [tab.rows.on_load(demo, visitor, f"ui_rows_{tab.technique.name}") for tab in tabs]
