"""The sentences of expected failures, as the source has them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.serving import ROOT

ERRORS = {"UserError", "WorldError", "NotFound"}


def sentences() -> Iterator[str]:
    """Every key of an error that is written out in prompts/ and tuning/, the command line's own aside."""
    for path in sorted([*(ROOT / "prompts").rglob("*.py"), *(ROOT / "tuning").rglob("*.py")]):
        if not _is_shell(path):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(key)), *_]) if name in ERRORS:
                        yield key


def _is_shell(path: Path) -> bool:
    return "cli" in path.parts or path.name in ("__main__.py", "commands.py", "study_commands.py")
