"""The prompt library: starter prompts that ship beside this file, and each owner's own, as YAML a person can edit and git can diff.

owners/<owner>/prompts/<name>.yaml is the newest version of a prompt; <name>.versions/<number>.yaml are those before it.
"""

import re
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from prompts.errors import NotFound, UserError, WorldError
from prompts.home import owner_folder, write_whole
from prompts.settings import build
from prompts.techniques import AskSettings, technique

_NAME = re.compile(r"[\w][\w .-]{0,79}")
MOST_TAGS = 20
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Entry:
    """A saved prompt: a technique with its settings."""

    name: str
    technique: str
    settings: AskSettings
    tags: tuple[str, ...] = ()
    version: int = 1

    def document(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "name": self.name, "technique": self.technique, "version": self.version, "tags": list(self.tags),
            "settings": self.settings.to_json(),
        }  # fmt: skip


@cache
def starters(technique_name: str) -> tuple[Entry, ...]:
    """The starter prompts of one technique, the guide's own example first."""
    files = sorted(Path(__file__).parent.glob(f"{technique_name}-*.yaml"))
    return tuple(_read(file) for file in files)


def entries(owner: str, technique_name: str = "", search: str = "") -> list[Entry]:
    """This owner's saved prompts, of one technique or of all, whose name, tags or texts hold every word of `search`; sorted by
    name. A file that cannot be read is left out.
    """
    found = []
    for file in sorted(owner_folder(owner, "prompts").glob("*.yaml")):
        try:
            entry = _read(file)
        except UserError:
            continue
        text = yaml.safe_dump({**entry.document(), "name": file.stem}, allow_unicode=True).casefold()
        if entry.technique == (technique_name or entry.technique) and all(w in text for w in search.casefold().split()):
            found.append(entry)
    return found


def names(owner: str, technique_name: str, search: str = "") -> list[str]:
    """The names of `entries`."""
    return [entry.name for entry in entries(owner, technique_name, search)]


def save(owner: str, name: str, technique_name: str, settings: AskSettings, words: Sequence[str] = ()) -> Entry:
    """Writes the next version of a prompt, with `words` to find it by as its tags; one that says the same as the newest is not
    written again. Raises UserError.
    """
    file = _file(owner, name)
    labels = tuple(dict.fromkeys(tag.strip() for tag in words if tag.strip()))
    if len(labels) > MOST_TAGS or any(len(tag) > 40 for tag in labels):
        raise UserError(
            "a prompt has at most {most_tags} tags of at most 40 characters", most_tags=MOST_TAGS, field="tags"
        )
    with _LOCK:
        return _saved(file, name.strip(), technique_name, settings, labels)


def _saved(file: Path, name: str, technique_name: str, settings: AskSettings, labels: tuple[str, ...]) -> Entry:
    older = _read(file) if file.is_file() else None
    if older and older.technique != technique_name:
        raise UserError(
            "{name!r} is a prompt of the technique {technique}; choose another name",
            name=name,
            technique=older.technique,
            field="name",
        )
    if older and (older.settings, older.tags) == (settings, labels):
        return older
    entry = Entry(name, technique_name, settings, labels, older.version + 1 if older else 1)
    try:
        if older:
            _written(_versions(file) / f"{older.version}.yaml", older)
        _written(file, entry)
    except OSError as error:
        raise WorldError(
            "the prompt cannot be saved: {strerror}; free some disk space", strerror=error.strerror
        ) from error
    return entry


def versions(owner: str, name: str) -> list[int]:
    """The numbers of a prompt's versions, the newest first. Raises as `load`."""
    newest = load(owner, name).version
    return [newest, *sorted((int(old.stem) for old in _versions(_file(owner, name)).glob("*.yaml")), reverse=True)]


def load(owner: str, name: str, version: int | None = None) -> Entry:
    """The newest version, or the one asked for. Raises NotFound, or UserError where a file was edited into something unreadable."""
    file = _file(owner, name)
    if not file.is_file():
        raise NotFound("there is no saved prompt {name!r}", name=name, field="name")
    newest = _read(file)
    if version is None or version == newest.version:
        return newest
    old = _versions(file) / f"{version}.yaml"
    if not old.is_file():
        raise NotFound("{name!r} has no version {version}", name=name, version=version, field="version")
    return _read(old)


def delete(owner: str, name: str) -> None:
    """Removes a prompt with all its versions. Raises NotFound."""
    load(owner, name)
    file = _file(owner, name)
    file.unlink()
    shutil.rmtree(_versions(file), ignore_errors=True)


def _file(owner: str, name: str) -> Path:
    if not _NAME.fullmatch(name.strip()):
        raise UserError("a name has 1 to 80 letters, digits, spaces, dots or dashes", field="name")
    return owner_folder(owner, "prompts", f"{name.strip()}.yaml")


def _versions(file: Path) -> Path:
    return file.with_name(f"{file.stem}.versions")


def _written(file: Path, entry: Entry) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, yaml.safe_dump(entry.document(), sort_keys=False, allow_unicode=True, width=100))


def _read(file: Path) -> Entry:
    try:
        document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = technique(document["technique"])
        settings = build(found.settings, document["settings"])
        tags = tuple(map(str, document.get("tags") or ()))
        return Entry(document["name"], found.name, settings, tags, int(document.get("version") or 1))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise UserError("{name} is not a saved prompt: {error}", name=file.name, error=error) from None
