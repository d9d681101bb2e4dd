"""The ladder tab: a run's held-out rows up every rung, what each costs, and one sentence of advice. It follows the folder."""

from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import NotFound, UserError
from prompts.techniques import prompt_words
from prompts.ui.choice import choice
from prompts.ui.forms import Form, form, listen
from prompts.ui.technique_tab import TechniqueTab
from prompts.ui.visitor import Caller
from prompts.words import say
from tuning import run as runs
from tuning.ladder import report, work
from tuning.ladder.settings import LadderSettings
from tuning.launch.start import start_ladder
from tuning.ui import ladder_views as views
from tuning.ui.compare_runs import run_choices
from tuning.ui.distil_section import DistilSection
from tuning.work import ACTIVE

LESSON = """Is a better prompt enough? **Ask the same rows in every way, the cheapest first; stop where it gets no better.**

1. Each *rung* is one technique, on rows that neither a prompt's examples nor the training ever saw.
2. A rung is worth its price only where it is *measurably* better than the best cheaper one.
3. A long prompt is paid for on every call, a fine-tune once: *pays after* says from how many calls on.
4. With few rows much stays open: the verdict says about how many more would decide."""
NONE = "No ladder yet."


class LadderTab:
    """Made outside any tab, where the browser restores the ladder in hand; `build` fills the tab."""

    def __init__(self, visitor: Any, on_device: OnDevice, in_hand: Any) -> None:
        """`in_hand`: the state that holds the run in hand."""
        self.in_hand = in_hand
        self.visitor, self.on_device, self.distil = visitor, on_device, DistilSection(visitor, on_device)
        self.ladder = gr.BrowserState("", storage_key="prompt-or-tune-ladder", secret="ladder")
        self.timer = gr.Timer(2, active=False)

    def build(self) -> None:
        with gr.Accordion("What the ladder teaches", open=False):
            gr.Markdown(LESSON)
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                self._build_question()
            with gr.Column(scale=8, min_width=320):
                self._build_result()
        self._build_table()
        self._connect()

    def _build_question(self) -> None:
        gr.Markdown("## Rungs")
        self.run = gr.Dropdown(
            [], label="Run", min_width=280, info="A finished run of yours; its held-out rows are asked."
        )
        self.start = gr.Button("Climb the ladder", variant="primary")
        self.form: Form = form(LadderSettings)
        self.key = gr.Textbox(label="Server key", type="password", info="Only for <url>#<model>; stored nowhere.")
        with gr.Row():
            self.cancel = gr.Button("Cancel", size="md", min_width=90)
            self.resume = gr.Button("Resume", size="md", min_width=90)
            self.delete = gr.Button("Delete", size="md", min_width=90)
        self.mine = gr.Dropdown(
            [], label="My ladders", info="Choose an earlier one to look at it again.", min_width=280
        )

    def _build_result(self) -> None:
        gr.Markdown("## Quality and cost")
        self.status = gr.Markdown(NONE, elem_classes="quiet status")
        self.advice = gr.Markdown(views.advice(None), container=True, elem_classes="verdict")
        self.charts = gr.HTML("")
        self.distil.build()

    def _build_table(self) -> None:
        self.table = gr.Dataframe(
            headers=views.HEADERS, datatype="str", interactive=False, wrap=True, max_height=760, show_search="none",
            label="Rungs", elem_classes="rows", column_widths=views.WIDTHS, visible=False,
        )  # fmt: skip
        with gr.Accordion("Every rung's prompt and verdicts", open=False):
            self.details = gr.Markdown("")

    @property
    def shown(self) -> list[Any]:
        return [self.status, self.advice, self.charts, self.table, self.details, self.timer]

    def _connect(self) -> None:
        visitor = self.visitor
        self.distil.connect(self.ladder, self.key)
        started = listen(self.start.click, self._start, visitor, [self.run, self.key, *self.form.inputs],
                         [self.ladder, self.mine], name="ui_start_ladder")  # fmt: skip
        chosen = choice(self.mine, lambda _who, ladder: ladder, visitor, [], self.ladder, name="ui_choose_ladder")
        resumed = listen(
            self.resume.click, self._resume, visitor, [self.ladder, self.key], self.status, name="ui_resume_ladder"
        )
        deleted = listen(
            self.delete.click, _delete, visitor, [self.ladder], [self.ladder, self.mine], name="ui_delete_ladder"
        )
        stopped = listen(self.cancel.click, _cancel, visitor, [self.ladder], self.status, name="ui_cancel_ladder")
        followed = {"start": started, "choice": chosen, "resume": resumed, "delete": deleted, "cancel": stopped}
        for name, event in followed.items():
            listen(event.success, _shown, visitor, [self.ladder], self.shown, name=f"ui_ladder_after_{name}",
                   show_progress="hidden")  # fmt: skip
        listen(self.timer.tick, _shown, visitor, [self.ladder], self.shown, name="ui_ladder_tick", show_progress="hidden",
               concurrency_limit=None)  # fmt: skip
        listen(self.run.focus, _runs, visitor, [self.run], self.run, name="ui_ladder_runs", show_progress="hidden")

    def take_from(self, tab: TechniqueTab, pages: Any) -> None:
        """Connects a technique tab's button: its prompt becomes the best refined prompt."""

        def take(_who: Caller, *values: Any) -> list[Any]:
            gr.Info(say("The prompt is the best refined prompt now; choose a run and climb."))
            return [prompt_words(tab.technique, tab.form.read(values)), gr.Tabs(selected="ladder")]

        listen(tab.climb.click, take, self.visitor, tab.form.inputs, [self.form.widgets["refined"], pages],
               name=f"ui_climb_from_{tab.technique.name}")  # fmt: skip

    def on_opening(self, trigger: Any) -> None:
        """The runs that there are by now; the one in hand is chosen, once, so that another choice stays."""
        followed = gr.State("")
        listen(trigger, _follow, self.visitor, [self.run, self.in_hand, followed], [self.run, followed],
               name="ui_lists_ladder", show_progress="hidden")  # fmt: skip

    def on_load(self, demo: Any, after: Any) -> None:
        """After a reload: runs, ladders and the one in hand come back."""

        def fill(who: Caller, run: str | None, ladder: str) -> list[Any]:
            return [_runs(who, run), _mine(who, ladder)]

        listen(
            after,
            fill,
            self.visitor,
            [self.run, self.ladder],
            [self.run, self.mine],
            name="ui_ladder_fill",
            show_progress="hidden",
        )
        listen(
            demo.load, _shown, self.visitor, [self.ladder], self.shown, name="ui_reload_ladder", show_progress="hidden"
        )

    def _start(self, who: Caller, run: str | None, key: str, *values: Any) -> list[Any]:
        if not run:
            raise UserError("choose a run; there is one when a training has finished", field="run")
        settings = self.form.read(values)
        ladder = work.create(runs.find(who.owner, run), settings)
        start_ladder(ladder, who.token, key or who.key, self.on_device)
        return [ladder.id, _mine(who, ladder.id)]

    def _resume(self, who: Caller, ladder: str, key: str) -> str:
        found = _chosen(who, ladder).make_ready()
        start_ladder(found, who.token, key or who.key, self.on_device)
        return views.status_line(report.snapshot(found))


