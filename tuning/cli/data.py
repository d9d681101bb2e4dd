"""Commands on data: inspect, fix, preview, and what is kept of an owner."""

import json
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from prompts.commands import Command, Flags
from prompts.errors import UserError
from prompts.home import LOCAL
from prompts.uploads import delete_upload
from tuning.cli.common import DATA, OwnerFlags, Show, hub_token, progress, table_of
from tuning.data.columns import Columns, resolve
from tuning.data.fixes import Fix, fixed, patched
from tuning.data.fixes import sentence as patch_sentence
from tuning.data.inspect import examined
from tuning.data.preview import SHOWN, preview
from tuning.keeping import forget, my_data
from tuning.recipe import Reading
from tuning.usage import usage


class InspectFlags(Flags, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)


class PreviewFlags(Flags, Reading, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    shown: int = Field(SHOWN, description="So many rows are shown, the worst first.")
    owner: str = Field(LOCAL, description="Whose adapters and cache; on your own machine: local.")


class FixFlags(Flags, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    fix: tuple[str, ...] = Field(
        (), description="What to fix, as finding:fix, e.g. duplicates:drop personal:mask, in turn."
    )
    to: str = Field(description="The fixed rows are written there, as JSONL.")


def _inspect(flags: InspectFlags, show: Show) -> Any:
    return examined(table_of(flags.file), flags.only(Columns), progress(show))


def _preview(flags: PreviewFlags, show: Show) -> Any:
    table = table_of(flags.file)
    return preview(table, flags.only(Columns), flags.only(Reading), flags.owner, token=hub_token(), shown=flags.shown,
                   progress=progress(show))  # fmt: skip


def _fix(flags: FixFlags, show: Show) -> Any:
    table = table_of(flags.file)
    columns, done = resolve(flags.only(Columns), table), []
    for text in flags.fix:
        finding, _, fix = text.partition(":")
        done.append(fixed(table, columns, Fix(finding=finding, fix=fix), progress(show)))
        table = patched(table, done[-1:])
        show(patch_sentence(done[-1]))
    with Path(flags.to).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.rows)
    return {"rows": len(table.rows), "written": flags.to, "fixed": [patch_sentence(one) for one in done]}


class DropFlags(OwnerFlags):
    data: CliPositionalArg[str] = Field(description="The source, upload:<id>.")


class ForgetFlags(OwnerFlags):
    sure: bool = Field(False, description="Needed: nothing of it comes back.")


def _forget(flags: ForgetFlags, show: Show) -> Any:
    if not flags.sure:
        raise UserError("give --sure: nothing of it comes back", field="sure")
    return forget(flags.owner)


COMMANDS = {
    "my-data": Command(OwnerFlags, lambda flags, show: my_data(flags.owner), "Say what this app keeps of you."),
    "usage": Command(Flags, lambda flags, show: usage(), "Say what everybody keeps here, and who has the device."),
    "delete-data": Command(
        DropFlags, lambda flags, show: delete_upload(flags.owner, flags.data), "Delete data that was uploaded."
    ),
    "delete-my-data": Command(
        ForgetFlags, _forget, "Stop what is at work and delete everything that this app keeps of you."
    ),
    "inspect": Command(
        InspectFlags, _inspect, "Say what is in a data file, how it would be used and what is wrong with it."
    ),
    "fix": Command(FixFlags, _fix, "Fix what inspection found, into a new file."),
    "preview": Command(
        PreviewFlags, _preview, "Show which tokens will be learned, read and cut, the worst rows first."
    ),
}
