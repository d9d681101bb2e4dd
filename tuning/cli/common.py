"""What the commands share: rows from a file or the Hub, a run by its id, events as lines."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from prompts.commands import Flags
from prompts.events import Event
from prompts.following import paced
from prompts.home import LOCAL
from prompts.rows import FORMATS, Table, read_table
from prompts.words import spelled
from tuning import run as runs
from tuning.compare import follow
from tuning.data.hub import hub_data, save_dataset
from tuning.data.sources import open_table

Show = Callable[[str], None]
HUB = "hub:"
DATA = f"{FORMATS}; or a data set of the Hub, hub:owner/name[:config][:part][@revision]."


class RunFlags(Flags):
    run: CliPositionalArg[str] = Field(description="The run's id.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


class OwnerFlags(Flags):
    owner: str = Field(LOCAL, description="Whose runs; on your own machine: local.")


def table_of(name: str, token: str | None = None) -> Table:
    """A file's rows, or those of a data set of the Hub."""
    if not name.startswith(HUB):
        return read_table(Path(name))
    return open_table(LOCAL, save_dataset(LOCAL, hub_data(name.removeprefix(HUB)), token or hub_token()))


def hub_token() -> str | None:
    return os.environ.get("HF_TOKEN") or None


def progress(show: Show) -> Callable[[int, int], None]:
    return lambda done, of: show(f"{done:,} of {of:,} rows")


def secret_from_pipe() -> str | None:
    """The next line of standard input, where the app started this process: a token, then a model server's key; never from a
    terminal.
    """
    return (sys.stdin.readline().strip() or None) if sys.stdin and not sys.stdin.isatty() else None


def sentence(event: Event) -> str:
    """An event as a line for a person."""
    kind = event["event"]
    if kind == "step":
        return (
            f"step {event['step']}/{event['steps']}  loss {event['loss']:.4f}  lr {event['learning_rate']:.2e}  "
            f"{event['tokens_per_second']:.0f} tokens/s  {event['remaining']:.0f} s left"
        )
    if kind == "evaluation":
        return f"epoch {event['epoch']:.0f}: loss on the {event['part'].replace('_', '-')} rows {event['loss']:.4f}"
    if kind == "evaluated":
        return str(event["verdict"])
    if kind == "sample":
        return "\n".join(f"  {one['answer']!r} where {one['reference']!r} is right" for one in event["answers"])
    if {"done", "of"} <= event.keys():
        about = "".join(
            f" {value}" for key, value in event.items() if key in ("repo", "model", "side", "variant", "what", "part")
        )
        return f"{spelled(kind)}{about}: {event['done']:,} of {event['of']:,}"
    return kind + "".join(f"  {key} {value}" for key, value in event.items() if key != "event" and value is not None)


def lines(events: Iterable[Event]) -> Iterator[Event]:
    """The events, few of those that only count."""
    return paced(events, seconds=2, moved=True)


def followed(run: runs.Run, show: Show) -> Any:
    event: Event = {}
    for event in lines(follow(run)):
        show(sentence(event) if event["event"] != "status" else event["status"])
    return {key: value for key, value in event.items() if key != "event"}
