"""Exports are executed and give the same outputs; imports take what they can and list the rest."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from prompts import imports
from prompts.backends import open_backend
from prompts.comparison import run
from prompts.errors import UserError
from prompts.experiment import Experiment
from prompts.exports import FORMS, export
from prompts.rows import Table
from prompts.settings import build
from prompts.techniques import technique
from tests.prompts.test_remote import llama  # noqa: F401 (a fixture)

ROWS = [{"town": "Paris", "n": 1}, {"town": "Rome 'and' \"Milan\"", "n": 2}]


def settings(name: str, **more: Any) -> Any:
    own = {"contextual": {"role": "You're a {{ n }}-star guide.", "audience": 'Kids \\ "adults"'}}.get(name, {})
    shots = {"examples": [{"input": "a", "output": "b"}]} if name == "few_shot" else {}
    return build(
        technique(name).settings, {"task": "Describe {{ town }}.", "max_new_tokens": 12, **own, **shots, **more}
    )


NAMES = ("contextual", "few_shot", "chain_of_thought", "iterative_refinement")
RUN_ALL = """
import contextlib, pathlib, runpy, sys
for script in sys.argv[2:]:
    sys.argv = [script, sys.argv[1]]
    with pathlib.Path(script).with_suffix(".out").open("w") as out, contextlib.redirect_stdout(out):
        runpy.run_path(script, run_name="__main__")
"""


def test_the_transformers_scripts_give_the_same_outputs(tiny: str, tmp_path: Path, fp32: None) -> None:
    """All in one process that knows nothing of this app, which saves importing transformers four times."""
    rows, given = tmp_path / "rows.jsonl", {name: settings(name, model=tiny) for name in NAMES}
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(export(technique(name), given[name], "transformers"))
    scripts = [str(tmp_path / f"{name}.py") for name in NAMES]
    subprocess.run([sys.executable, "-c", RUN_ALL, rows, *scripts], cwd=tmp_path, capture_output=True, check=True)
    backend = open_backend(tiny, "local")
    for name in NAMES:
        theirs = [json.loads(line)["answer"] for line in (tmp_path / f"{name}.out").read_text().splitlines()]
        prompts = [technique(name).build(given[name], row) for row in ROWS]
        ours = [list(backend.stream(asked, given[name], threading.Event()))[-1].text for asked in prompts]
        assert theirs == ours, name


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from prompts import loading

    loading.clear()
    monkeypatch.setattr(loading, "dtype", lambda: torch.float32)


def test_client_and_curl_give_the_same_outputs(llama: str, tmp_path: Path) -> None:  # noqa: F811
    from tests.llama_server import KEY

    given = settings("contextual", model=llama)
    prompts = [technique("contextual").build(given, row) for row in ROWS]
    replies = dict(open_backend(llama, "local", key=KEY).batch(prompts, given, threading.Event()))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    script = tmp_path / "client.py"
    script.write_text(export(technique("contextual"), given, "inference_client"))
    environment = {"API_KEY": KEY, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, script, rows], capture_output=True, text=True, check=True, env=environment)
    assert [json.loads(line)["answer"] for line in done.stdout.splitlines()] == [replies[0].text, replies[1].text]
    for at, row in enumerate(ROWS):
        command = export(technique("contextual"), given, "curl", row)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=environment)
        assert json.loads(done.stdout)["choices"][0]["message"]["content"].strip() == replies[at].text


def test_promptfoo_itself_gives_the_same_outputs(llama: str, tmp_path: Path) -> None:  # noqa: F811
    """Needs promptfoo (npm install promptfoo, then its folder node_modules/.bin on the PATH)."""
    if not (promptfoo := shutil.which("promptfoo")):
        pytest.skip("promptfoo is not on the PATH: npm install promptfoo")
    from tests.llama_server import KEY

    given = settings("contextual", model=llama)
    prompts = [technique("contextual").build(given, row) for row in ROWS]
    replies = dict(open_backend(llama, "local", key=KEY).batch(prompts, given, threading.Event()))
    document = yaml.safe_load(export(technique("contextual"), given, "promptfoo"))
    document["tests"] = [{"vars": row} for row in ROWS]
    config, out = tmp_path / "promptfooconfig.yaml", tmp_path / "out.json"
    config.write_text(yaml.safe_dump(document))
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "PROMPTFOO_CONFIG_DIR": str(tmp_path), **PROMPTFOO_OFFLINE}
    command = [promptfoo, "eval", "-c", config, "-o", out, "--no-cache", "--no-write", "--no-progress-bar"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert out.is_file(), done.stdout + done.stderr
    found = json.loads(out.read_text())["results"]["results"]
    theirs = {one["vars"]["town"]: one["response"]["output"].strip() for one in found}
    assert theirs == {row["town"]: replies[at].text for at, row in enumerate(ROWS)}


PROMPTFOO_OFFLINE = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
}


def test_yaml_and_messages_hold_the_same_prompt() -> None:
    from jinja2 import Environment

    given = settings("contextual")
    expected = technique("contextual").build(given, ROWS[1]).as_dicts()
    assert json.loads(export(technique("contextual"), given, "messages", ROWS[1])) == expected
    document = yaml.safe_load(export(technique("contextual"), given, "jinja_yaml"))
    filled = [{**m, "content": Environment().from_string(m["content"]).render(ROWS[1])} for m in document["messages"]]
    assert filled == expected and document["slots"] == ["n", "town"]


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("messages", "curl")])
def test_what_cannot_be_exported_is_refused(form: str) -> None:
    for task in ("{{ town|upper }}", "{% if town %}x{% endif %}"):
        with pytest.raises(UserError, match="task: exports keep plain slots"):
            export(technique("contextual"), settings("contextual", task=task), form)


def test_promptfoo_goes_out_and_comes_back(tmp_path: Path) -> None:
    given = settings("contextual")
    file = tmp_path / "promptfooconfig.yaml"
    file.write_text(export(technique("contextual"), given, "promptfoo"))
    found = imports.read(file)
    made = build(technique("contextual").settings, found.variants[0]["settings"])
    expected = [m["content"] for m in technique("contextual").build(given, ROWS[0]).as_dicts()]
    assert [m["content"] for m in technique("contextual").build(made, ROWS[0]).as_dicts()] == expected


PROMPTFOO = """
description: towns
prompts:
  - "Where is {{ town }}?"
  - '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Country of {{ town }}?"}]'
  - "{% for x in y %}{{ x }}{% endfor %}"
  - file://../../etc/passwd
