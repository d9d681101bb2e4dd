"""The app as a Space, pushed to a Hub that speaks the real protocol."""

import re
from typing import Any

import pytest

from prompts.errors import UserError
from tests.hub_server import Repo
from tests.test_architecture import ROOT
from tuning.__main__ import COMMANDS
from tuning.deploy import Deploy, deploy
from tuning.launch.jobs import _code


def test_the_app_is_pushed_whole_and_private(hub: Any) -> None:
    found = deploy(Deploy(repo_id="mine"), token="hf_writer")
    files = hub.files("spaces/ana/mine")
    assert found["repo"] == "ana/mine" and found["private"] and hub.repos["spaces/ana/mine"].private
    wanted = {"app.py", "README.md", "prompts/__main__.py", "tuning/deploy.py", "prompts/samples/support_emails.jsonl"}
    linked = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", (ROOT / "README.md").read_text())
    assert wanted | set(linked) <= set(files) and len(linked) > 3
    assert files["app.py"] == (ROOT / "app.py").read_bytes() and files["README.md"].startswith(
        b"---\ntitle: Prompt or Tune"
    )
    assert not [name for name in files if "__pycache__" in name or name.startswith(("tests", "."))]
    assert found["files"] == len(set(files) - {".gitattributes"})


def test_a_name_that_is_taken_is_updated_only_when_asked(hub: Any) -> None:
    hub.repos["spaces/ana/mine"] = Repo(False, [("1" * 40, {"prompts/old.py": b"x", "notes.txt": b"mine"})])
    with pytest.raises(UserError, match="exists already"):
        deploy(Deploy(repo_id="ana/mine"), token="hf_writer")
    with pytest.raises(UserError, match="exists and is public"):
        deploy(Deploy(repo_id="ana/mine", update=True), token="hf_writer")
    assert hub.files("spaces/ana/mine") == {"prompts/old.py": b"x", "notes.txt": b"mine"}
    deploy(Deploy(repo_id="ana/mine", update=True, private=False, hardware="t4-small"), token="hf_writer")
    assert hub.hardware == {"spaces/ana/mine": "t4-small"}
    files = hub.files("spaces/ana/mine")
    assert "prompts/old.py" not in files and files["notes.txt"] == b"mine", "what is not the app's stays"


@pytest.mark.parametrize(("token", "said"), [("hf_reader", "may not write"), ("hf_nobody", "does not know the token")])
def test_tokens_that_may_not_are_told(hub: Any, token: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        deploy(Deploy(repo_id="ana/mine"), token=token)
    assert not hub.repos


def test_the_command_and_the_jobs_code() -> None:
    assert "deploy" in COMMANDS and len(_code()) > 50_000
