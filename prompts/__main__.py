"""python -m prompts: asking a model from the shell."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from prompts.asking import ask
from prompts.backends import open_backend
from prompts.commands import Command, Flags, main
from prompts.home import LOCAL
from prompts.techniques import TECHNIQUES, Technique

Show = Callable[[str], None]
KEY = "PROMPT_OR_TUNE_MODEL_KEY"  # where the shell finds a server's key


def _flags(technique: Technique) -> type[Flags]:
    """The technique's settings plus what the shell adds."""
    return create_model(
        f"{technique.settings.__name__}Flags",
        __base__=(Flags, technique.settings),  # type: ignore[arg-type]
        owner=(str, Field(LOCAL, description="Whose adapters run:<id> means; on your own machine: local.")),
        rows=(
            str,
            Field("", description="CSV, TSV, JSONL or JSON: ask once for each row, its columns filling the slots."),
        ),
    )


def _asker(technique: Technique) -> Callable[[Any, Show], Any]:
    def run(flags: Any, show: Show) -> Any:
        settings = flags.of(technique.settings)
        documents = []
        for row in _rows(flags.rows):
            last = None
            for last in ask(
                technique, settings, lambda name: open_backend(name, flags.owner, key=os.environ.get(KEY)), row=row
            ):
                pass
            if last is not None:
                documents.append(last.document())
                show(f"{len(documents)} answered")
        return documents if flags.rows else documents[0]

    return run


def _rows(file: str) -> list[dict[str, Any]]:
    if not file:
        return [{}]
    from prompts.rows import read_table

    return read_table(Path(file)).rows


COMMANDS = {
    f"ask {technique.name}": Command(
        _flags(technique), _asker(technique), f"{technique.title}: ask a model, once or for each row."
    )
    for technique in TECHNIQUES
}

if __name__ == "__main__":
    sys.exit(main("prompts", COMMANDS, sys.argv[1:]))
