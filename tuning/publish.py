"""run -> Hub repo: created private, uploaded, read back, loaded in a fresh process and compared before it says done."""

import json
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompts.errors import AppError, UserError, WorldError
from prompts.events import Event
from prompts.home import adapter_folder
from prompts.kinds import LABELS_FILE
from prompts.messages import Prompt, message, prompt
from prompts.models import locate
from prompts.settings import knob
from prompts.usual import timed
from tuning.card import card, data_card
from tuning.demo_space import write_space
from tuning.evaluate import room
from tuning.export import Export, export
from tuning.hub import hub_api, hub_refusals
from tuning.launch.apart import Died, told_apart
from tuning.launch.round_trip import both
from tuning.published_base import base_at_hand, checked_base, pin, whole_or_on_hub
from tuning.repos import Kind, create_repo, full_name, push, read_back, sizes
from tuning.run import Run, used_columns
from tuning.work import write_json

PUSHED = "pushed.json"  # which files of this run are in which repository
ASKED = 3  # rows that both copies of the fine-tune answer
Pushing = Generator[Event, None, dict[str, Any]]  # its events, and {"repo", "url", "revision"}
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

    Events as `export`'s, then "uploading" and "reading_back" (repo, done, of: bytes), "loading_again" (repo, done, of: steps;
    passed, remaining: seconds), "uploading" of a data set and a Space, and last "published": {"run", "repo", "url", "revision",
    "private", "form", "files", "check", "round_trip", "data"?, "space"?}; the same is kept as published.json. Closing the iterator
    ends what is under way.

    Raises UserError for a name, a token or a base that has to change, WorldError where the Hub refuses or what came back differs;
    nothing here is lost by it, and publishing again goes on where it stopped.
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
        files, title, more = sorted(sizes(folder)), f"{settings.form.capitalize()} of run {run.id}", {}
        revision = yield from push(api, repo, folder, title, gone=_old_files(run, repo, folder))
        write_json(run.folder / PUSHED, {"repo": repo, "files": files})  # known also where what follows fails
        yield from read_back(api, repo, revision, folder, Path(scratch) / "back")
        compared = yield from _loaded_again(run, settings, folder, repo, revision, api)
        for name, add in (("data", _push_data), ("space", _push_space)):
            if getattr(settings, name):
                more[name] = yield from add(api, run, repo, settings, Path(scratch) / name)
    document = {
        "run": run.id, "repo": repo, "url": f"{api.endpoint}/{repo}", "revision": revision, "private": settings.private,
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


def _old_files(run: Run, repo: str, folder: Path) -> list[str]:
    """What this run published there before, and what is not part of what it publishes now; files of others stay."""
    file = run.folder / PUSHED
    before = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return [name for name in before.get("files", ()) if before.get("repo") == repo and not (folder / name).is_file()]


def _loaded_again(
    run: Run, settings: Publish, folder: Path, repo: str, revision: str, api: Any
) -> Generator[Event, None, dict[str, Any]]:
    """{"rows", "logits"}: both copies, loaded in a fresh process, say the same. Raises WorldError naming what differs."""
    labels = adapter_folder(run.owner, run.id) / LABELS_FILE
    prompts, references = _asked(run)
    document = {
        "form": settings.form, "folder": str(folder), "repo": repo, "revision": revision, "endpoint": api.endpoint,
        "token": api.token, "base": locate(run.recipe.model, run.owner)[0], "prompts": [one.as_dicts() for one in prompts],
        "labels": json.loads(labels.read_text("utf-8")) if labels.is_file() else None,
        "room": min(64, room(run.recipe.model, run.owner, references, api.token)),
    }  # fmt: skip
    try:
        of = 2 * (1 + len(prompts))
        asked = {"event": "loading_again", "repo": repo, "done": 0, "of": of, "passed": 0.0, "remaining": None}
        found = yield from timed(told_apart(both, document, asked), "loading_again", settings.form, run.recipe.model)
    except AppError as error:
        raise WorldError(
            "what was published could not be loaded in a fresh process: {error}", error=error.sentence()
        ) from None
    except Died as died:
        raise WorldError(
            "what was published could not be loaded in a fresh process: {reason}; publish again", reason=str(died)
        ) from None
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


def _push_data(api: Any, run: Run, repo: str, settings: Publish, folder: Path) -> Pushing:
    """The run's rows as a data set of their own."""
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
    return (yield from _push_more(api, name, folder, f"Rows of run {run.id}", "dataset"))


def _push_space(api: Any, run: Run, repo: str, settings: Publish, folder: Path) -> Pushing:
    """A Space that asks the published model."""
    name = f"{repo}-demo"
    write_space(run, repo, settings.form, folder)
    create_repo(api, run, name, private=settings.private, update=settings.update, kind="space")
    return (yield from _push_more(api, name, folder, f"Try run {run.id}", "space"))


def _push_more(api: Any, name: str, folder: Path, title: str, kind: Kind) -> Pushing:
    revision = yield from push(api, name, folder, title, kind=kind)
    return {"repo": name, "url": f"{api.endpoint}/{kind}s/{name}", "revision": revision}
