"""What a Job on Hugging Face runs (tuning/launch/jobs.py): the run that came with it, its events printed, its results sent back."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from prompts.errors import reason_of
from prompts.words import dumps
from tuning.base import FILE as BASE
from tuning.launch.jobs import EVENT


def main() -> int:
    home, run_id = Path("home").absolute(), os.environ["RUN"]
    os.environ["PROMPT_OR_TUNE_HOME"] = str(home)
    from huggingface_hub import HfApi

    from prompts.home import LOCAL
    from tuning import run as runs
    from tuning.evaluate import evaluate
    from tuning.execute import execute

    folder = home / "owners" / LOCAL / "runs" / run_id
    came = Path("../job") / run_id
    shutil.copytree(came / "run", folder)
    if (came / "checkpoints").is_dir():
        shutil.copytree(came / "checkpoints", folder / "checkpoints")
    run = runs.Run(LOCAL, run_id, folder)
    run.set_state("starting")
    send = _Sender(HfApi(), os.environ["REPO"], run_id)
    try:
        for number, event in enumerate(execute(run, then=evaluate), 1):
            print(EVENT + (dumps({**event, "job_event": number})), flush=True)
            send.checkpoints(event, folder)
    except Exception as error:
        print(EVENT + (dumps({"event": "failed", "reason": reason_of(error), "job_event": 10**9})), flush=True)
        return 1
    finally:
        send.results(folder)
    return 0


class _Sender:
    """Brings checkpoints and results to the visitor's data set, as far as the Hub takes them."""

    def __init__(self, api: Any, repo: str, run: str) -> None:
        self._api, self._repo, self._run = api, repo, run
        self._due = False

    def checkpoints(self, event: dict[str, Any], folder: Path) -> None:
        """After each epoch: what the run could go on from, if the Job's time ended."""
        if event["event"] == "step" and self._due:
            self._upload(folder / "checkpoints", "checkpoints")
        self._due = event["event"] in ("evaluation", "sample") or (self._due and event["event"] != "step")

    def results(self, folder: Path) -> None:
        out = Path("out")
        out.mkdir()
        if (folder / "adapter").is_dir():
            shutil.copytree(folder / "adapter", out / "adapter")
        for name in ("evaluation.json", BASE):
            if (folder / name).is_file():
                shutil.copy(folder / name, out)
        if any(out.iterdir()):
            self._upload(out, "out")
        if (folder / "checkpoints").is_dir():  # it was cancelled or failed
            self._upload(folder / "checkpoints", "checkpoints")

    def _upload(self, folder: Path, name: str) -> None:
        try:
            self._api.upload_folder(repo_id=self._repo, repo_type="dataset", folder_path=folder, path_in_repo=f"{self._run}/{name}",
                                    delete_patterns="*", commit_message=f"{name} of run {self._run}")  # fmt: skip
        except Exception as error:  # the training is worth more than a checkpoint; the follower says so of results
            print(f"{name} could not be sent: {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
