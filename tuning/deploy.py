"""This app as a Space of one's own: the code goes to the Hub and is read back; the Space builds itself from it."""

from pathlib import Path
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.settings import Settings, knob
from tuning.hub import hub_api, hub_refusals
from tuning.repos import full_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("prompts", "tuning")
FILES = (
    "app.py", "requirements.txt", "constraints-oldest.txt", "constraints-newest.txt", "README.md", "CHANGELOG.md", "SECURITY.md",
    "CONTRIBUTING.md", "LICENSE", "docs/start.png", "docs/compare.png", "docs/fine-tune.png", "docs/colab.ipynb",
)  # fmt: skip


class Deploy(Settings):
    """Where the Space goes, on what it runs, and who may see it."""

    repo_id: str = knob(
        title="Space", min_length=1, max_length=200, help="Name, or owner/name, of the Space on the Hub."
    )
    private: bool = knob(True, title="Private", help="Only you can see a private Space.")
    hardware: str = knob(
        "", title="Hardware", pattern=r"^[a-z0-9-]{0,40}$",
        help="For instance cpu-upgrade, t4-small or zero-a10g, which you pay for; empty: the Hub's free one, or what it has.",
    )  # fmt: skip
    update: bool = knob(
        False, title="Update", help="Replace the code of a Space that is there already; otherwise its name is refused."
    )


def code_files(*files: str) -> list[Path]:
    """The app's own code, and these files of its folder; paths below ROOT."""
    found = [path for part in PACKAGES for path in sorted((ROOT / part).rglob("*")) if path.is_file()]
    return [*(path for path in found if "__pycache__" not in path.parts), *(ROOT / name for name in files)]


def deploy(settings: Deploy, *, token: str | None) -> dict[str, Any]:
    """Makes the Space and pushes the code: {"repo", "url", "revision", "private", "hardware", "files"}.

    Raises UserError for a name or a token that has to change, WorldError where the Hub refuses or keeps something else.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = hub_api(token)
    here = {path.relative_to(ROOT).as_posix(): path for path in code_files(*FILES)}
    with hub_refusals(settings.repo_id):
        repo = full_name(api, settings.repo_id)
        _make(api, repo, settings)
        before = set(api.list_repo_files(repo, repo_type="space"))
        stale = [name for name in before - set(here) if name.split("/")[0] in PACKAGES]
        operations = [CommitOperationAdd(name, path) for name, path in here.items()]
        commit = api.create_commit(
            repo,
            [*operations, *(CommitOperationDelete(name) for name in stale)],
            repo_type="space",
            commit_message="Prompt or Tune",
        )
        there = set(api.list_repo_files(repo, repo_type="space", revision=commit.oid))
    if missing := sorted(set(here) - there):
        raise WorldError(
            "the Hub does not hold {names} of {repo}; deploy again with --update",
            names=", ".join(missing[:3]),
            repo=repo,
        )
    return {
        "repo": repo, "url": f"{api.endpoint}/spaces/{repo}", "revision": commit.oid, "private": settings.private,
        "hardware": settings.hardware or "as it is: the Hub's free one, if it is new", "files": len(here),
    }  # fmt: skip


def _make(api: Any, repo: str, settings: Deploy) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(
            repo,
            private=settings.private,
            repo_type="space",
            space_sdk="gradio",
            space_hardware=settings.hardware or None,
        )
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        if not settings.update:
            raise UserError(
                "{repo} exists already; choose another name, or set update", repo=repo, field="repo_id"
            ) from None
        if (is_private := bool(api.repo_info(repo, repo_type="space").private)) != settings.private:
            is_now = "private" if is_private else "public"
            raise UserError(
                "{repo} exists and is {is_now}; set private to match it", repo=repo, is_now=is_now, field="private"
            ) from None
        if settings.hardware:
            api.request_space_hardware(repo, settings.hardware)
