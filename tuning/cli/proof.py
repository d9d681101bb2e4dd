"""Commands on results: evaluate, ladder, distil, score, harm, export, deploy, publish."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from prompts.commands import KEY, Command, Flags
from prompts.errors import UserError
from prompts.events import Event
from prompts.home import LOCAL
from tuning import run as runs
from tuning.cli.common import DATA, RunFlags, Show, hub_token, lines, secret_from_pipe, sentence, table_of
from tuning.deploy import Deploy, deploy
from tuning.distil import Distil, distil
from tuning.evaluate import Measure, evaluate
from tuning.export import Export, export
from tuning.harm.screen import screen
from tuning.ladder import report, work
from tuning.ladder.settings import LadderSettings
from tuning.monitor import Watched, document, score_again
from tuning.publish import Publish, publishing


class EvaluateFlags(RunFlags, Measure):
    """A run, and how it is scored."""


class LadderFlags(Flags, LadderSettings):
    run: CliPositionalArg[str] = Field("", description="The run's id. Not needed with --ladder.")
    ladder: str = Field("", description="Go on with this ladder, which was created before, instead of a new one.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


class DistilFlags(Flags, Distil):
    ladder: CliPositionalArg[str] = Field(description="The ladder's id.")
    rows: str = Field("", description=f"Rows to ask, with the run's input columns; empty: its training rows. {DATA}")
    owner: str = Field(LOCAL, description="Whose ladder it is; on your own machine: local.")


class ScoreFlags(Flags, Watched):
    rows: CliPositionalArg[str] = Field(description=DATA)
    owner: str = Field(LOCAL, description="Whose history; on your own machine: local.")


class HistoryFlags(Flags):
    model: CliPositionalArg[str] = Field(description="A model that was scored before.")
    owner: str = Field(LOCAL, description="Whose history; on your own machine: local.")


class ExportFlags(RunFlags, Export):
    to: str = Field(description="A new or empty folder.")


class DeployFlags(Flags, Deploy):
    repo_id: CliPositionalArg[str] = Field(description="Name, or owner/name, of the Space on the Hub.")


class PublishFlags(RunFlags, Publish):
    """A run, and where it goes."""


def _evaluate(flags: EvaluateFlags, show: Show) -> Any:
    document: Event = {}
    run = runs.find(flags.owner, flags.run)
    for document in lines(evaluate(run, flags.only(Measure), token=hub_token(), key=os.environ.get(KEY))):
        if document["event"] == "evaluating":
            show(sentence(document))
    return {key: value for key, value in document.items() if key != "event"}


def _ladder(flags: LadderFlags, show: Show) -> Any:
    if bool(flags.run) == bool(flags.ladder):
        raise UserError("give a RUN, or --ladder with the id of a ladder that was created before")
    token, key = hub_token(), os.environ.get(KEY) or None
    if flags.ladder:
        ladder = work.find(flags.owner, flags.ladder)
        if ladder.status_written() == "starting":  # by the app
            token, key = secret_from_pipe(), secret_from_pipe()
        else:
            ladder.make_ready()
    else:
        ladder = work.create(runs.find(flags.owner, flags.run), flags.only(LadderSettings))
    show(f"ladder {ladder.id}")
    for event in lines(work.ladder_events(ladder, token=token, key=key)):
        show(sentence(event))
    return report.snapshot(ladder)


def _distil(flags: DistilFlags, show: Show) -> Any:
    table = table_of(flags.rows) if flags.rows else None
    ladder = work.find(flags.owner, flags.ladder)
    return _last(distil(ladder, flags.only(Distil), table, token=hub_token(), key=os.environ.get(KEY)), show)


def _score(flags: ScoreFlags, show: Show) -> Any:
    events = score_again(
        flags.owner, flags.only(Watched), table_of(flags.rows), token=hub_token(), key=os.environ.get(KEY)
    )
    return _last(events, show)


def _history(flags: HistoryFlags, show: Show) -> Any:
    return document(flags.owner, flags.model)


def _harm(flags: RunFlags, show: Show) -> Any:
    return _last(screen(runs.find(flags.owner, flags.run), token=hub_token()), show)


def _export(flags: ExportFlags, show: Show) -> Any:
    if any(Path(flags.to).glob("*")):
        raise UserError(f"{flags.to} is not empty; name a new folder", field="to")
    return _last(export(runs.find(flags.owner, flags.run), flags.only(Export), Path(flags.to), token=hub_token()), show)


def _deploy(flags: DeployFlags, show: Show) -> Any:
    show("pushing this app's code…")
    return deploy(flags.only(Deploy), token=hub_token())


def _publish(flags: PublishFlags, show: Show) -> Any:
    return _last(publishing(runs.find(flags.owner, flags.run), flags.only(Publish), token=hub_token()), show)


def _last(events: Iterator[Event], show: Show) -> Any:
    """The last event's document; the others are shown."""
    event: Event = {}
    for event in lines(events):
        if not {"published", "exported", "screened", "distilled", "scored"} & {event["event"]}:
            show(sentence(event))
    return {key: value for key, value in event.items() if key != "event"}


COMMANDS = {
    "evaluate": Command(EvaluateFlags, _evaluate, "Measure base against tuned on the held-out rows."),
    "ladder": Command(
        LadderFlags, _ladder, "Ask a run's held-out rows in every way, from a plain question to the fine-tune."
    ),
    "distil": Command(
        DistilFlags, _distil, "Make training data of what a ladder's best prompt answers, for a short prompt to learn."
    ),
    "score": Command(
        ScoreFlags, _score, "Score any model on new rows, and warn where it dropped since the first time."
    ),
    "history": Command(HistoryFlags, _history, "Show how a model scored, measurement by measurement."),
    "harm": Command(RunFlags, _harm, "Screen a run for forgetting and harm, before and after."),
    "export": Command(ExportFlags, _export, "Write a run as adapter, merged model or GGUF file into a folder."),
    "deploy": Command(DeployFlags, _deploy, "Push this app to a Space of your own (token: HF_TOKEN)."),
    "publish": Command(PublishFlags, _publish, "Push a run with its model card to the Hub (token: HF_TOKEN)."),
}
