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
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    (
                        isinstance(call, ast.Call)
                        and isinstance(call.func, ast.Name)
                        and call.func.id in ERRORS
                        and call.args
                    )
                    and isinstance(call.args[0], ast.Constant)
                    and isinstance(call.args[0].value, str)
                ):
                    yield call.args[0].value


def _is_shell(path: Path) -> bool:
    return "cli" in path.parts or path.name in ("__main__.py", "commands.py", "study_commands.py")
