"""The rules of the house, held by reading the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from prompts import events as prompting
from prompts.experiment import USUAL_REFERENCES, Experiment
from prompts.settings import Settings, table
from prompts.techniques import TECHNIQUES
from tuning import events as tuning
from tuning.data.columns import USUAL
from tuning.distil import Distil
from tuning.ladder.settings import LadderSettings
from tuning.launch.jobs import JobSettings
from tuning.monitor import Watched
from tuning.publish import Publish
from tuning.recipe import Recipe
from tuning.search import Search
from tuning.trackers import TRACKERS

ROOT = Path(__file__).parents[1]
CODE = [ROOT / "app.py", *sorted((ROOT / "prompts").rglob("*.py")), *sorted((ROOT / "tuning").rglob("*.py"))]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_fences(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    if path.name != "app.py" and "ui" not in path.parts:
        assert "gradio" not in roots, "only app.py and the ui folders import gradio"
    if "prompts" in path.relative_to(ROOT).parts:
        assert "tuning" not in roots, "prompts never imports tuning"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 310, "a module that long holds two ideas"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long to be read at once"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_and_no_foreign_code(path: Path) -> None:
    text = path.read_text()
    assert "trust_remote_code=True" not in text
    assert not imports(path) & {"pickle", "dill", "joblib"}


def test_importing_is_light() -> None:
    code = "import sys, prompts, tuning, prompts.techniques, tuning.recipe, tuning.run, prompts.asking\n"
    code += "print([m for m in ('gradio', 'torch', 'transformers', 'datasets', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_written_for_spreadsheets() -> None:
    """A cell that begins with = is a formula to a spreadsheet: downloads are JSON, JSONL, YAML and zip."""
    for path in CODE:
        found = re.search(r"\bto_csv\b|\bto_excel\b|csv\.(writer|DictWriter)|Workbook\(", path.read_text())
        assert not found, f"{path}: {found}"


def all_settings(base: type[Settings] = Settings) -> set[type[Settings]]:
    found = set(base.__subclasses__())
    return found | {deeper for kind in found for deeper in all_settings(kind)}


def test_no_list_of_names_exists_twice() -> None:
    """No literal list, tuple, set or signature in the code repeats four or more names of one Settings model."""
    import tuning.__main__  # noqa: F401 (with the flags of every command)

    models = [kind for kind in all_settings() if kind.__module__.split(".")[0] in ("prompts", "tuning")]
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List | ast.Tuple | ast.Set):
                names = {e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)}
            elif isinstance(node, ast.FunctionDef):
                names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
            else:
                continue
            for model in models:
                assert len(names & set(model.model_fields)) < 4, f"{path.name}:{node.lineno} repeats {model.__name__}"


def kinds(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_events_are_the_listed_ones() -> None:
    """What is made is listed with its fields, what is listed is made, and nobody asks for what is not listed."""
    listed = {kind: set(fields.split()) for kind, fields in (prompting.KINDS | tuning.KINDS).items()}
    assert len(listed) == len(prompting.KINDS) + len(tuning.KINDS)
    made: dict[str, set[str]] = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Dict(keys=keys, values=values):
                    names = [key.value if isinstance(key, ast.Constant) else "..." for key in keys]
                    fields = dict(zip(names, values, strict=True))
                    for kind in kinds(fields.pop("event", ast.Pass())):
                        made.setdefault(kind, set()).update(fields)
                case ast.Compare() if "['event']" in ast.unparse(node):
                    assert kinds(node) - {"event"} <= set(listed), f"{path.name}:{node.lineno}"
                case ast.MatchMapping(keys=[ast.Constant(value="event"), *_], patterns=[pattern, *_]):
                    assert kinds(pattern) <= set(listed), f"{path.name}:{pattern.lineno}"
    assert set(made) == set(listed)
    for kind, fields in made.items():
        assert fields <= listed[kind] and ("..." in fields or fields == listed[kind]), kind


def test_every_setting_has_title_and_help() -> None:
    for model in all_settings():
        if model.__module__.split(".")[0] in ("prompts", "tuning") and not model.__name__.endswith("Flags"):
            for name, info in model.model_fields.items():
                assert info.title, f"{model.__name__}.{name}"
                assert info.description, f"{model.__name__}.{name}"


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_constraints_pin_what_is_supported(which: str) -> None:
    """The oldest are the lower bounds of requirements.txt; the newest lie within them."""
    bounds = {one.name: one.specifier for one in map(Requirement, _lines("requirements.txt"))}
    pins = {one.name: one.specifier for one in map(Requirement, _lines(f"constraints-{which}.txt"))}
    assert set(pins) == {"gradio", "transformers", "peft", "accelerate", "datasets", "huggingface-hub", "torch"}
    for name in set(pins) - {"torch"}:
        (pin,) = pins[name]
        assert bounds[name].contains(pin.version)
        if which == "oldest":
            (lowest,) = [Version(one.version) for one in bounds[name] if one.operator == ">="]
            assert Version(pin.version) == lowest, name


def _lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def test_readme_tables_are_the_settings() -> None:
    readme = (ROOT / "README.md").read_text()
    for model in (Recipe, Experiment, Search, JobSettings, LadderSettings, Distil, Publish, Watched):
        assert table(model) in readme, f"make the README's table with prompts.settings.table({model.__name__})"


def test_each_technique_is_one_file_with_a_lesson_and_an_example() -> None:
    from prompts.library import starters

    for technique in TECHNIQUES:
        assert technique.lesson.count("\n") >= 5
        assert starters(technique.name), technique.name


def test_requirements_name_neither_a_torch_version_nor_spaces() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert "torch" in lines
    assert not [line for line in lines if line.startswith("spaces")]


def test_no_unfinished_work() -> None:
    for path in CODE:
        assert not re.search(r"TODO|FIXME|coming soon|NotImplementedError", path.read_text(), re.IGNORECASE), path


def test_the_usual_columns_of_answers_are_known_in_both_halves() -> None:
    assert {output for _, output in USUAL} <= set(USUAL_REFERENCES)


def test_what_a_recipe_reports_to_is_what_there_is() -> None:
    assert get_args(Recipe.model_fields["report_to"].annotation) == ("none", *TRACKERS)
