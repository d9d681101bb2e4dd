"""The versions of a prompt as a tree: owners/<owner>/trees/<id>.yaml, which a person can read and git can diff."""

import re
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from prompts.errors import NotFound, UserError
from prompts.home import new_id, owner_folder, write_whole
from prompts.settings import Settings, build, knob
from prompts.techniques.refinement import RefinementSettings
from prompts.words import later

_LOCK = threading.Lock()
MOST_VERSIONS = 200
HANDS = later(("written", "feedback", "model", "hand"))  # how a version is made, besides the operators


class Version(Settings):
    """One version of the prompt: version 1 has no parent."""

    number: int = knob(title="Version", help="From 1.", ge=1)
    parent: int | None = knob(None, title="Made from", help="The version that it was made from.")
    how: str = knob(
        "written", title="How it was made", help="written, feedback, model, gepa, or the name of an operator."
    )
    name: str = knob("", title="Name", help="Yours.", max_length=80)
    note: str = knob("", title="Note", help="The feedback that made it, or why it was made.")
    task: str = knob(title="Task", help="The prompt.")
    output: str = knob("", title="Output", help="What it answered when it was first asked.")


class Tree(Settings):
    """A prompt's versions, and the settings that are asked with each."""

    id: str = knob(title="Tree", help="Its id.")
    owner: str = knob(title="Owner", help="Whose it is.")
    name: str = knob(title="Name", help="Yours.", max_length=80)
    created: float = knob(title="Created", help="When.", unit="s")
    settings: RefinementSettings = knob(title="Settings", help="Of the technique; each version has a task of its own.")
    versions: tuple[Version, ...] = knob((), title="Versions", help="The oldest first.")

    def version(self, number: int) -> Version:
        """Raises NotFound."""
        found = next((one for one in self.versions if one.number == number), None)
        if found is None:
            raise NotFound("tree {name!r} has no version {number}", name=self.name, number=number, field="version")
        return found

    def document(self) -> dict[str, Any]:
        return {name: value for name, value in self.to_json().items() if name != "owner"}


def create(owner: str, settings: RefinementSettings, name: str = "", **about: str) -> Tree:
    """A tree whose first version is the settings' task. `about`: how, note, output. Raises UserError."""
    if not settings.task.strip():
        raise UserError("a version has to say something", field="task")
    title = name.strip() or " ".join(settings.task.split())[:60]
    made = {"id": new_id(), "owner": owner, "name": title, "created": time.time()}
    first = {"number": 1, "task": settings.task, **about}
    return _written(build(Tree, {**made, "versions": [first], "settings": settings.plain()}))


def find(owner: str, tree: str) -> Tree:
    """Raises NotFound, or UserError where the file was edited into something unreadable."""
    file = file_of(owner, tree)
    if not file.is_file():
        raise NotFound("there is no such tree of versions", field="tree")
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        return build(Tree, {**document, "owner": owner})
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise UserError("{name} is not a tree of versions: {error}", name=file.name, error=error) from None


def trees(owner: str) -> list[Tree]:
    """The newest first; a file that cannot be read is left out."""
    found = []
    for file in owner_folder(owner, "trees").glob("*.yaml"):
        try:
            found.append(find(owner, file.stem))
        except UserError:
            continue
    return sorted(found, key=lambda one: -one.created)


def add(tree: Tree, parent: int, task: str, **about: str) -> tuple[Tree, int]:
    """(the tree with one more version, its number); a task that a version has already is that version. `about`: how, name, note,
    output. Raises UserError.
    """
    with _LOCK:
        tree = find(tree.owner, tree.id)
        tree.version(parent)
        known = next((one for one in tree.versions if one.task.strip() == task.strip()), None)
        if known:
            return tree, known.number
        if not task.strip():
            raise UserError("a version has to say something", field="task")
        if len(tree.versions) >= MOST_VERSIONS:
            raise UserError(
                "a tree holds {most_versions} versions; start a new one from the best",
                most_versions=MOST_VERSIONS,
                field="tree",
            )
        number = max(one.number for one in tree.versions) + 1
        made = build(Version, {"number": number, "parent": parent, "task": task, **about})
        return _written(tree.changed(versions=(*tree.versions, made))), number


def kept(owner: str, tree: str, parent: int, settings: RefinementSettings, **about: str) -> tuple[Tree, int]:
    """The settings' task as a version: of this tree, made from `parent` (0: the last), or of a new one where `tree` is empty."""
    if not tree:
        return create(owner, settings, **about), 1
    found = find(owner, tree)
    return add(found, parent or found.versions[-1].number, settings.task, **about)


def rename(tree: Tree, number: int, name: str) -> Tree:
    """Raises NotFound."""
    with _LOCK:
        tree = find(tree.owner, tree.id)
        tree.version(number)
        named = [one.changed(name=name.strip()) if one.number == number else one for one in tree.versions]
        return _written(tree.changed(versions=named))


def delete(owner: str, tree: str) -> None:
    """Raises NotFound."""
    find(owner, tree)
    file_of(owner, tree).unlink()


def file_of(owner: str, tree: str) -> Path:
    if not re.fullmatch(r"[\w-]{1,40}", tree):
        raise NotFound("there is no such tree of versions", field="tree")
    return owner_folder(owner, "trees", f"{tree}.yaml")


def _written(tree: Tree) -> Tree:
    file = file_of(tree.owner, tree.id)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, yaml.safe_dump(tree.document(), sort_keys=False, allow_unicode=True, width=100))
    return tree


def changes(before: str, after: str) -> list[tuple[str, str]]:
    """(text, sign) pieces of `after` against `before`, word by word: sign "+" for new, "-" for gone, "" for kept."""
    import difflib

    first, second = (re.findall(r"\s+|\S+", text) for text in (before, after))
    pieces: list[tuple[str, str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("".join(first[a:b]), ""))
            continue
        pieces += [(text, sign) for text, sign in (("".join(first[a:b]), "-"), ("".join(second[c:d]), "+")) if text]
    return pieces
