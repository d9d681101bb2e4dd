"""run -> Hub repo: created private, uploaded, read back, loaded in a fresh process and compared before it says done."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from prompts.downloads import bar, told_of
from prompts.errors import UserError, WorldError
from prompts.events import Event
from prompts.home import adapter_folder
from prompts.kinds import LABELS_FILE
from prompts.messages import Prompt, message, prompt
from prompts.models import locate
from prompts.settings import knob
from prompts.words import say
from tuning.card import card, data_card
from tuning.demo_space import write_space
from tuning.evaluate import room
from tuning.export import Export, export
from tuning.hub import hub_api, hub_refusals
from tuning.launch.process import round_trip
from tuning.published_base import base_at_hand, checked_base, pin, whole_or_on_hub
from tuning.run import Run, used_columns
from tuning.work import write_json

PUSHED = "pushed.json"  # which files of this run are in which repository
ASKED = 3  # rows that both copies of the fine-tune answer
PARTS = {"train": "train", "validation": "validation", "held_out": "test"}  # as `datasets` finds them


class Publish(Export):
    """Where to publish, in which form, and who may see it."""

    repo_id: str = knob(
        title="Repository",
        min_length=1,
        max_length=200,
        place=5,
        help="Name, or owner/name, of the model repository on the Hub.",
    )
    private: bool = knob(True, title="Private", place=6, help="Only you can see a private repository.")
    license: str = knob(
        "", title="Licence", place=15, pattern=r"^[a-z0-9.-]{0,40}$",
        help="The Hub's id of a licence, e.g. apache-2.0 or mit; it has to fit your base and your data. Empty: none is said.",
    )  # fmt: skip
    data: bool = knob(
        False, title="Publish the data as well", place=16,
        help="Its three parts as a data set, <repository>-data, as private as the model. Look for personal data first.",
    )  # fmt: skip
    space: bool = knob(
        False, title="Publish a Space to try it", place=16,
        help="<repository>-demo, a small Gradio app, as private as the model. Its examples are three of the held-out rows.",
    )  # fmt: skip
    delete_run: bool = knob(
        False, title="Delete the run here afterwards", advanced=True, place=18,
        help="Once it is published and was loaded again: its copy of the rows, checkpoints and adapter leave this machine. "
             "Data that you uploaded stays until you delete it.",
    )  # fmt: skip
    update: bool = knob(
        False, title="Add to an existing repository", advanced=True, place=17,
        help="Otherwise a name that is taken is refused, unless this run was published there before.",
    )  # fmt: skip


def publish(run: Run, settings: Publish, *, token: str | None) -> dict[str, Any]:
    """The document of `publishing`, once it is done."""
    event: Event = {}
    for event in publishing(run, settings, token=token):
        pass
    return {key: value for key, value in event.items() if key != "event"}


def publishing(run: Run, settings: Publish, *, token: str | None) -> Iterator[Event]:
    """Exports, uploads with tokenizer and card, reads every file back, and asks what came back in a fresh process.

    Events as `export`'s, then "uploading" (bytes), "reading_back" (done, of: bytes), "loading_again", "uploading_more" (what: data
    or space), and last "published": {"run", "repo", "url", "revision", "private", "form", "files", "check", "round_trip", "data"?,
    "space"?}; the same is kept as published.json. Raises UserError for a name, a token or a base that has to change, WorldError
    where the Hub refuses or what came back differs; nothing here is lost by it, and publishing again goes on where it stopped.
    """
    adapter_folder(run.owner, run.id)
    if settings.space and settings.form == "adapter" and not whole_or_on_hub(run):
        raise UserError("a Space cannot load the adapter of a base on this machine; publish it merged", field="space")
    api = hub_api(token)
    with hub_refusals(settings.repo_id), tempfile.TemporaryDirectory() as scratch:
        repo = full_name(api, settings.repo_id)
        base = checked_base(api, run)
        folder = Path(scratch) / "model"
        exported: Event = {}
        for exported in export(run, settings, folder, token=token):
            if exported["event"] != "exported":
                yield exported
        create_repo(api, run, repo, private=settings.private, update=settings.update)
        pin(folder, base)
        (folder / "README.md").write_text(card(run, repo, settings, base, exported["check"]), encoding="utf-8")
        yield {"event": "uploading", "repo": repo, "bytes": sum(_sizes(folder).values())}
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=f"{settings.form.capitalize()} of run {run.id}",
            delete_patterns=_old_files(run, repo, folder) or None,
        )  # fmt: skip
        write_json(
            run.folder / PUSHED, {"repo": repo, "files": sorted(_sizes(folder))}
        )  # known also where what follows fails
        yield from _read_back(api, repo, commit.oid, folder, Path(scratch) / "back")
        yield {"event": "loading_again", "repo": repo}
        compared = _loaded_again(run, settings, folder, repo, commit.oid, api.endpoint, token)
        files, more = sorted(_sizes(folder)), {}
        for name, push in (("data", _push_data), ("space", _push_space)):
            if getattr(settings, name):
                yield {"event": "uploading_more", "what": name}
                more[name] = push(api, run, repo, settings, Path(scratch) / name)
    document = {
        "run": run.id, "repo": repo, "url": f"{api.endpoint}/{repo}", "revision": commit.oid, "private": settings.private,
        "form": settings.form, "files": files,
        "base_at_hand": base_at_hand(run, settings.form), "check": exported["check"], "round_trip": compared, "base": base,
        **more,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    write_json(run.folder / "published.json", document)
    if settings.delete_run:
        run.delete()
    yield {"event": "published", **document, "deleted": settings.delete_run}


def reserve(run: Run, token: str | None) -> None:
    """Makes the run's private repository (recipe.hub_model_id) before anything is trained, which shows that the token may write.

    Raises as `publishing` does.
    """
    api = hub_api(token)
    with hub_refusals(run.recipe.hub_model_id):
        create_repo(api, run, full_name(api, run.recipe.hub_model_id), private=True)


def afterwards(run: Run, *, token: str | None) -> Iterator[Event]:
    """Publishes a run whose recipe names a repository: last "published", or "not_published" with the reason. Raises nothing
    expected: the run is finished in any case.
    """
    try:
        yield from publishing(run, Publish(repo_id=run.recipe.hub_model_id), token=token)
    except (UserError, WorldError) as error:
        yield {"event": "not_published", "repo": run.recipe.hub_model_id, "reason": error.sentence()}


def full_name(api: Any, name: str) -> str:
    """name -> owner/name, where the owner is the token's."""
    name = name.strip()
    return name if "/" in name else f"{api.whoami()['name']}/{name}"


