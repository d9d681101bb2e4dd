"""The first tab: what the model should do. The answer fills every other tab, so that nothing is typed or uploaded twice."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from prompts.errors import AppError, UserError
from prompts.following import Progress, told_to_nobody
from prompts.held_out import locked_keys
from prompts.rows import SAMPLE_TITLES, SUFFIXES, sample_table
from prompts.settings import build
from prompts.start import FIRST, USES, Beginning, begin
from prompts.ui.compare_tab import CompareTab, pretty
from prompts.ui.forms import listen
from prompts.ui.intake import Intake, Shown
from prompts.ui.rows_picker import choices_of
from prompts.ui.technique_tab import TechniqueTab
from prompts.ui.visitor import Caller
from prompts.uploads import save_upload
from prompts.words import say, spelled
from tuning.data.columns import Columns, resolve
from tuning.data.sources import SAMPLES, mapping, open_table
from tuning.ui.tune_tab import TuneTab

CARDS = {
    "support_emails": ("Sort customer e-mails", "To which team? 225 e-mails, 5 labels."),
    "english_spanish": ("Translate into Spanish", "Short English sentences."),
    "word_problems": ("Solve word problems", "Arithmetic, with a number as the answer."),
}
WELCOME = """## What should the model do?

Choose a task, or bring your own rows: it follows you through every tab. First try prompts, then compare them on rows with known
answers, and fine-tune a small model only where no prompt is good enough."""
SOURCE = "sample:support_emails"  # what the page opens on


def first() -> Beginning:
    """What the page opens on."""
    inputs, output, instruction = USES["support_emails"]
    return begin(SOURCE, sample_table("support_emails"), inputs, output, instruction)


def in_hand(found: Beginning) -> str:
    """The line above all tabs."""
    line = say("Task: **{title}** · {rows:,} rows", title=found.title, rows=found.rows)
    return line + (f" · {found.instruction}" if found.instruction else "")


def summary(found: Beginning) -> str:
    """What was chosen, as Markdown."""
    asked, answer = found.example
    shown = asked if len(asked) <= 300 else f"{asked[:300]}…"
    quoted = "\n".join(f"> {line}" for line in shown.splitlines())
    about = {"title": found.title, "rows": found.rows, "scorer": say(spelled(found.scorer))}
    head = say("**{title}**, {rows:,} rows, scored by {scorer}. The first of them:", **about)
    right = say("Right answer: `{answer}`", answer=answer)
    mind = f"\n\n**{say('Mind:')}** {found.note}" if found.note else ""
    return f"{head}\n\n{quoted}\n\n{right}{mind}"


class StartTab:
    """`build` fills the tab; `connect` comes when the other tabs are there. `line` is the task in hand, above all tabs."""

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor
        self.line = gr.Markdown(in_hand(first()), elem_classes="quiet")

    def build(self) -> None:
        gr.Markdown(WELCOME)
        self.cards = {}
        with gr.Row(elem_classes="cards"):
            for name, (title, line) in CARDS.items():
                self.cards[name] = gr.Button(f"{title}\n{line}", min_width=240, variant=_variant(name, SOURCE))
        with gr.Accordion("Use your data", open=False):
            self.instruction = gr.Textbox(
                label="What should the model do with a row?", lines=2, min_width=280,
                info="In a sentence, as you would tell a person: 'Which team should answer this e-mail?'",
            )  # fmt: skip
            self.file = gr.File(label=f"Rows with right answers: {', '.join(s[1:].upper() for s in SUFFIXES)}", type="filepath",
                                height=180, elem_id="start-file")  # fmt: skip
            self.intake = Intake()
            with gr.Row():
                self.inputs = gr.Dropdown([], multiselect=True, label="Columns to ask with", min_width=280,
                                          info="What the model is given of a row.")  # fmt: skip
                self.output = gr.Dropdown([], value=None, label="Column with the right answer", min_width=280,
                                          info="What it should answer.")  # fmt: skip
            self.use = gr.Button("Use these columns", size="md", scale=0, min_width=180)
        self.said = gr.Markdown(summary(first()), container=True, elem_classes="verdict")

    def connect(
        self, tabs: list[TechniqueTab], compare: CompareTab, tune: TuneTab, after: Any, listed: list[Any]
    ) -> None:
        """Every choice fills the other tabs, also with what the events `listed` fill; `after` a reload the task in hand fills them
        again.
        """
        self.tabs, self.tune = tabs, tune
        data, widgets = tune.data, tune.recipe.widgets
        shares = [widgets["held_out"], widgets["validation"]]
        own = [self.instruction, self.inputs, self.output]
        samples = [*(tab.rows.sample for tab in tabs), compare.rows.sample]
        fields = [*(tab.study.form for tab in tabs if tab.study), compare.form]
        references = [one.widgets["reference"] for one in fields]
        self.samples, self.references = samples, references
        self.edited = [compare.variants, compare.kept]  # by the visitor: they outlive a reload
        self.variants = [*self.edited, compare.first]
        forms = [one for tab in tabs for one in tab.form.inputs]
        shown = [self.line, self.said, *self.cards.values(), *own, *data.shown]
        filled = [*shown, *samples, *references, *self.variants, *forms, *self.intake.parts]
        again = listen(after, self._reload, self.visitor, [data.source, data.mapping, *shares], filled,
                       name="ui_start_reload", show_progress="hidden")  # fmt: skip
        chosen: dict[str, tuple[Any, Any, list[Any]]] = {
            name: (card.click, self._sample(name), shares) for name, card in self.cards.items()
        }
        chosen["file"] = (self.file.upload, self._upload, [self.file, self.instruction, data.source, *shares])
        chosen["columns"] = (self.use.click, self._columns, [data.source, *own, *shares])
        written = listen(self.instruction.blur, self._instruction, self.visitor, [data.source, data.mapping, *own, *shares], filled,
                         name="ui_start_instruction", costs=False, cancels=[again], show_progress="hidden")  # fmt: skip
        events = {}
        for name, (trigger, run, inputs) in chosen.items():
            events[name] = listen(trigger, run, self.visitor, inputs, filled, name=f"ui_start_{name}",
                                  cancels=[again, written, *listed],  # what was in hand before does not overwrite what is chosen
                                  show_progress_on=self.said)  # fmt: skip
        self.intake.stops([events["file"], events["columns"], written], "start")
        there = [data.sample.input, data.file.upload, data.load.click, *(box.input for box in data.columns.inputs)]
        there += [trigger for tab in tabs for trigger in (tab.starter.input, tab.library.load.click)]
        gr.on(there, None, None, None, cancels=[again], api_name="ui_start_overtaken", api_visibility="private")

    def _sample(self, name: str) -> Any:
        def chosen(who: Caller, *shares: float) -> Shown:
            return self._fill(who, FIRST[name], SAMPLES[FIRST[name]], *shares)

        return chosen

    def _upload(self, who: Caller, path: str, instruction: str, before: str, *shares: float) -> Iterator[Shown]:
        if (sample := SAMPLES.get(before or SOURCE)) and instruction == sample.instruction:
            instruction = ""  # the one that the sample in hand filled in says nothing of these rows

        def read(tell: Progress) -> Shown:
            source = save_upload(who.owner, Path(path), tell=tell)
            Path(path).unlink(missing_ok=True)  # the copy in the owner's folder is the one that is used
            return self._fill(who, source, Columns(instruction=instruction or ""), *shares, tell=tell)

        yield from self.intake.shown(read)

    def _columns(
        self, who: Caller, source: str, instruction: str, inputs: list[str], output: str | None, *shares: float
    ) -> Iterator[Shown]:
        if not source:
            raise UserError("choose a task or upload a file first", field="data")
        columns = Columns(input=tuple(inputs), output=output or "", instruction=instruction or "")
        yield from self.intake.shown(lambda tell: self._fill(who, source, columns, *shares, tell=tell))

    def _instruction(
        self, who: Caller, source: str, known: dict[str, Any], instruction: str, *rest: Any
    ) -> Iterator[Shown]:
        """What is written about one's own rows counts as soon as the field is left."""
        if source and source not in SAMPLES and (instruction or "") != known.get("instruction", ""):
            yield from self._columns(who, source, instruction, *rest)

    def _reload(self, who: Caller, source: str, columns: dict[str, Any], *shares: float) -> Shown:
        if source != SOURCE or locked_keys(who.owner):
            with contextlib.suppress(AppError):  # it is not there any more, or no prompt can be compared on it
                mapped = build(Columns, columns) if columns else mapping(source, Columns())
                filled = self._fill(who, source, mapped, *shares)
                return {part: value for part, value in filled.items() if part not in self.edited}
        return {self.line: gr.skip(), **self.tune.data.reload(who, source, columns, *shares)}

    def _fill(
        self, who: Caller, source: str, columns: Columns, *shares: float, tell: Progress = told_to_nobody
    ) -> Shown:
        """What goes into every tab; `tell` is told the rows that are looked at. Raises UserError."""
        table = open_table(who.owner, source)
        found = resolve(columns, table)
        if found.messages or not found.input:
            raise UserError(
                "{name} holds conversations or plain texts, on which no prompt is compared; take them to the Fine-tune tab, or "
                "choose the columns", name=table.name,
            )  # fmt: skip
        task = begin(source, table, found.input, found.output, found.instruction, locked_keys(who.owner))
        names = list(table.columns)
        filled: Shown = {
            self.line: in_hand(task),
            self.said: summary(task),
            self.instruction: found.instruction,
            self.inputs: gr.Dropdown(choices=names, value=list(found.input)),
            self.output: gr.Dropdown(choices=names, value=found.output),
            **self.tune.data.inspected(who, source, found, *shares, tell=tell),
            **{card: gr.Button(variant=_variant(name, source)) for name, card in self.cards.items()},
            **dict.fromkeys(self.references, found.output),
            **dict.fromkeys(self.variants, pretty(task.variants)),
        }
        for picker in self.samples:
            filled[picker] = gr.Dropdown(choices=choices_of(who), value=source.removeprefix("sample:"))
        for tab in self.tabs:
            filled |= zip(tab.form.inputs, tab.form.show(task.settings[tab.technique.name]), strict=True)
        return filled


def _variant(card: str, source: str) -> Any:
    """The card of the task in hand stands out."""
    return "primary" if FIRST[card] == source else "secondary"


assert set(CARDS) == set(SAMPLE_TITLES)
