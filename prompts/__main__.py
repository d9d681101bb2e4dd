"""python -m prompts: asking a model from the shell."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, create_model
from pydantic_settings import CliPositionalArg

from prompts import exports, imports
from prompts.asking import ask, rendered_document
from prompts.commands import Command, Flags, main
from prompts.comparison import run
from prompts.experiment import read_experiment
from prompts.following import paced
from prompts.home import LOCAL
from prompts.rows import FORMATS, read_table
from prompts.study_commands import COMMANDS as STUDY_COMMANDS
from prompts.study_commands import opener, table_of
from prompts.techniques import TECHNIQUES, Technique

Show = Callable[[str], None]
SHOWN_ROWS = 20  # rows that `render` shows at most


def _flags(technique: Technique) -> type[Flags]:
    """The technique's settings plus what the shell adds."""
    return create_model(
        f"{technique.settings.__name__}Flags",
        __base__=(Flags, technique.settings),  # type: ignore[arg-type]
        owner=(str, Field(LOCAL, description="Whose adapters run:<id> means; on your own machine: local.")),
        rows=(
            str,
            Field("", description=f"{FORMATS}: ask once for each row, its columns filling the slots."),
        ),
    )


def _asker(technique: Technique) -> Callable[[Any, Show], Any]:
    def run(flags: Any, show: Show) -> Any:
        settings = flags.only(technique.settings)
        documents = []
        for row in _rows(flags.rows):
            last = None
            for last in ask(technique, settings, opener(flags.owner), row=row, owner=flags.owner):
                pass
            if last is not None:
                documents.append(last.document())
                show(f"{len(documents)} answered")
        return documents if flags.rows else documents[0]

    return run


def _rows(file: str) -> Sequence[dict[str, Any]]:
    if not file:
        return [{}]
    return read_table(Path(file)).rows


class CompareFlags(Flags):
    """The experiment as a file, because variants are too much for flags."""

    experiment: CliPositionalArg[str] = Field(description="JSON or YAML: variants, scorer, reference, seed ...")
    rows: str = Field(
        description=f"{FORMATS} with the columns that the variants' slots name; or run:<id>, the rows it holds out."
    )
    owner: str = Field(LOCAL, description="Whose cache and adapters; on your own machine: local.")
    replies: bool = Field(False, description="Add every row's replies to the document.")


def _compare(flags: CompareFlags, show: Show) -> Any:
    experiment = read_experiment(Path(flags.experiment))
    table = table_of(flags.rows, flags.owner)
    document: dict[str, Any] = {}
    for document in paced(run(experiment, table, flags.owner, opener(flags.owner)), seconds=2, moved=True):
        if document["event"] == "asking":
            show(f"{document['variant']}: {document['done']} of {document['of']}")
    return {key: value for key, value in document.items() if key != "event" and (key != "replies" or flags.replies)}


def _renderer(technique: Technique) -> Callable[[Any, Show], Any]:
    def render(flags: Any, show: Show) -> Any:
        settings = flags.only(technique.settings)
        return [
            rendered_document(technique, settings, opener(flags.owner), row) for row in _rows(flags.rows)[:SHOWN_ROWS]
        ]

    return render


class ImportFlags(Flags):
    file: CliPositionalArg[str] = Field(description="promptfoo's .yaml, or OpenAI's chat or Evals .jsonl.")
    rows_to: str = Field("", description="Write the rows there, as JSONL.")
    experiment_to: str = Field("", description="Write the experiment there, as JSON for compare.")


def _import(flags: ImportFlags, show: Show) -> Any:
    found = imports.read(Path(flags.file)).document()
    if flags.rows_to:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found["rows"])
        Path(flags.rows_to).write_text(lines, encoding="utf-8")
    if flags.experiment_to:
        text = json.dumps(found["experiment"], ensure_ascii=False, indent=1)
        Path(flags.experiment_to).write_text(text, encoding="utf-8")
    for line in found["not_imported"]:
        show(f"not imported: {line}")
    return found


def _export_flags(technique: Technique) -> type[Flags]:
    return create_model(
        f"Export{technique.settings.__name__}Flags",
        __base__=_flags(technique),
        form=(exports.Form, Field("transformers", description="What to export the prompt as.")),
    )


def _exporter(technique: Technique) -> Callable[[Any, Show], Any]:
    def export(flags: Any, show: Show) -> Any:
        text = exports.export(technique, flags.only(technique.settings), flags.form, _rows(flags.rows)[0])
        return {"form": flags.form, "text": text} if flags.as_json else text

    return export


COMMANDS = {
    f"ask {technique.name}": Command(
        _flags(technique), _asker(technique), f"{technique.title}: ask a model, once or for each row."
    )
    for technique in TECHNIQUES
} | {
    f"render {technique.name}": Command(
        _flags(technique),
        _renderer(technique),
        "The exact string and token ids that a model would read; nothing is asked.",
    )
    for technique in TECHNIQUES
}
COMMANDS |= {
    f"export {technique.name}": Command(_export_flags(technique), _exporter(technique), "The prompt for use elsewhere.")
    for technique in TECHNIQUES
}
COMMANDS |= STUDY_COMMANDS
COMMANDS["import"] = Command(ImportFlags, _import, "Read prompts, rows and assertions of promptfoo or OpenAI.")
COMMANDS["compare"] = Command(CompareFlags, _compare, "Compare variants on the same rows, with intervals and verdicts.")

if __name__ == "__main__":
    sys.exit(main("prompts", COMMANDS, sys.argv[1:]))
