"""The command line, derived from Settings: one flag a field, `--json` everywhere, exit codes 0, 1 and 2."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict

from prompts.errors import UserError, WorldError
from prompts.home import shared_here
from prompts.noise import hush
from prompts.settings import Settings, user_error

DONE, WORLD, USER = 0, 1, 2
KEY = "PROMPT_OR_TUNE_MODEL_KEY"  # where the shell finds a model server's key


class Flags(Settings):
    """What every command takes besides its own settings."""

    as_json: bool = Field(False, alias="json", description="Print one JSON document on standard output.")


@dataclass(frozen=True)
class Command:
    """`run` gets the parsed flags and a function that shows progress, and returns the document to print."""

    flags: type[Flags]
    run: Callable[[Any, Callable[[str], None]], Any]
    help: str


def main(program: str, commands: Mapping[str, Command], arguments: Iterable[str]) -> int:
    """Runs the command that `arguments` name and returns the exit code: 0 done, 1 the world refused, 2 the user's input."""
    hush()
    words = list(arguments)
    name = next((n for n in sorted(commands, key=len, reverse=True) if words[: len(n.split())] == n.split()), None)
    if name is None:
        print(_usage(program, commands), file=sys.stderr)
        return DONE if words in (["-h"], ["--help"]) else USER
    command = commands[name]
    if shared_here():  # as a child of an app that others reach
        from prompts.addresses import guard

        guard()
    try:
        flags = _parse(f"python -m {program} {name}", command, words[len(name.split()) :])
        document = command.run(flags, lambda line: print(line, file=sys.stderr, flush=True))
    except UserError as error:
        return _refused(error, USER)
    except (WorldError, OSError) as error:
        return _refused(error, WORLD)
    except KeyboardInterrupt:
        return _refused(KeyboardInterrupt("stopped"), WORLD)
    try:
        print(json.dumps(document, ensure_ascii=False, indent=1) if flags.as_json else readable(document), flush=True)
    except BrokenPipeError:  # `... | head` has read enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (Python flushes it at exit)
    return DONE


def _parse(program: str, command: Command, words: list[str]) -> Any:
    class Parser(BaseSettings, command.flags):  # type: ignore[name-defined]
        model_config = SettingsConfigDict(
            frozen=True, extra="forbid", cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True,
            cli_prog_name=program, protected_namespaces=(),
        )  # fmt: skip

        @classmethod
        def settings_customise_sources(  # type: ignore[override]
            cls: type[Self], *_: Any, init_settings: Any, **__: Any
        ) -> tuple[Any, ...]:
            return (init_settings,)  # flags alone: no setting comes from the environment unasked

    Parser.__doc__ = command.help
    try:
        return CliApp.run(Parser, cli_args=words)
    except ValidationError as error:
        raise user_error(error) from None


def _refused(error: BaseException, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _usage(program: str, commands: Mapping[str, Command]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in commands.items()]
    return "\n".join([f"usage: python -m {program} COMMAND ... [--json] [--help]", "", *lines])


def readable(document: Any, indent: str = "") -> str:
    """A document for a person: one line a value, rows as blocks."""
    if isinstance(document, dict):
        lines = []
        for key, value in document.items():
            nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value))
            text = readable(value, indent + "  ")
            lines.append(f"{indent}{key}:\n{text}" if nested else f"{indent}{key}: {text}")
        return "\n".join(lines)
    if isinstance(document, list):
        if any(isinstance(item, dict) for item in document):
            return "\n".join(f"{indent}-\n{readable(item, indent + '  ')}" for item in document)
        return ", ".join(map(str, document))
    return "" if document is None else str(document)
