"""Publishing to a Hub that speaks the real protocol, and every refusal it may give."""

from typing import Any

import pytest
from starlette.responses import Response

from prompts.errors import UserError, WorldError
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.evaluate import evaluate
from tuning.publish import Publish, publish


@pytest.fixture
def finished(tiny: str) -> runs.Run:
    return executed(runs.create("local", table(), recipe(tiny), COLUMNS), then=evaluate)


def test_an_adapter_is_published_private_with_a_card_and_read_back(finished: runs.Run, hub: Any) -> None:
    document = publish(finished, Publish(repo_id="my-emails"), token="hf_writer")
    assert document["repo"] == "ana/my-emails" and document["private"]
    files = hub.files("ana/my-emails")
    assert set(document["files"]) == set(files)
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "README.md"} <= set(files)
    card = files["README.md"].decode()
    assert "exact match" in card and "8 held-out" not in card.split("---")[0]
    assert finished.about["fingerprint"] in card
    assert not [name for name, body in files.items() if finished.recipe.model.encode() in body], (
        "no path of this machine"
    )
    assert runs.snapshot(runs.find("local", finished.id))["published"]["revision"] == document["revision"]
    again = publish(finished, Publish(repo_id="ana/my-emails"), token="hf_writer")
    assert again["repo"] == document["repo"], "the same run may publish again"
    with pytest.raises(UserError, match="exists and is private"):
        publish(finished, Publish(repo_id="ana/my-emails", private=False), token="hf_writer")
    with pytest.raises(UserError, match="no such characters"):
        publish(finished, Publish(repo_id="ana/my-emails"), token="hf_wrïter")


@pytest.mark.parametrize(
    ("repo", "token", "kind", "message"),
    [
        ("a b", "hf_writer", UserError, "not a valid name"),
        ("x", "hf_wrong", UserError, "does not know the token"),
        ("x", "hf_reader", UserError, "may not write"),
        ("ben/x", "hf_writer", UserError, "may not write"),
        ("taken", "hf_writer", UserError, "exists already"),
    ],
)
def test_wrong_names_and_tokens(finished: runs.Run, hub: Any, repo: str, token: str, kind: type, message: str) -> None:
    from tests.hub_server import Repo

    hub.repos["ana/taken"] = Repo(True)
    with pytest.raises(kind, match=message):
        publish(finished, Publish(repo_id=repo), token=token)
    assert runs.snapshot(finished)["published"] is None
    assert list(hub.repos) == ["ana/taken"]


@pytest.mark.parametrize(("status", "message"), [(429, "asks to wait"), (412, "changed meanwhile")])
def test_a_refused_commit_loses_nothing(finished: runs.Run, hub: Any, status: int, message: str) -> None:
    hub.fault = lambda line: Response(status_code=status) if "/commit/" in line else None
    with pytest.raises(WorldError, match=message):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert runs.snapshot(finished)["published"] is None
    hub.fault = lambda line: None
    assert publish(finished, Publish(repo_id="x"), token="hf_writer")["repo"] == "ana/x", "no second repo, no refusal"


def test_a_file_that_comes_back_different_is_not_called_published(finished: runs.Run, hub: Any) -> None:
    hub.fault = lambda line: (
        Response(b"{}", headers={"X-Repo-Commit": "0" * 40, "ETag": '"x"'})
        if line.endswith("adapter_config.json")
        else None
    )
    with pytest.raises(WorldError, match=r"adapter_config.json came back different"):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert runs.snapshot(finished)["published"] is None


def test_no_network_is_a_sentence(finished: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WorldError, match="nothing is lost"):
        publish(finished, Publish(repo_id="ana/x"), token="hf_writer")


def test_a_space_never_uses_its_own_token(finished: runs.Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    with pytest.raises(UserError, match="sign in"):
        publish(finished, Publish(repo_id="ana/x"), token=None)
    assert not hub.requests
