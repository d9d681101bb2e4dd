"""The tree of versions in the refinement tab: going back, branching, naming, comparing, edits without a model, feedback on rows."""

import shutil
from html import escape
from typing import Any

import gradio as gr

from prompts.errors import NotFound, UserError
from prompts.home import scratch
from prompts.refining import tree as trees
from prompts.scoring import GRADED
from prompts.statistics import paired
from prompts.studies.versions import named
from prompts.techniques.refinement import REFUSED, RefinementSettings, worded
from prompts.ui.charts import difference
from prompts.ui.choice import choice
from prompts.ui.forms import listen
from prompts.ui.visitor import Caller
from prompts.words import later, say, says

NONE = later("<p>No version yet: ask the model, and the prompt is kept as version 1.</p>")


class TreeSection:
    """Its state is the id of the tree, which the browser keeps; `tab` is the refinement's TechniqueTab."""

    def __init__(self, tab: Any) -> None:
        self.tab, self.visitor = tab, tab.visitor
        self.tree = gr.BrowserState("", storage_key="prompt-or-tune-tree", secret="tree")
        self.version = gr.Dropdown(
            [],
            label="Versions",
            info="Every version is kept; choose one to go back to it, or to branch from it.",
            min_width=280,
        )
        self.drawn = gr.HTML(NONE)
        with gr.Accordion("Keep, name, compare versions", open=False):
            with gr.Row():
                self.keep = gr.Button("Keep the prompt as a version", size="md", scale=0, min_width=220)
                self.fresh = gr.Button("Start a new tree", size="md", scale=0, min_width=150)
            self.name = gr.Textbox(label="Name of the chosen version", max_length=80, min_width=280,
                                   info="What lists and tables call it.")  # fmt: skip
            self.rename = gr.Button("Name it", size="md", scale=0, min_width=100)
            self.other = gr.Dropdown([], label="Compare the chosen version with", min_width=280,
                                     info="What differs, and which is better where both were measured.")  # fmt: skip
            self.compared = gr.HTML("<p>Choose a second version to see what differs.</p>")
            self.mine = gr.Dropdown([], label="My trees", info="Choose an earlier one to go on with it.", min_width=280)
            self.delete = gr.Button("Delete this tree", size="md", scale=0, min_width=150)
            self.file = gr.DownloadButton("Download the tree (YAML)", size="md", scale=0, min_width=220, visible=False)

    @property
    def shown(self) -> list[Any]:
        """What `views` fills."""
        return [self.version, self.drawn, self.other, self.mine, self.file]

    def connect(self) -> None:
        """Everything but the feedback."""
        visitor, form = self.visitor, self.tab.form
        task = form.widgets["task"]
        choice(self.version, _go_back, visitor, [self.tree], [task, self.tab.reply, self.name],
               name="ui_version_go_back")  # fmt: skip
        listen(self.keep.click, self._keep, visitor, [self.tree, self.version, *form.inputs], [self.tree, *self.shown],
               name="ui_version_keep")  # fmt: skip
        listen(
            self.fresh.click,
            lambda who: ["", *tree_views(who, "")],
            visitor,
            [],
            [self.tree, *self.shown],
            name="ui_tree_new",
        )
        listen(
            self.rename.click,
            _rename,
            visitor,
            [self.tree, self.version, self.name],
            self.shown,
            name="ui_version_name",
        )
        choice(self.other, _compare, visitor, [self.tree, self.version, self.tab.study.document], self.compared,
               name="ui_version_compare")  # fmt: skip
        choice(self.mine, lambda who, tree: [tree, *tree_views(who, tree)], visitor, [], [self.tree, *self.shown],
               name="ui_tree_choose")  # fmt: skip
        listen(self.delete.click, _delete, visitor, [self.tree], [self.tree, *self.shown], name="ui_tree_delete")

    def follow(self, event: Any, stop: Any) -> None:
        """After an event that makes versions, also one that was stopped, the tree is shown."""
        for name, trigger in (("optimise", event.success), ("stop", stop.click)):
            listen(
                trigger,
                tree_views,
                self.visitor,
                [self.tree],
                self.shown,
                name=f"ui_tree_after_{name}",
                show_progress="hidden",
            )

    def asked(self, who: Caller, tree: str, version: int | None, before: RefinementSettings, last: Any) -> list[Any]:
        """Keeps what was asked as a version; [the tree's id, *views]."""
        said = last.reply.text if last.reply else ""
        changed = last.settings.task != before.task
        refused = any(says(note, REFUSED) for note in last.notes)
        by_model = before.rewrite == "model" and not refused
        how = ("model" if by_model else "feedback") if changed else "written"
        note = "; ".join(worded(before)) if changed else ""
        return self.kept(who, tree, version, last.settings, how=how, note=note, output=said)

    def knows(self, who: Caller, tree: str, task: str) -> bool:
        """Was this prompt asked before?"""
        found = found_tree(who, tree)
        return bool(found and any(one.task.strip() == task.strip() for one in found.versions))

    def kept(
        self, who: Caller, tree: str, version: int | None, settings: RefinementSettings, **about: str
    ) -> list[Any]:
        """Keeps a prompt as a version made from the chosen one; [the tree's id, *views]."""
        found = found_tree(who, tree)
        known = found and any(one.number == version for one in found.versions)
        made, number = trees.kept(who.owner, found.id if found else "", version or 0 if known else 0, settings, **about)
        return [made.id, *tree_views(who, made.id, number)]

    def _keep(self, who: Caller, tree: str, version: int | None, *values: Any) -> list[Any]:
        return self.kept(who, tree, version, self.tab.form.read(values))


