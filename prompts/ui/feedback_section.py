"""From the measured rows to the next version of a prompt: judgements and corrections, and edits that need no model."""

from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.refining.gates import fault
from prompts.refining.operators import OPERATORS, Seen, proposals
from prompts.scoring import Scoring
from prompts.techniques.base import filled
from prompts.techniques.refinement import RefinementSettings
from prompts.ui import study_views as views
from prompts.ui.forms import listen
from prompts.ui.study_views import ALL, WRONG
from prompts.ui.tree_section import TreeSection, found_tree, measured
from prompts.ui.visitor import Caller
from prompts.words import say

ANSWERS = ["#", "Right?", "Answer", "Reference", "Row"]


class FeedbackSection:
    """Built below the study; `tab` is the refinement's TechniqueTab."""

    def __init__(self, tab: Any, tree: TreeSection) -> None:
        self.tab, self.tree, self.visitor = tab, tree, tab.visitor
        with gr.Accordion("From the measured rows to the next version", open=False):
            with gr.Row():
                self.only = gr.Radio([WRONG, ALL], value=WRONG, label="Development rows", min_width=280,
                                     info="Which of its answers are listed.")  # fmt: skip
                self.load = gr.Button("Show the chosen version's answers", size="md", scale=0, min_width=260)
            self.answers = gr.Dataframe(
                headers=ANSWERS, datatype="str", interactive=False, wrap=True, max_height=360, show_search="none",
                label="Click a row to give feedback on it", elem_classes="rows",
                column_widths=["50px", "90px", "210px", "210px", "590px"],
            )  # fmt: skip
            self.picked = gr.State(None)
            self.about = gr.Markdown("Measure the versions first, then click a row.", elem_classes="quiet")
            with gr.Row():
                self.right = gr.Button("It is right", size="md", scale=0, min_width=100)
                self.correct = gr.Textbox(label="Correction", info="What should have come back.", min_width=220)
                self.comment = gr.Textbox(label="Comment", info="What is wrong with it.", min_width=220)
                self.wrong = gr.Button("Add the feedback", size="md", scale=0, min_width=160)
            with gr.Row():
                self.operator = gr.Dropdown(
                    [("any", ""), *((name.replace("_", " "), name) for name in OPERATORS)], value="", label="Edit without a model",
                    info="Looks at the wrong rows and proposes the next prompt.", min_width=280,
                )  # fmt: skip
                self.propose = gr.Button("Propose", size="md", scale=0, min_width=110)
        self._connect()

    def _connect(self) -> None:
        visitor, form, study = self.visitor, self.tab.form, self.tab.study
        listen(
            self.load.click,
            _answers,
            visitor,
            [study.document, self.tree.tree, self.tree.version, self.only],
            self.answers,
            name="ui_answers",
        )

        def pick(event: gr.SelectData, table: Any) -> Any:
            row = list(table.iloc[event.index[0]])
            return (
                row,
                say("Row {row}: {row2!r}, where {row3!r} is right.", row=row[0], row2=row[2], row3=row[3]),
                row[3],
            )

        self.answers.select(pick, [self.answers], [self.picked, self.about, self.correct], api_name="ui_pick_answer",
                            api_visibility="private", show_progress="hidden")  # fmt: skip
        notes = form.widgets["notes"]
        outputs = [notes, self.about, self.correct, self.comment]
        listen(
            self.wrong.click,
            _note,
            visitor,
            [self.picked, notes, self.correct, self.comment],
            outputs,
            name="ui_note_wrong",
        )
        listen(self.right.click, lambda who, picked, notes: _note(who, picked, notes, "", ""), visitor, [self.picked, notes],
               outputs, name="ui_note_right")  # fmt: skip
        listen(self.propose.click, self._propose, visitor,
               [self.tree.tree, self.tree.version, self.operator, study.document, *form.inputs],
               [form.widgets["task"], self.tree.tree, *self.tree.shown], name="ui_propose")  # fmt: skip

    def _propose(
        self, who: Caller, tree: str, version: int | None, operator: str, document: Any, *values: Any
    ) -> list[Any]:
        settings = self.tab.form.read(values)
        seen = _seen(document, tree, version, settings)
        found = found_tree(who, tree)
        known = {one.task for one in found.versions} if found else set()
        for name, task in proposals(settings.task, seen, [operator] if operator else ()):
            if task not in known and not fault(settings.task, task, rows=seen.texts, most_tokens=settings.most_tokens):
                gr.Info(say("{name}: kept as the next version; measure it.", name=name.replace("_", " ")))
                return [task, *self.tree.kept(who, tree, version, settings.changed(task=task), how=name)]
        raise UserError(
            "nothing to propose: no row went wrong, or every such edit was tried; choose another", field="operator"
        )


def _seen(document: Any, tree: str, version: int | None, settings: RefinementSettings) -> Seen:
    """What a version did on the development rows, from the page's last measurement of its tree."""
    rows = [(row, row["answers"].get(str(version or 1))) for row in measured(document, tree)]
    kept = [(row, one) for row, one in rows if one]
    if not kept:
        raise UserError(
            "measure the chosen version first: an edit is made from the rows that went wrong", field="version"
        )
    references = [row["reference"] for row, _ in kept]
    texts = [filled(settings, "input", row["input"]) for row, _ in kept]
    scores, replies = [one["score"] for _, one in kept], [one["reply"] for _, one in kept]
    return Seen(
        texts, references, replies, scores, Scoring(scorer=document["scorer"]), document["labels"], document["seed"]
    )


def _answers(_who: Caller, document: Any, tree: str, version: int | None, only: str) -> Any:
    if not measured(document, tree):
        raise UserError("measure the versions of this tree first")
    return gr.Dataframe(value=views.answers(document, version or 1, only), headers=[say(name) for name in ANSWERS])


def _note(_who: Caller, picked: Any, notes: Any, correct: str, comment: str) -> list[Any]:
    if not picked:
        raise UserError("click a row in the table first")
    rows = [list(row) for row in notes or [] if any(str(cell or "").strip() for cell in row)]
    rows.append([picked[2], correct, comment, picked[4]])
    return [
        rows,
        say("{rows} outputs have feedback; “Ask the model” makes the next version from it.", rows=len(rows)),
        "",
        "",
    ]
