"""The public endpoints on results: evaluation, publication."""

from collections.abc import Iterator
from inspect import Parameter
from typing import Any

from prompts.backends import OnDevice
from prompts.ui.forms import endpoint
from prompts.ui.visitor import Caller
from tuning import run as runs
from tuning.evaluate import Measure, evaluate
from tuning.publish import Publish, publish

RUN = {"run": (str, Parameter.empty, "The run's id, as /start_run and /list_runs return it.")}


def publish_proof_endpoints(on_device: OnDevice) -> None:
    """Adds every endpoint to the current Blocks."""

    def evaluate_run(who: Caller, measure: Measure, run: str) -> Iterator[dict[str, Any]]:
        yield from evaluate(runs.find(who.owner, run), measure, token=who.token, key=who.key, on_device=on_device)

    endpoint(Measure, evaluate_run, name="evaluate_run", personal=True, extra=RUN,
             text="Measure base against tuned on the run's held-out rows: scores with intervals, losses, length, latency, rows won "
                  "and lost. The last document has the verdict.")  # fmt: skip
    endpoint(Publish, lambda who, settings, run: publish(runs.find(who.owner, run), settings, token=who.token),
             name="publish_run", personal=True, extra=RUN,
             text="Push a run's adapter with a model card to the Hub, read it back and compare. Give your token "
                  "(oauth_token, or the header X-HF-Token).")  # fmt: skip
