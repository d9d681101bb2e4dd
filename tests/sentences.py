"""The sentences that are said with slots filled, as the source has them: of expected failures, and of `say` and `later`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.serving import ROOT

ERRORS = {"UserError", "WorldError", "NotFound"}


def sentences() -> Iterator[str]:
    """Every sentence that is written out in prompts/ and tuning/, the command line's own aside."""
    for path in sorted([*(ROOT / "prompts").rglob("*.py"), *(ROOT / "tuning").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(key)), *_]) if name in ERRORS:
                    if not _is_shell(path):
                        yield key
                case ast.Call(func=ast.Name(id="say"), args=[ast.Constant(value=str(key)), *_]):
                    yield key
                case ast.Call(func=ast.Name(id="later"), args=[table]):
                    yield from _written(table)
                case ast.Call(func=ast.Attribute(attr="__init__"), args=[ast.Constant(value=str(key)), *_]):
                    yield key


def _written(table: ast.AST) -> Iterator[str]:
    """The texts of a table; its keys are names."""
    match table:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Dict(values=values) | ast.Tuple(elts=values) | ast.List(elts=values):
            for value in values:
                yield from _written(value)


def _is_shell(path: Path) -> bool:
    return "cli" in path.parts or path.name in ("__main__.py", "commands.py", "study_commands.py")
