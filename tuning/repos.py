"""Repositories of the Hub: made, written, read back."""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from prompts.downloads import bar, told_of
from prompts.errors import UserError, WorldError
from prompts.events import Event
from prompts.words import say
from tuning.launch.apart import Died, told_apart
from tuning.launch.upload import uploaded
from tuning.run import Run
from tuning.work import write_json

Kind = Literal["model", "dataset", "space"]


def full_name(api: Any, name: str) -> str:
    """name -> owner/name, where the owner is the token's."""
    name = name.strip()
    return name if "/" in name else f"{api.whoami()['name']}/{name}"


def create_repo(api: Any, run: Run, repo: str, *, private: bool, update: bool = False, kind: Kind = "model") -> None:
    """Makes the repository, unless this run did before. Raises UserError where the name is taken, or is not as private as asked."""
    from huggingface_hub.errors import HfHubHTTPError

    noted = run.folder / "repos.json"  # what this run has made, also where the upload broke off afterwards
    made = json.loads(noted.read_text("utf-8")) if noted.is_file() else []
    key = repo if kind == "model" else f"{kind}:{repo}"
    try:
        api.create_repo(repo, private=private, repo_type=kind, space_sdk="gradio" if kind == "space" else None)
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        if key not in made and not update and not _is_empty(api, repo, kind):
            raise UserError(
                "{repo} exists already; choose another name, or set update", repo=repo, field="repo_id"
            ) from None
    write_json(noted, sorted({*made, key}))
    if api.repo_info(repo, repo_type=kind).private != private:
        is_now = say("public") if private else say("private")
        raise UserError(
            "{repo} exists and is {is_now}; set private to match it, or choose another name", repo=repo, is_now=is_now,
            field="private",
        )  # fmt: skip


def _is_empty(api: Any, repo: str, kind: str) -> bool:
    """A repository that nothing was put into: one of ours whose making was answered by a broken connection, or as good as that."""
    return not set(api.list_repo_files(repo, repo_type=kind)) - {".gitattributes", "README.md"}


def push(
    api: Any, repo: str, folder: Path, commit: str, *, kind: Kind = "model", gone: Sequence[str] = ()
) -> Generator[Event, None, str]:
    """Writes a folder in one `commit` so called, without the files that are `gone`; returns its revision. Yields
    "uploading" (repo, done, of: bytes). Closing the iterator ends the upload. Raises as `hub_refusals`.
    """
    old = sorted(set(gone) & set(api.list_repo_files(repo, repo_type=kind))) if gone else []
    document = {
        "repo": repo, "kind": kind, "folder": str(folder), "files": sizes(folder), "gone": old, "message": commit,
        "endpoint": api.endpoint, "token": api.token,
    }  # fmt: skip
    event = {"event": "uploading", "repo": repo, "done": 0, "of": sum(document["files"].values())}
    try:
        found = yield from told_apart(uploaded, document, event)
    except Died as died:
        raise WorldError("the upload's process ended: {reason}; nothing is lost, try again", reason=str(died)) from None
    return str(found["revision"])


def read_back(api: Any, repo: str, revision: str, folder: Path, back: Path) -> Iterator[Event]:
    """Downloads every file of a revision and compares its bytes with the folder's; yields "reading_back" (repo, done, of:
    bytes). Raises WorldError naming what differs.
    """
    files = sizes(folder)
    of, done = sum(files.values()), 0
    event = {"event": "reading_back", "repo": repo, "done": 0, "of": of}
    yield event
    for name, size in files.items():

        def bring(name: str = name) -> Any:
            return api.hf_hub_download(repo, name, revision=revision, local_dir=back, tqdm_class=bar())

        for told in told_of(bring):
            yield {**event, "done": done + told.get("done", size)}  # what it ends with counts nothing
        if _digest(back / name) != _digest(folder / name):
            raise WorldError("{repo} was written, but {name} came back different; publish again", repo=repo, name=name)
        done += size


def sizes(folder: Path) -> dict[str, int]:
    """The bytes of every file."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
