"""Commands on results: evaluate, publish."""

from typing import Any

from prompts.commands import Command
from tuning import run as runs
from tuning.cli.common import RunFlags, Show, hub_token
from tuning.evaluate import Measure, evaluate
from tuning.publish import Publish, publish
from tuning.work import Event


class EvaluateFlags(RunFlags, Measure):
    """A run, and how it is scored."""


class PublishFlags(RunFlags, Publish):
    """A run, and where it goes."""


def _evaluate(flags: EvaluateFlags, show: Show) -> Any:
    document: Event = {}
    for document in evaluate(runs.find(flags.owner, flags.run), flags.of(Measure), token=hub_token()):
        if document["event"] == "evaluating":
            show(f"{document['done']} of {document['of']} answers")
    return {key: value for key, value in document.items() if key != "event"}


def _publish(flags: PublishFlags, show: Show) -> Any:
    return publish(runs.find(flags.owner, flags.run), flags.of(Publish), token=hub_token())


COMMANDS = {
    "evaluate": Command(EvaluateFlags, _evaluate, "Measure base against tuned on the held-out rows."),
    "publish": Command(
        PublishFlags, _publish, "Push a run's adapter with its model card to the Hub (token: HF_TOKEN)."
    ),
}
