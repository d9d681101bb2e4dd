"""The endpoints of the studies, the optimiser, the trees of versions and the prompt library."""

from collections.abc import Iterator
from typing import Any

from prompts import library
from prompts.backends import OnDevice
from prompts.following import paced
from prompts.refining import tree as trees
from prompts.refining.optimise import OptimiseSettings, optimising
from prompts.settings import build
from prompts.studies import STUDIES, Study
from prompts.studies.request import OptimiseRequest, request_of
from prompts.studies.work import forecast, run
from prompts.techniques import NAMED, technique
from prompts.techniques.refinement import RefinementSettings
from prompts.ui.endpoints import ROWS, given_table
from prompts.ui.forms import endpoint
from prompts.ui.technique_tab import opener
from prompts.ui.visitor import Caller

TREE = (str, "", "The id of a tree of versions.")
ONLY = (bool, False, "Only say what it would take: calls, tokens, seconds, dollars. Nothing is kept.")


def publish_study_endpoints(on_device: OnDevice) -> None:
    """Adds the endpoints to the current Blocks."""
    for study in STUDIES:
        _publish(study, on_device)

    def optimise_prompt(
        who: Caller, settings: OptimiseRequest, file: Any = None, rows: Any = None, sample: str = ""
    ) -> Iterator[dict[str, Any]]:
        table = given_table(who, file, rows or [], sample)
        found = optimising(settings.only(RefinementSettings), settings.only(OptimiseSettings), table, who.owner,
                           opener(who, on_device))  # fmt: skip
        yield from paced(found)

    endpoint(OptimiseRequest, optimise_prompt, name="optimise_prompt", extra=ROWS, personal=True,
             text="Search for a better prompt on your rows within a budget of calls (GEPA). Streams progress; the last document "
             "holds the tree of versions with development and held-out scores.")  # fmt: skip
    _publish_trees()
    _publish_library()


def _publish(study: Study, on_device: OnDevice) -> None:
    about = technique(study.technique)

    def measure(
        who: Caller, settings: Any, file: Any = None, rows: Any = None, sample: str = "", only_forecast: bool = False
    ) -> Iterator[dict[str, Any]]:
        table = given_table(who, file, rows or [], sample)
        given = (
            study,
            settings.only(about.settings),
            settings.only(study.settings),
            table,
            who.owner,
            opener(who, on_device),
        )
        if only_forecast:
            yield forecast(*given)
            return
        yield from paced(run(*given), moved=True)

    endpoint(request_of(study), measure, name=study.name, extra={**ROWS, "only_forecast": ONLY}, personal=True,
             text=f"{about.title}. {study.help} Streams progress; the last document is the result.")  # fmt: skip


def _publish_trees() -> None:
    def list_trees(who: Caller) -> list[dict[str, Any]]:
        return [
            {"tree": one.id, "name": one.name, "versions": len(one.versions), "created": one.created}
            for one in trees.trees(who.owner)
        ]

    def version_add(who: Caller, settings: RefinementSettings, tree: str, parent: int, name: str) -> dict[str, Any]:
        found, number = trees.kept(who.owner, tree, parent, settings, name=name)
        return found.document() | {"number": number}

    def tree_show(who: Caller, tree: str) -> dict[str, Any]:
        return trees.find(who.owner, tree).document()

    def tree_delete(who: Caller, tree: str) -> dict[str, Any]:
        trees.delete(who.owner, tree)
        return {"tree": tree, "deleted": True}

    more = {
        "tree": TREE,
        "parent": (int, 0, "The version it is made from; 0: the last."),
        "name": (str, "", "A name for it."),
    }
    endpoint(
        None, list_trees, name="list_trees", personal=True, text="Your trees of prompt versions, the newest first."
    )
    endpoint(RefinementSettings, version_add, name="add_version", extra=more, personal=True,
             text="Keep a prompt as a version of a tree, or as the first of a new one. Returns the tree.")  # fmt: skip
    endpoint(
        None, tree_show, name="show_tree", extra={"tree": TREE}, personal=True, text="A tree with all its versions."
    )
    endpoint(
        None, tree_delete, name="delete_tree", extra={"tree": TREE}, personal=True, text="Delete a tree of versions."
    )


def _publish_library() -> None:
    name = (str, "", "The prompt's name.")

    def list_prompts(who: Caller, technique_name: str, search: str) -> list[dict[str, Any]]:
        return [entry.document() for entry in library.entries(who.owner, technique_name, search)]

    def save_prompt(
        who: Caller, name: str, technique_name: str, settings: dict[str, Any], tags: list[str]
    ) -> dict[str, Any]:
        about = technique(technique_name)
        return library.save(who.owner, name, about.name, build(about.settings, settings), tags).document()

    def load_prompt(who: Caller, name: str, version: int) -> dict[str, Any]:
        found = library.load(who.owner, name, version or None)
        return found.document() | {"versions": library.versions(who.owner, name)}

    def delete_prompt(who: Caller, name: str) -> dict[str, Any]:
        library.delete(who.owner, name)
        return {"name": name, "deleted": True}

    kind = (str, "", NAMED)
    endpoint(None, list_prompts, name="list_prompts", personal=True, text="Your saved prompts, found by technique and words.",
             extra={"technique_name": kind, "search": (str, "", "Words in a name, a tag or a text.")})  # fmt: skip
    endpoint(None, save_prompt, name="save_prompt", personal=True, text="Save the next version of a prompt.",
             extra={"name": name, "technique_name": kind, "settings": (dict[str, Any], {}, "The technique's settings."),
                    "tags": (list[str], [], "Words to find it by.")})  # fmt: skip
    endpoint(None, load_prompt, name="load_prompt", personal=True, text="A saved prompt and the numbers of its versions.",
             extra={"name": name, "version": (int, 0, "0: the newest.")})  # fmt: skip
    endpoint(None, delete_prompt, name="delete_prompt", personal=True, extra={"name": name},
             text="Delete a saved prompt with all its versions.")  # fmt: skip
