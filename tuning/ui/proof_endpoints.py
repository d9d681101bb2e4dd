"""The public endpoints on results: evaluation, the ladder, publication."""

from collections.abc import Iterator
from inspect import Parameter
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.following import paced
from prompts.home import scratch
from prompts.ui.forms import endpoint
from prompts.ui.visitor import Caller
from tuning import run as runs
from tuning.data.sources import open_table
from tuning.distil import Distil, distil
from tuning.evaluate import Measure, evaluate
from tuning.export import Export, exported_file
from tuning.harm.screen import screen
from tuning.ladder import report, work
from tuning.ladder.settings import LadderSettings
from tuning.launch.start import start_ladder
from tuning.monitor import Watched, document, score_again
from tuning.publish import Publish, publishing
from tuning.ui.parameters import DATA, RUN, source_of, to_download
from tuning.ui.work_endpoints import Kind, work_endpoints


def _exported(who: Caller, settings: Export, run: str) -> Iterator[dict[str, Any]]:
    folder = scratch() / f"export-{run[-6:]}"
    for event in exported_file(runs.find(who.owner, run), settings, folder, token=who.token):
        if event["event"] == "exported":
            del event["folder"]
            event["file"] = gr.FileData(path=event["file"]).model_dump()
        yield event


def _published(who: Caller, settings: Publish, run: str) -> Iterator[dict[str, Any]]:
    yield from publishing(runs.find(who.owner, run), settings, token=who.token)


def _ladder_endpoints(on_device: OnDevice) -> None:
    def distilled(
        who: Caller, settings: Distil, ladder: str, file: Any = None, data: str = "", dataset: str = ""
    ) -> Iterator[dict[str, Any]]:
        given = any((file, data, dataset))
        table = open_table(who.owner, source_of(who, file, data, dataset)) if given else None
        found = work.find(who.owner, ladder)
        events = distil(found, settings, table, token=who.token, key=who.key, on_device=on_device)
        for event in paced(events, moved=True):
            for name in ("file", "pairs_file"):
                if copy := to_download(event.get(name)):
                    event[name] = gr.FileData(path=copy).model_dump()
            yield event

    def climb(who: Caller, settings: LadderSettings, run: str) -> dict[str, Any]:
        ladder = work.create(runs.find(who.owner, run), settings)
        start_ladder(ladder, who.token, who.key, on_device)
        return report.snapshot(ladder)

    kind = Kind(
        what="ladder", find=work.find, snapshot=report.snapshot,
        begin=lambda who, ladder: start_ladder(ladder, who.token, who.key, on_device),
        id="The ladder's id, as /ladder returns it.",
        status="Where a ladder stands: its rungs with scores, costs and verdicts, and the advice.",
        cancel="Stop a ladder after the reply in hand; what was answered is kept.",
        resume="Go on with a cancelled, failed or dead ladder where it stopped.",
        delete="Remove a ladder; its run and the cached replies stay.",
    )  # fmt: skip
    work_endpoints(kind)
    endpoint(Distil, distilled, name="distil", personal=True, extra={**kind.given, **DATA},
             text="Make training data of what a ladder's best prompt answers: rows on which m of n answers agree, with the short "
                  "prompt, and preference pairs. No data: the run's training rows. The last document has the data's source for "
                  "/start_run, and the files.")  # fmt: skip
    endpoint(LadderSettings, climb, name="ladder", personal=True, extra=RUN,
             text="Ask a run's held-out rows in every way, from a plain question over prompt techniques to the fine-tune: "
                  "scores, verdicts, costs, break-even, one sentence of advice. Returns at once; see /ladder_status.")  # fmt: skip


def _monitor_endpoints(on_device: OnDevice) -> None:
    def score_model(
        who: Caller, settings: Watched, file: Any = None, data: str = "", dataset: str = ""
    ) -> Iterator[dict[str, Any]]:
        table = open_table(who.owner, source_of(who, file, data, dataset))
        events = score_again(who.owner, settings, table, token=who.token, key=who.key, on_device=on_device)
        yield from paced(events, moved=True)

    endpoint(Watched, score_model, name="score_model", personal=True, extra=DATA,
             text="Score any model (a Hub id, run:<id>, a server's) on new rows at any time; the last document has the score with "
                  "its interval, and a warning where it decisively dropped since the first time.")  # fmt: skip
    endpoint(None, lambda who, model: document(who.owner, model), name="score_history", personal=True,
             extra={"model": (str, Parameter.empty, "A model that was scored before.")},
             text="How a model scored, measurement by measurement.")  # fmt: skip


def publish_proof_endpoints(on_device: OnDevice) -> None:
    """Adds every endpoint to the current Blocks."""
    _ladder_endpoints(on_device)
    _monitor_endpoints(on_device)

    def evaluate_run(who: Caller, measure: Measure, run: str) -> Iterator[dict[str, Any]]:
        yield from evaluate(runs.find(who.owner, run), measure, token=who.token, key=who.key, on_device=on_device)

    endpoint(Measure, evaluate_run, name="evaluate_run", personal=True, extra=RUN,
             text="Measure base against tuned on the run's held-out rows: scores with intervals, losses, length, latency, rows won "
                  "and lost. The last document has the verdict.")  # fmt: skip

    def harm_card(who: Caller, run: str) -> Iterator[dict[str, Any]]:
        yield from screen(runs.find(who.owner, run), token=who.token, on_device=on_device)

    endpoint(None, harm_card, name="harm_card", personal=True, extra=RUN,
             text="Screen a run for forgetting and harm, before and after: general text, checkable instructions, pairs of "
                  "sentences that differ in the group named, held-out rows with people exchanged.")  # fmt: skip
    endpoint(Export, _exported, name="export_run", personal=True, extra=RUN,
             text="A run as a file to download: adapter, merged model, or GGUF for llama.cpp and Ollama, compared with the adapter "
                  "on held-out rows. The last document has the file.")  # fmt: skip
    endpoint(Publish, _published, name="publish_run", personal=True, extra=RUN,
             text="Push a run to the Hub as adapter, merged model or GGUF, with a model card; it is read back, loaded in a fresh "
                  "process and compared before it is called published. Give your token (oauth_token, or the header X-HF-Token)."
             )  # fmt: skip
