"""run -> Hub repo: created private, uploaded, read back and compared before it says done."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.home import adapter_folder, on_space
from prompts.models import BASE_FILE
from prompts.settings import Settings, knob
from tuning.card import card
from tuning.run import Run
from tuning.work import write_json


class Publish(Settings):
    """Where to publish and who may see it."""

    repo_id: str = knob(
        title="Repository",
        min_length=1,
        max_length=200,
        help="Name, or owner/name, of the model repository on the Hub.",
    )
    private: bool = knob(True, title="Private", help="Only you can see a private repository.")
    update: bool = knob(
        False, title="Add to an existing repository", advanced=True,
        help="Otherwise a name that is taken is refused, unless this run was published there before.",
    )  # fmt: skip


def publish(run: Run, settings: Publish, *, token: str | None) -> dict[str, Any]:
    """Uploads the adapter with its tokenizer and model card, reads every file back and compares it.

    Returns {"run", "repo", "url", "revision", "private", "files"}; the same is kept as published.json.
    Raises UserError for a name or a token that has to change, WorldError where the Hub refuses; the adapter stays as it is.
    """
    from huggingface_hub import HfApi

    adapter = adapter_folder(run.owner, run.id)
    if token is None and on_space():
        raise UserError("sign in with Hugging Face, or give a token with write access", field="token")
    if token is not None and not token.isascii():
        raise UserError("a token has no such characters; copy it again", field="token")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    with hub_refusals(settings.repo_id), tempfile.TemporaryDirectory() as scratch:
        repo = _create(api, run, settings)
        folder = Path(scratch) / "adapter"
        shutil.copytree(adapter, folder, ignore=shutil.ignore_patterns(BASE_FILE))
        (folder / "README.md").write_text(card(run, repo), encoding="utf-8")
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Adapter of run {run.id}")
        files = _read_back(api, repo, commit.oid, folder, Path(scratch) / "back")
    document = {
        "run": run.id, "repo": repo, "url": f"{api.endpoint}/{repo}", "revision": commit.oid, "private": settings.private,
        "files": files, "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    write_json(run.folder / "published.json", document)
    return document


def _create(api: Any, run: Run, settings: Publish) -> str:
    """The full name of the repository, made if need be."""
    from huggingface_hub.errors import HfHubHTTPError

    name = settings.repo_id.strip()
    repo = name if "/" in name else f"{api.whoami()['name']}/{name}"
    known = run.folder / "repos.json"  # what this run has made, also where the upload broke off afterwards
    made = json.loads(known.read_text("utf-8")) if known.is_file() else []
    mine = repo in made
    try:
        api.create_repo(repo, private=settings.private, exist_ok=mine or settings.update)
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 409:
            raise UserError(f"{repo} exists already; choose another name, or set update", field="repo_id") from None
        raise
    write_json(known, sorted({*made, repo}))
    if api.repo_info(repo).private != settings.private:
        is_now = "public" if settings.private else "private"
        raise UserError(
            f"{repo} exists and is {is_now}; set private to match it, or choose another name", field="private"
        )
    return repo


def _read_back(api: Any, repo: str, revision: str, folder: Path, back: Path) -> list[str]:
    """Downloads every file of the revision just made and compares its bytes. Raises WorldError naming what differs."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in files:
        found = Path(api.hf_hub_download(repo, name, revision=revision, local_dir=back))
        if _digest(found) != _digest(folder / name):
            raise WorldError(f"{repo} was written, but {name} came back different; publish again")
    return files


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_STATUS = {
    401: "the Hub does not know the token; sign in again, or make a new token with write access",
    403: "the token may not write to {repo}; use a token with write access to that owner",
    412: "{repo} changed meanwhile; try again",
    429: "the Hub asks to wait (too many requests); try again in some minutes",
}


@contextmanager
def hub_refusals(repo: str) -> Iterator[None]:
    """Turns the Hub's refusals into sentences."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HFValidationError as error:
        raise UserError(f"{repo!r} is not a valid name: {str(error).splitlines()[0]}", field="repo_id") from None
    except LocalTokenNotFoundError:
        raise UserError("no token: run `hf auth login`, set HF_TOKEN, or give one", field="token") from None
    except HfHubHTTPError as error:
        raise _refusal(repo, error) from None
    except (OfflineModeIsEnabled, OSError) as error:
        raise WorldError(f"the Hub cannot be reached: {str(error)[:200]}; nothing is lost, try again later") from None
    except Exception as error:
        if "httpx" not in type(error).__module__:
            raise
        raise WorldError(f"the connection to the Hub broke: {str(error)[:200]}; nothing is lost, try again") from None


def _refusal(repo: str, error: Any) -> UserError | WorldError:
    status = error.response.status_code if error.response is not None else 0
    if status in (401, 403):
        return UserError(_STATUS[status].format(repo=repo), field="token")
    if status in _STATUS:
        return WorldError(_STATUS[status].format(repo=repo))
    if status >= 500 or status == 0:
        return WorldError(f"the Hub failed (status {status}); nothing is lost, try again later")
    return WorldError(f"the Hub refused (status {status}): {error.server_message or str(error)[:200]}")