def _ready(who: Caller) -> list[tuple[str, str]]:
    return [(label, run) for label, run in run_choices(who) if (runs.find(who.owner, run).folder / "adapter").is_dir()]


def _runs(who: Caller, chosen: str | None) -> Any:
    choices = _ready(who)
    known = [run for _, run in choices]
    if chosen in known:  # what is chosen meanwhile stays
        return gr.Dropdown(choices=choices)
    return gr.Dropdown(choices=choices, value=next(iter(known), None))


def _follow(who: Caller, chosen: str | None, in_hand: str, followed: str) -> list[Any]:
    choices = _ready(who)
    if in_hand != followed and in_hand in dict(choices).values():
        return [gr.Dropdown(choices=choices, value=in_hand), in_hand]
    return [_runs(who, chosen), followed]


def _mine(who: Caller, chosen: str | None) -> Any:
    choices = [(views.label(one.document), one.id) for one in work.ladders(who.owner)]
    return gr.Dropdown(choices=choices, value=chosen if chosen in {one for _, one in choices} else None)


def _chosen(who: Caller, ladder: str) -> work.Ladder:
    if not ladder:
        raise UserError("there is no ladder yet; climb one")
    return work.find(who.owner, ladder)


def _cancel(who: Caller, ladder: str) -> str:
    found = _chosen(who, ladder)
    found.ask_to_stop()
    return views.status_line(report.snapshot(found)) + say(" · stopping…")


def _delete(who: Caller, ladder: str) -> list[Any]:
    _chosen(who, ladder).delete()
    return ["", _mine(who, None)]


def _shown(who: Caller, ladder: str) -> list[Any]:
    try:
        work_found = work.find(who.owner, ladder)
        found = report.snapshot(work_found)
    except NotFound:
        return [say(NONE), views.advice(None), "", gr.Dataframe(visible=False), "", gr.Timer(active=False)]
    return [
        views.status_line(found), views.advice(found), views.charts(found), gr.Dataframe(value=views.table(found), visible=True),
        views.details(found), gr.Timer(active=found["status"] in ACTIVE),
    ]  # fmt: skip