def create_repo(
    api: Any,
    run: Run,
    repo: str,
    *,
    private: bool,
    update: bool = False,
    kind: Literal["model", "dataset", "space"] = "model",
) -> None:
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


def _old_files(run: Run, repo: str, folder: Path) -> list[str]:
    """What this run published there before, and what is not part of what it publishes now; files of others stay."""
    file = run.folder / PUSHED
    before = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return [name for name in before.get("files", ()) if before.get("repo") == repo and not (folder / name).is_file()]


def _read_back(api: Any, repo: str, revision: str, folder: Path, back: Path) -> Iterator[Event]:
    """Downloads every file of the revision just made and compares its bytes; yields "reading_back". Raises WorldError naming what
    differs.
    """
    sizes = _sizes(folder)
    of, done = sum(sizes.values()), 0
    yield {"event": "reading_back", "repo": repo, "done": 0, "of": of}
    for name, size in sizes.items():

        def bring(name: str = name) -> Any:
            return api.hf_hub_download(repo, name, revision=revision, local_dir=back, tqdm_class=bar())

        for told in told_of(bring):
            yield {"event": "reading_back", "repo": repo, "done": done + told.get("done", 0), "of": of}
        if _digest(back / name) != _digest(folder / name):
            raise WorldError("{repo} was written, but {name} came back different; publish again", repo=repo, name=name)
        done += size


def _sizes(folder: Path) -> dict[str, int]:
    """The bytes of every file."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loaded_again(
    run: Run, settings: Publish, folder: Path, repo: str, revision: str, endpoint: str, token: str | None
) -> dict[str, Any]:
    """{"rows", "logits"}: both copies, loaded in a fresh process, say the same. Raises WorldError naming what differs."""
    labels = adapter_folder(run.owner, run.id) / LABELS_FILE
    prompts, references = _asked(run)
    found = round_trip({
        "form": settings.form, "folder": str(folder), "repo": repo, "revision": revision, "endpoint": endpoint, "token": token,
        "base": locate(run.recipe.model, run.owner)[0], "prompts": [one.as_dicts() for one in prompts],
        "labels": json.loads(labels.read_text("utf-8")) if labels.is_file() else None,
        "room": min(64, room(run.recipe.model, run.owner, references, token)),
    })  # fmt: skip
    here, there = found["here"], found["there"]
    if here["answers"] != there["answers"]:
        at = next(
            at for at, pair in enumerate(zip(here["answers"], there["answers"], strict=True)) if pair[0] != pair[1]
        )
        raise WorldError(
            "{repo} was written, but what came back answers differently: {there!r} instead of {here!r}; publish again",
            repo=repo,
            there=there["answers"][at][:80],
            here=here["answers"][at][:80],
        )
    if here["digest"] != there["digest"]:
        raise WorldError(
            "{repo} was written, but what came back has other logits: {there} instead of {here}; publish again",
            repo=repo,
            there=there["top"][:3],
            here=here["top"][:3],
        )
    return {"rows": len(prompts), "logits": here["digest"]}


def _asked(run: Run) -> tuple[list[Prompt], list[str]]:
    """A few prompts, of held-out rows where there are any, with the right answers; of plain text, its beginning."""
    rows = list(run.part("held_out") or run.part("train"))[:ASKED]
    plain = [prompt(message("user", (row.answer[:60], "input"))) for row in rows]
    return [
        row.prompt if row.prompt.messages else text for row, text in zip(rows, plain, strict=True)
    ], [row.answer for row in rows]  # fmt: skip


def _push_data(api: Any, run: Run, repo: str, settings: Publish, folder: Path) -> dict[str, Any]:
    """The run's rows as a data set of their own, {"repo", "url", "revision"}."""
    name = f"{repo}-data"
    folder.mkdir()
    used = used_columns(run.columns)
    for part, file in PARTS.items():
        rows = [{column: run.table.rows[at][column] for column in used} for at in run.numbers(part)]
        if rows:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{file}.jsonl").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(data_card(run, name, repo, settings.license), encoding="utf-8")
    create_repo(api, run, name, private=settings.private, update=settings.update, kind="dataset")
    return _pushed(api, name, "dataset", folder, f"Rows of run {run.id}")


def _push_space(api: Any, run: Run, repo: str, settings: Publish, folder: Path) -> dict[str, Any]:
    """A Space that asks the published model, {"repo", "url", "revision"}."""
    name = f"{repo}-demo"
    write_space(run, repo, settings.form, folder)
    create_repo(api, run, name, private=settings.private, update=settings.update, kind="space")
    return _pushed(api, name, "space", folder, f"Try run {run.id}")


def _pushed(api: Any, name: str, kind: str, folder: Path, message: str) -> dict[str, Any]:
    commit = api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder, commit_message=message)
    return {"repo": name, "url": f"{api.endpoint}/{kind}s/{name}", "revision": commit.oid}
