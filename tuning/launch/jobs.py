"""A run on Hugging Face Jobs: the visitor's own account and credit, the same recipe, the same run folder brought back.

The run's folder and this app's code go into a private data set of the visitor's (REPO); the Job trains there, prints its events,
and writes what came of it back. The follower, a child process of this machine, copies the events into the run's folder as they
come, so that the page, the shell and the API see the run as any other.
"""

import io
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.models import BASE_FILE, hub_id
from prompts.settings import Settings, knob
from tuning.deploy import ROOT, code_files
from tuning.hub import hub_refusals
from tuning.run import JOB, Run
from tuning.work import durable, write_json

REPO = "prompt-or-tune-jobs"
IMAGE = "python:3.12"
EVENT = "EVENT "  # before each event in the Job's log
_INPUTS = ("recipe.json", "columns.json", "split.json", "about.json", "rows.jsonl", "rows.index", "held_out.jsonl", "*.keys",
           "forecast.json")  # fmt: skip
_SCRIPT = """set -e
export HF_HUB_DISABLE_PROGRESS_BARS=1
python -m pip install -q huggingface_hub
python - <<'END'
import os, zipfile
from huggingface_hub import snapshot_download
run = os.environ["RUN"]
snapshot_download(os.environ["REPO"], repo_type="dataset", allow_patterns=f"{run}/*", local_dir="job")
zipfile.ZipFile(f"job/{run}/code.zip").extractall("app")
END
cd app
python -m pip install -q -r requirements.txt
python -m tuning.launch.in_job
"""


class JobSettings(Settings):
    """Where a Job runs and for how long at most."""

    flavor: str = knob(
        "t4-small", title="Hardware", help="A flavor of Hugging Face Jobs, for instance t4-small, l4x1, a10g-small or a100-large.",
        pattern=r"^[\w-]{2,40}$",
    )  # fmt: skip
    minutes: int = knob(
        60, title="Longest time", unit="minutes", ge=1, le=10080,
        help="The Job is stopped then. You pay for the minutes that it used, from your own credit.",
    )  # fmt: skip


def price(settings: JobSettings, token: str | None) -> dict[str, Any]:
    """{"flavor", "hardware", "dollars_per_minute", "most_dollars"} as the Hub says. Raises UserError for an unknown flavor."""
    with hub_refusals(REPO):
        offered = _api(token).list_jobs_hardware()
    found = next((item for item in offered if item.name == settings.flavor), None)
    if found is None:
        names = ", ".join(item.name for item in offered)
        raise UserError(
            "Jobs have no hardware {flavor!r}; there are {names}", flavor=settings.flavor, names=names, field="flavor"
        )
    minutes = {"minute": 1, "hour": 60, "second": 1 / 60}.get(found.unit_label)
    if minutes is None:
        raise WorldError(
            "the Hub prices {flavor} by the {unit_label}, which this app does not know",
            flavor=settings.flavor,
            unit_label=found.unit_label,
        )
    minute = found.unit_cost_usd / minutes
    return {
        "flavor": found.name, "hardware": f"{found.pretty_name}, {found.cpu}, {found.ram}",
        "dollars_per_minute": round(minute, 6), "most_dollars": round(minute * settings.minutes, 4),
    }  # fmt: skip


def prepare(run: Run, settings: JobSettings, token: str | None) -> None:
    """Checks what can be checked before, and notes in the run's folder that it goes to a Job. Raises UserError, WorldError."""
    if hub_id(run.recipe.model) is None:
        raise UserError("a Job cannot see a folder of this machine; name a model of the Hub", field="model")
    write_json(run.folder / JOB, {**settings.to_json(), **price(settings, token)})