providers: [openai:gpt-5-mini]
defaultTest: {vars: {style: plain}}
tests:
  - vars: {town: Paris}
    assert: [{type: icontains, value: France}]
  - vars: {town: Rome}
    assert: [{type: contains, value: Italy}, {type: javascript, value: "output.length < 9"}]
  - vars: {town: [Bonn, Kiel]}
scenarios: []
"""


def test_promptfoo_is_read_and_the_rest_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(PROMPTFOO)
    found = imports.read(file).document()
    assert [v["technique"] for v in found["experiment"]["variants"]] == ["few_shot", "contextual"]
    assert found["rows"] == [
        {"style": "plain", "town": "Paris", "reference": "France"}, {"style": "plain", "town": "Rome", "reference": "Italy"},
    ]  # fmt: skip
    assert found["experiment"]["scorer"] == "contains"
    listed = "\n".join(found["not_imported"])
    for part in ("prompt 3", "prompt 4: file://", "provider openai", "'javascript'", "test 3: town", "scenarios"):
        assert part in listed
    from tests.scripted import ScriptedBackend

    table = Table("rows", tuple(found["rows"][0]), found["rows"])
    *_, result = run(
        build(Experiment, found["experiment"]), table, "local", lambda n: ScriptedBackend(lambda p: "In France")
    )
    assert [v["score"] for v in result["variants"]] == [0.5, 0.5]


def test_what_promptfoo_keeps_in_other_files_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    prompts = "prompts: ['Where is {{ town }}?', '[{\"content\": \"a message without a role\"}]']\n"
    file.write_text(
        f"{prompts}defaultTest: file://defaults.yaml\ntests: [{{vars: file://towns.yaml}}, {{vars: {{town: Bern}}}}]\n"
    )
    found = imports.read(file).document()
    assert found["rows"] == [{"town": "Bern"}]
    assert [line.partition(":")[0] for line in found["not_imported"]] == ["prompt 2", "defaultTest", "test 1"]
    file.write_text("prompts: ['Where is {{ town }}?']\ntests: file://towns.yaml\n")
    assert imports.read(file).document()["not_imported"] == ["test 1: tests in another file are not read"]


def test_promptfoo_may_leave_out_the_brackets_of_lists_of_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "prompts: 'Where is {{ town }}?'\ntests: {vars: {town: Bern}, assert: {type: equals, value: Swiss}}\n"
    )
    found = imports.read(file).document()
    assert len(found["experiment"]["variants"]) == 1 and found["not_imported"] == []
    assert found["rows"] == [{"town": "Bern", "reference": "Swiss"}]
    file.write_text("prompts: [hi]\ntests: [{vars: {a: b}, assert: [equals]}]\n")
    found = imports.read(file).document()
    assert found["rows"] == [{"a": "b"}] and "has no scorer here" in found["not_imported"][0]


def test_openai_files_are_read_and_the_rest_is_listed(tmp_path: Path) -> None:
    system_and_user = [{"role": "system", "content": "s"}, {"role": "user", "content": "{{ q }}"}]
    chat = [
        {"messages": [*system_and_user, {"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "user", "content": "q"}], "tools": []},
    ]  # fmt: skip
    evals = [
        {"input": [{"role": "user", "content": "2+2"}], "ideal": ["4", "four"]},
        {"input": "3+3", "ideal": "6"},
        {"x": 1},
    ]
    file = tmp_path / "old.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in chat))
    found = imports.read(file).document()
    assert found["rows"] == [{"system": "s", "question": "{{ q }}", "reference": "a"}]
    assert any("line 2" in line for line in found["not_imported"])
    made = build(technique("contextual").settings, found["experiment"]["variants"][0]["settings"])
    assert technique("contextual").build(made, found["rows"][0]).messages[1].content == "{{ q }}", (
        "texts are no templates"
    )
    file.write_text("".join(json.dumps(line) + "\n" for line in evals))
    found = imports.read(file).document()
    assert [row["reference"] for row in found["rows"]] == ["4", "6"]
    assert any("line 1: of 2 ideal" in line for line in found["not_imported"])
    assert any("line 3" in line for line in found["not_imported"])
    file.write_text("{\n")
    with pytest.raises(UserError, match="line 1: not valid JSON"):
        imports.read(file)
