"""My saved prompts: search, versions, tags."""

from typing import Any

import gradio as gr

from prompts import library
from prompts.errors import UserError
from prompts.ui.forms import listen
from prompts.ui.visitor import Caller
from prompts.words import say


class LibrarySection:
    """Built inside a technique's tab; `tab` is its TechniqueTab."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        with gr.Accordion("My saved prompts", open=False):
            self.search = gr.Textbox(label="Search", info="Words in a name, a tag or a text.", min_width=280)
            self.saved = gr.Dropdown([], label="Saved prompt", allow_custom_value=True, min_width=280,
                                     info="Choose one to load, or type a new name to save under.")  # fmt: skip
            self.tags = gr.Textbox(label="Tags", info="Separated by commas.", min_width=280)
            self.version = gr.Dropdown([], label="Version", info="Empty: the newest.", min_width=280)
            with gr.Row():
                self.save = gr.Button("Save", size="md", scale=0, min_width=90)
                self.load = gr.Button("Load", size="md", scale=0, min_width=90)
                self.delete = gr.Button("Delete", size="md", scale=0, min_width=90)

    def connect(self) -> None:
        name, visitor, form = self.tab.technique.name, self.tab.visitor, self.tab.form
        mine = [self.saved, self.tags, self.version]
        listen(self.search.change, self._search, visitor, [self.search], mine, name=f"ui_search_{name}",
               show_progress="hidden")  # fmt: skip
        listen(self.saved.change, self._chosen, visitor, [self.saved], [self.tags, self.version], name=f"ui_saved_{name}",
               show_progress="hidden")  # fmt: skip
        listen(
            self.save.click, self._save, visitor, [self.saved, self.tags, *form.inputs], mine, name=f"ui_save_{name}"
        )
        listen(self.load.click, self._load, visitor, [self.saved, self.version], form.inputs, name=f"ui_load_{name}")
        listen(self.delete.click, self._delete, visitor, [self.saved], mine, name=f"ui_delete_{name}")

    def choices(self, owner: str, search: str = "") -> list[str]:
        """This owner's saved prompts of this technique."""
        return library.names(owner, self.tab.technique.name, search)

    def _search(self, who: Caller, search: str) -> list[Any]:
        found = self.choices(who.owner, search)
        first = found[0] if search and found else None
        more = self._chosen(who, first) if first else ["", gr.Dropdown(choices=[], value=None)]
        return [gr.Dropdown(choices=found, value=first), *more]

    def _chosen(self, who: Caller, name: str | None) -> list[Any]:
        if not name or name.strip() not in self.choices(who.owner):
            return [gr.skip(), gr.Dropdown(choices=[], value=None)]
        return [", ".join(library.load(who.owner, name).tags), _versions(who, name)]

    def _save(self, who: Caller, name: str | None, tags: str, *values: Any) -> list[Any]:
        settings = self.tab.form.read(values)
        entry = library.save(who.owner, name or "", self.tab.technique.name, settings, tags.split(","))
        gr.Info(say("Saved as {name!r}, version {version}.", name=entry.name, version=entry.version))
        return [
            gr.Dropdown(choices=self.choices(who.owner), value=entry.name),
            ", ".join(entry.tags),
            _versions(who, entry.name),
        ]

    def _load(self, who: Caller, name: str | None, version: int | None) -> list[Any]:
        entry = library.load(who.owner, name or "", version)
        if entry.technique != self.tab.technique.name:
            raise UserError(
                "{name!r} is a prompt of the {technique} tab; load it there",
                name=name,
                technique=entry.technique.replace("_", " "),
            )
        return list(self.tab.form.show(entry.settings))

    def _delete(self, who: Caller, name: str | None) -> list[Any]:
        library.delete(who.owner, name or "")
        gr.Info(say("Deleted {name!r} with its versions.", name=name))
        return [gr.Dropdown(choices=self.choices(who.owner), value=None), "", gr.Dropdown(choices=[], value=None)]


def _versions(who: Caller, name: str) -> Any:
    return gr.Dropdown(choices=library.versions(who.owner, name), value=None)