class Jobs:
    """What is asked of the Hub for one run. Raises UserError and WorldError as `hub_refusals` does."""

    def __init__(self, run: Run, token: str) -> None:
        self._run, self._token, self._api = run, token, _api(token)
        self._job = run.job or {}
        with hub_refusals(REPO):
            self._user = str(self._api.whoami()["name"])
        self.repo = f"{self._user}/{REPO}"

    def submit(self) -> None:
        """Uploads the run with the code, and starts the Job; one whose end was not seen yet is kept.

        Raises UserError where the visitor's data set is public.
        """
        if "job" in self._job and "ended" not in self._job:
            return
        with hub_refusals(self.repo), tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            self._bundle(folder)
            self._api.create_repo(self.repo, repo_type="dataset", private=True, exist_ok=True)
            if not self._api.repo_info(self.repo, repo_type="dataset").private:
                raise UserError(
                    "your data set {repo} is public; make it private first, as rows go there",
                    repo=self.repo,
                    field="token",
                )
            self._api.upload_folder(repo_id=self.repo, repo_type="dataset", folder_path=folder, path_in_repo=self._run.id,
                                    delete_patterns=["run/*", "out/*"], commit_message=f"Run {self._run.id}")  # fmt: skip
            endpoint = {"HF_ENDPOINT": self._api.endpoint} if os.environ.get("HF_ENDPOINT") else {}
            job = self._api.run_job(
                image=IMAGE, command=["bash", "-c", _SCRIPT], flavor=self._job["flavor"], timeout=60 * self._job["minutes"],
                env={"RUN": self._run.id, "REPO": self.repo, **endpoint}, secrets={"HF_TOKEN": self._token},
                name=f"prompt-or-tune-{self._run.id[:6]}", namespace=self._user,
            )  # fmt: skip
        self._job.pop("ended", None)
        self._note(job=job.id, url=job.url, namespace=self._user)

    def stage(self) -> str:
        """SCHEDULING, RUNNING, COMPLETED, ERROR, CANCELED or DELETED; time and cost so far are noted."""
        with hub_refusals(self.repo):
            found = self._api.inspect_job(job_id=self._job["job"], namespace=self._user)
        seconds = found.durations.running_secs if found.durations else None
        if seconds is not None:
            self._note(seconds=seconds, dollars=round(seconds / 60 * self._job["dollars_per_minute"], 4))
        return str(getattr(found.status.stage, "value", found.status.stage))

    def close(self, stage: str) -> None:
        """Notes that the Job's end was seen."""
        self._note(ended=stage)

    def logs(self) -> Any:
        """Lines of the Job's log from its start, until it ends."""
        return self._api.fetch_job_logs(job_id=self._job["job"], namespace=self._user, follow=True)

    def cancel(self) -> None:
        with hub_refusals(self.repo):
            self._api.cancel_job(job_id=self._job["job"], namespace=self._user)

    def bring_back(self) -> bool:
        """Copies what the Job wrote into the run's folder; False where it wrote nothing."""
        with hub_refusals(self.repo), tempfile.TemporaryDirectory() as scratch:
            self._api.snapshot_download(
                self.repo, repo_type="dataset", allow_patterns=f"{self._run.id}/out/*", local_dir=scratch
            )
            found = Path(scratch) / self._run.id / "out"
            if not found.is_dir():
                return False
            adapter = found / "adapter"
            if adapter.is_dir():
                (adapter / BASE_FILE).write_text(self._run.recipe.model, encoding="utf-8")
            for path in found.iterdir():
                target = self._run.folder / path.name
                shutil.rmtree(target, ignore_errors=True)
                shutil.move(path, target)
            durable(self._run.folder)
        return True

    def _bundle(self, folder: Path) -> None:
        for pattern in _INPUTS:
            for path in self._run.folder.glob(pattern):
                (folder / "run").mkdir(exist_ok=True)
                shutil.copy(path, folder / "run" / path.name)
        write_json(
            folder / "run" / "recipe.json",  # what is published is published from here
            self._run.recipe.changed(model=hub_id(self._run.recipe.model), hub_model_id="").to_json(),
        )
        (folder / "code.zip").write_bytes(_code())

    def _note(self, **values: Any) -> None:
        self._job |= values
        write_json(self._run.folder / JOB, self._job)


def _code() -> bytes:
    """This app's own code as a zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in code_files("requirements.txt"):
            archive.write(path, path.relative_to(ROOT))
    return data.getvalue()


def _api(token: str | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