def found_tree(who: Caller, tree: str) -> trees.Tree | None:
    try:
        return trees.find(who.owner, tree) if tree else None
    except NotFound:
        return None


def tree_views(who: Caller, tree: str, version: int | None = None) -> list[Any]:
    """The dropdowns, the drawing and the file of a tree."""
    mine = [(one.name, one.id) for one in trees.trees(who.owner)]
    found = found_tree(who, tree)
    chosen = gr.Dropdown(choices=mine, value=found.id if found else None)
    if found is None:
        return [gr.Dropdown(choices=[], value=None), say(NONE), gr.Dropdown(choices=[], value=None), chosen, gr.skip()]
    listed = [(_label(one), one.number) for one in reversed(found.versions)]
    number = version or found.versions[-1].number
    file = scratch() / f"versions-{found.id[:6]}.yaml"  # a copy: no file of an owner's folder is served
    shutil.copy(trees.file_of(who.owner, found.id), file)
    return [
        gr.Dropdown(choices=listed, value=number), drawn(found, number), gr.Dropdown(choices=listed, value=None), chosen,
        gr.DownloadButton(value=str(file), visible=True),
    ]  # fmt: skip


def _label(one: trees.Version) -> str:
    named = one.name or one.note or (say("first request") if one.parent is None else how(one.how))
    return f"{one.number}: {named}"[:80]


def how(made: str) -> str:
    """How a version was made, in words: by hand, by feedback, by an operator, or by the search with one."""
    search, _, name = made.rpartition(": ")
    said = say(name.replace("_", " "))
    return f"{search}: {said}" if search else said


def drawn(tree: trees.Tree, chosen: int) -> str:
    """The tree as nested lists, the chosen version marked."""

    def under(parent: int | None) -> str:
        inside = "".join(
            f"<li>{'<b>' if one.number == chosen else ''}{escape(_label(one))}{'</b>' if one.number == chosen else ''} "
            f"<small>{escape(how(one.how))}</small>{under(one.number)}</li>"
            for one in tree.versions
            if one.parent == parent
        )
        return f"<ul>{inside}</ul>" if inside else ""

    return f'<nav aria-label="{say("Tree of versions")}">{under(None)}</nav>'


def _go_back(who: Caller, version: int, tree: str) -> list[Any]:
    one = trees.find(who.owner, tree).version(version)
    return [one.task, one.output, one.name]


def measured(document: Any, tree: str) -> list[dict[str, Any]]:
    """The development rows of the page's last measurement, where it was of this tree."""
    return list(document["answers"]) if document and document.get("tree", "") == tree else []


def _rename(who: Caller, tree: str, version: int | None, name: str) -> list[Any]:
    if not tree or not version:
        raise UserError("choose a version first", field="version")
    trees.rename(trees.find(who.owner, tree), version, name)
    return tree_views(who, tree, version)


def _delete(who: Caller, tree: str) -> list[Any]:
    trees.delete(who.owner, tree)
    return ["", *tree_views(who, "")]


def _compare(who: Caller, second: int, tree: str, first: int, document: Any) -> str:
    found = trees.find(who.owner, tree)
    before, after = found.version(second), found.version(first)
    head = say("Version {first} against version {second}:", first=first, second=second)
    text = f"<p>{head}</p>{difference(trees.changes(before.task, after.task))}"
    rows = [row["answers"] for row in measured(document, tree)]
    if rows and all(str(n) in rows[0] for n in (first, second)):
        names = {str(n): named(n) for n in (second, first)}
        values = {names[n]: [row[n]["score"] for row in rows] for n in names}
        graded = document["scorer"] in GRADED
        verdict = paired(values, [(names[str(second)], names[str(first)])], graded=graded)[0]
        said = say("On the development rows: {sentence}", sentence=verdict.sentence)
        text += f"<p>{escape(said)}</p>"
    return text
