"""The commands of the studies, the optimiser, the trees of versions and the prompt library."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, create_model
from pydantic_settings import CliPositionalArg

from prompts import library
from prompts.asking import Open
from prompts.backends import open_backend
from prompts.commands import KEY, Command, Flags
from prompts.errors import UserError
from prompts.following import paced
from prompts.held_out import named_table
from prompts.home import LOCAL, RUN_PREFIX
from prompts.refining import tree as trees
from prompts.refining.optimise import OptimiseSettings, optimising
from prompts.rows import FORMATS, SAMPLE_TITLES, Table, read_table
from prompts.settings import Settings, build
from prompts.studies import STUDIES, Study
from prompts.studies.request import OptimiseRequest, request_of
from prompts.studies.work import forecast, run
from prompts.techniques import NAMED, technique
from prompts.techniques.refinement import RefinementSettings

Show = Callable[[str], None]
OWNER = (str, Field(LOCAL, description="Whose cache and adapters; on your own machine: local."))


def opener(owner: str) -> Open:
    """A model's name -> its backend, with the shell's key."""
    return lambda name: open_backend(name, owner, key=os.environ.get(KEY))


def table_of(name: str, owner: str) -> Table:
    """The rows of a file, of a run, or of a sample of the app's own. Raises UserError."""
    known = name.startswith(RUN_PREFIX) or name in SAMPLE_TITLES
    return named_table(name, owner) if known else read_table(Path(name))


def _flags(base: type[Settings], name: str) -> type[Flags]:
    about_rows = f"{FORMATS} with the columns that the slots name; run:<id>, the rows it holds out; or a sample's name."
    return create_model(
        f"{name}Flags",
        __base__=(Flags, base),  # type: ignore[arg-type]
        rows=(str, Field(description=about_rows)),
        task=(str, Field("", description=base.model_fields["task"].description)),
        owner=OWNER,
        from_prompt=(
            str,
            Field("", description="Start from a saved prompt of this name; flags for its fields are not read."),
        ),
        only_forecast=(bool, Field(False, description="Only say what it would take. Nothing is kept.")),
        answers=(bool, Field(False, description="Add every row's answers to the document.")),
    )


def _settings(flags: Any, name: str) -> Any:
    """The technique's settings: of a saved prompt, or of the flags."""
    about = technique(name)
    if not flags.from_prompt:
        return flags.only(about.settings)
    entry = library.load(flags.owner, flags.from_prompt)
    if entry.technique != name:
        raise UserError(
            "{from_prompt!r} is a prompt of {technique}, not of {name}",
            from_prompt=flags.from_prompt,
            technique=entry.technique,
            name=name,
            field="from_prompt",
        )
    return entry.settings


def _measurer(study: Study) -> Callable[[Any, Show], Any]:
    def measure(flags: Any, show: Show) -> Any:
        given = (study, _settings(flags, study.technique), flags.only(study.settings), table_of(flags.rows, flags.owner),
                 flags.owner, opener(flags.owner))  # fmt: skip
        return forecast(*given) if flags.only_forecast else _last(run(*given), flags, show)

    return measure


def _optimise(flags: Any, show: Show) -> Any:
    settings = _settings(flags, "iterative_refinement")
    table = table_of(flags.rows, flags.owner)
    return _last(
        optimising(settings, flags.only(OptimiseSettings), table, flags.owner, opener(flags.owner)), flags, show
    )


def _last(events: Any, flags: Any, show: Show) -> Any:
    event: dict[str, Any] = {}
    for event in paced(events, seconds=2, moved=True):
        if event["event"] == "asking":
            show(f"{event['variant']}: {event['done']} of {event['of']}")
        elif event["event"] == "proposed":
            show(
                f"{event['how']}: "
                + (f"refused, it {event['refused']}" if "refused" in event else f"version {event['version']}")
            )
    return {key: value for key, value in event.items() if key != "event" and (key != "answers" or flags.answers)}


class TreesFlags(Flags):
    owner: str = Field(LOCAL, description="Whose trees; on your own machine: local.")


class TreeFlags(TreesFlags):
    tree: CliPositionalArg[str] = Field(description="The tree's id.")


class AddFlags(TreesFlags, RefinementSettings):
    tree: str = Field("", description="The tree's id; empty: a new one.")
    parent: int = Field(0, description="The version it is made from; 0: the last.")
    name: str = Field("", description="A name for it.")


def _add(flags: AddFlags, show: Show) -> Any:
    settings = flags.only(RefinementSettings)
    return trees.kept(flags.owner, flags.tree, flags.parent, settings, name=flags.name)[0].document()


def _delete_tree(flags: TreeFlags, show: Show) -> Any:
    trees.delete(flags.owner, flags.tree)
    return {"tree": flags.tree, "deleted": True}


def _trees(flags: TreesFlags, show: Show) -> Any:
    return [{"tree": one.id, "name": one.name, "versions": len(one.versions)} for one in trees.trees(flags.owner)]


class PromptsFlags(TreesFlags):
    technique: str = Field("", description="Only prompts of this technique.")
    search: str = Field("", description="Words in a name, a tag or a text.")


class NameFlags(TreesFlags):
    name: CliPositionalArg[str] = Field(description="The prompt's name.")


class PromptFlags(NameFlags):
    version: int = Field(0, description="0: the newest.")


class SavePromptFlags(TreesFlags):
    name: CliPositionalArg[str] = Field(description="The prompt's name.")
    technique: str = Field(description=NAMED)
    settings: dict[str, Any] = Field(description="The technique's settings, as JSON.")
    tags: tuple[str, ...] = Field((), description="Words to find it by.")


def _saved(flags: SavePromptFlags, show: Show) -> Any:
    about = technique(flags.technique)
    return library.save(
        flags.owner, flags.name, about.name, build(about.settings, flags.settings), flags.tags
    ).document()


def _prompt(flags: PromptFlags, show: Show) -> Any:
    found = library.load(flags.owner, flags.name, flags.version or None)
    return found.document() | {"versions": library.versions(flags.owner, flags.name)}


def _deleted(flags: NameFlags, show: Show) -> Any:
    library.delete(flags.owner, flags.name)
    return {"name": flags.name, "deleted": True}


def _prompts(flags: PromptsFlags, show: Show) -> Any:
    return [entry.document() for entry in library.entries(flags.owner, flags.technique, flags.search)]


COMMANDS = {
    study.name: Command(_flags(request_of(study), study.name), _measurer(study), study.help) for study in STUDIES
} | {
    "optimise": Command(
        _flags(OptimiseRequest, "Optimise"), _optimise, "Search for a better prompt within a budget of calls (GEPA)."
    ),
    "trees": Command(TreesFlags, _trees, "List the trees of prompt versions, the newest first."),
    "tree": Command(TreeFlags, lambda flags, show: trees.find(flags.owner, flags.tree).document(), "Show a tree of versions."),
    "add-version": Command(AddFlags, _add, "Keep a prompt as a version of a tree, or as the first of a new one."),
    "delete-tree": Command(TreeFlags, _delete_tree, "Delete a tree of versions."),
    "prompts": Command(PromptsFlags, _prompts, "List or search the saved prompts."),
    "prompt": Command(PromptFlags, _prompt, "Show a saved prompt, or an earlier version of it."),
    "save-prompt": Command(SavePromptFlags, _saved, "Save the next version of a prompt."),
    "delete-prompt": Command(NameFlags, _deleted, "Delete a saved prompt with all its versions."),
}  # fmt: skip
