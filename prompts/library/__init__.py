"""The prompt library: starter prompts that ship beside this file, and each owner's own, as YAML a person can edit."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from prompts.errors import NotFound, UserError, WorldError
from prompts.home import owner_folder
from prompts.settings import build
from prompts.techniques import AskSettings, technique

_NAME = re.compile(r"[\w][\w .-]{0,79}")


@dataclass(frozen=True)
class Entry:
    """A saved prompt: a technique with its settings."""

    name: str
    technique: str
    settings: AskSettings


@cache
def starters(technique_name: str) -> tuple[Entry, ...]:
    """The starter prompts of one technique, the guide's own example first."""
    files = sorted(Path(__file__).parent.glob(f"{technique_name}-*.yaml"))
    return tuple(_read(file) for file in files)


def names(owner: str, technique_name: str) -> list[str]:
    """The names of this owner's saved prompts of one technique, sorted; a file that cannot be read is left out."""
    found = []
    for file in sorted(owner_folder(owner, "prompts").glob("*.yaml")):
        try:
            if _read(file).technique == technique_name:
                found.append(file.stem)
        except UserError:
            continue
    return found


def save(owner: str, name: str, technique_name: str, settings: AskSettings) -> Path:
    """Writes `owners/<owner>/prompts/<name>.yaml`, replacing an older one of that name. Raises UserError."""
    file = _file(owner, name)
    if file.is_file() and (older := _read(file).technique) != technique_name:
        raise UserError(f"{name.strip()!r} is a prompt of the technique {older}; choose another name", field="name")
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {"name": name.strip(), "technique": technique_name, "settings": settings.to_json()}
    partial = file.with_suffix(".partial")
    try:
        partial.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise WorldError(f"the prompt cannot be saved: {error.strerror}; free some disk space") from error
    return file


def load(owner: str, name: str) -> Entry:
    """Raises NotFound, or UserError where the file was edited into something unreadable."""
    file = _file(owner, name)
    if not file.is_file():
        raise NotFound(f"there is no saved prompt {name!r}", field="name")
    return _read(file)


def delete(owner: str, name: str) -> None:
    """Raises NotFound."""
    load(owner, name)
    _file(owner, name).unlink()


def _file(owner: str, name: str) -> Path:
    if not _NAME.fullmatch(name.strip()):
        raise UserError("a name has 1 to 80 letters, digits, spaces, dots or dashes", field="name")
    return owner_folder(owner, "prompts", f"{name.strip()}.yaml")


def _read(file: Path) -> Entry:
    try:
        document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = technique(document["technique"])
        return Entry(document["name"], found.name, build(found.settings, document["settings"]))
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{file.name} is not a saved prompt: {error}") from None
