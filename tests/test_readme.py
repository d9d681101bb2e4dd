"""Every snippet of the README does what it says."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prompts.__main__ import COMMANDS as PROMPTS
from prompts.commands import Command, main
from prompts.rows import sample_table
from tests.serving import ROOT, nothing_left_at_work, serving
from tuning.__main__ import COMMANDS as TUNING

README = (ROOT / "README.md").read_text(encoding="utf-8")
WHOLE = re.compile(r"-m (prompts|tuning) (?!train \.\.\.)\w")  # a command that is not cut short
SHELL = [
    shlex.split(line.partition(">")[0], comments=True)
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if WHOLE.search(line)
]
CODE = {
    "gradio_client": ("python", "from gradio_client"),
    "curl": ("sh", "curl -s"),
    "mcp": ("python", "from mcp"),
}


def block(language: str, part: str) -> str:
    """The one block of code in the README that has a part."""
    (found,) = [
        code
        for code in re.findall(rf"```{language}\n(.*?)```", README.replace("\n  ", "\n"), re.DOTALL)
        if part in code
    ]
    return str(found)


@pytest.mark.parametrize("words", SHELL, ids=lambda words: " ".join(words)[:60])
def test_every_command_of_the_readme_is_one(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at = words.index("-m") + 1
    called = []
    commands = {
        name: Command(one.flags, lambda flags, _show: called.append(flags), one.help)
        for name, one in {"prompts": PROMPTS, "tuning": TUNING}[words[at]].items()
    }
    assert main(words[at], commands, words[at + 1 :]) == 0 and called


@pytest.mark.slow
@pytest.mark.usefixtures("embedded")
def test_the_snippets_for_python_curl_and_mcp_run(home: Path, tmp_path: Path) -> None:
    rows = sample_table("support_emails").rows
    with (tmp_path / "emails.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:60])
    with nothing_left_at_work(home), serving(home) as url:
        said = {name: ran(language, block(language, part), url, tmp_path) for name, (language, part) in CODE.items()}
    answer, *_, status = said["gradio_client"].strip().splitlines()
    assert answer and "'run'" in status
    assert "event: complete" in said["curl"] and said["mcp"].strip()


def ran(language: str, code: str, url: str, folder: Path) -> str:
    """What a snippet prints, asked of the app at `url`."""
    code = code.replace("http://localhost:7860", url).replace("localhost:7860", url.removeprefix("http://"))
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_notebook_starts_the_app() -> None:
    notebook: Any = json.loads((ROOT / "docs" / "colab.ipynb").read_text(encoding="utf-8"))
    lines = [line for cell in notebook["cells"] if cell["cell_type"] == "code" for line in cell["source"]]
    assert notebook["nbformat"] == 4 and any("python app.py" in line for line in lines)
    assert any("requirements.txt" in line for line in lines) and (ROOT / "requirements.txt").is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:|#)[^)]+)\)", README))))
def test_what_the_readme_shows_is_there(target: str) -> None:
    assert (ROOT / target).is_file()
