"""A data set of the Hub -> one visitor's upload, read as a stream; nothing of it stays in the Hub client's cache."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from prompts.errors import UserError, WorldError
from prompts.files.binary import plain
from prompts.following import Progress, told_to_nobody
from prompts.home import hub_token
from prompts.rows import Row, Table, limits_here, store
from prompts.settings import Settings, knob
from prompts.uploads import save
from prompts.words import say

ELSEWHERE = "the data set names files outside of its repository, which are not read"
INSIDE = {
    "hf",
    "file",
    "local",
    "memory",
    "dir",
    "zip",
    "tar",
    "gzip",
    "generic",
    "filecache",
    "blockcache",
    "simplecache",
    "cached",
}


class HubData(Settings):
    """Which data set of the Hub, and which part of it."""

    dataset: str = knob("", title="Hub dataset", help="owner/name, as on its page.")
    config: str = knob("", title="Config", help="The subset, where the data set has several.")
    part: str = knob("train", title="Part", help="train, test, validation ..., or the first rows of one: train[:1000].")
    revision: str = knob("", title="Revision", help="A branch, tag or commit; empty: the newest.")


def hub_data(text: str) -> HubData:
    """`owner/name[:config][:part][@revision]`, in one text."""
    name, _, revision = text.strip().partition("@")
    name, bracket, rows = name.partition("[")
    parts = name.split(":")
    config, part = (parts[1], parts[2]) if len(parts) == 3 else ("", parts[1]) if len(parts) == 2 else ("", "train")
    if len(parts) > 3:
        raise UserError("write a data set as owner/name:config:part@revision", field="dataset")
    return HubData(dataset=parts[0], config=config, part=(part or "train") + bracket + rows, revision=revision)


def save_dataset(owner: str, asked: HubData, token: str | None = None, tell: Progress = told_to_nobody) -> str:
    """Reads the data set into the owner's folder and returns its source name. `tell` is told the rows that were read, of how many
    (0: not known); nothing is kept where it raises. Raises UserError, WorldError.
    """
    if "/" not in asked.dataset or asked.dataset.startswith(("/", ".")):
        raise UserError("name a data set of the Hub as owner/name", field="dataset")
    if Path(asked.dataset).exists():  # the library would read that folder of this machine instead
        raise UserError(
            "{dataset} is a folder of this machine, not a data set of the Hub", dataset=asked.dataset, field="dataset"
        )
    name = f"{asked.dataset.replace('/', '_')}_{asked.part}"
    note = say(
        "{dataset}, {config}, {part}, revision {revision}, of the Hub.", dataset=asked.dataset, part=asked.part,
        config=asked.config or say("default config"), revision=asked.revision or "main",
    )  # fmt: skip

    def read(folder: Path) -> Table:
        return store(name, _rows(asked, token, tell), limits_here(), folder, [note])

    return save(owner, read)


def _only_its_own_files(asked: HubData, token: str | None) -> None:
    """A data set's page may name files at any address; only what lies in its repository is read. Raises UserError."""
    from fsspec import AbstractFileSystem, register_implementation
    from fsspec.registry import known_implementations
    from huggingface_hub import HfApi, metadata_load
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        page = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).hf_hub_download(
            asked.dataset, "README.md", repo_type="dataset", revision=asked.revision or None, token=hub_token(token)
        )
        about = metadata_load(page) or {}
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError):
        about = {}  # none, or what is wrong is said where the data set is opened
    for path in _paths(about.get("configs")):
        if "://" in path or "::" in path or ".." in path or path.startswith(("/", "\\")):
            raise UserError(ELSEWHERE, field="dataset")

    class Elsewhere(AbstractFileSystem):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise UserError(ELSEWHERE, field="dataset")

    for protocol in set(known_implementations) - INSIDE:
        register_implementation(protocol, Elsewhere, clobber=True)


def _paths(found: Any) -> Iterator[str]:
    """Every text under `data_files` or `data_dir` of a page's configs."""
    if isinstance(found, str):
        yield found
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from _paths(inner)


def _rows(asked: HubData, token: str | None, tell: Progress) -> Iterator[Row]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    _only_its_own_files(asked, token)
    part, _, most = asked.part.partition("[:")
    try:
        found = load_dataset(
            asked.dataset, asked.config or None, split=part, streaming=True, token=hub_token(token),
            revision=asked.revision or None,
        )  # fmt: skip
        for name, feature in (found.features or {}).items():
            if hasattr(feature, "decode"):  # a picture or a sound may be named by a path of this machine
                found = found.cast_column(name, type(feature)(decode=False))
        wanted, known = _number(most) if most else 0, (found.info.splits or {}).get(part)
        of = min(filter(None, (wanted, known.num_examples if known else 0)), default=0)
        for number, row in enumerate(found):
            if most and number >= wanted:
                return
            tell(number, of)
            yield {name: plain(value, f"{asked.dataset}, {name!r}") for name, value in row.items()}
    except UserError:
        raise
    except DatasetNotFoundError as error:
        raise UserError(
            "there is no data set {dataset!r} on the Hub, or it is private or gated ({first})",
            dataset=asked.dataset,
            first=_first(error),
            field="dataset",
        ) from None
    except (ValueError, FileNotFoundError) as error:  # an unknown config or part, which the message lists
        raise UserError("{dataset}: {first}", dataset=asked.dataset, first=_first(error), field="part") from None
    except OSError as error:
        raise WorldError(
            "the Hub cannot be reached to read {dataset}: {first}", dataset=asked.dataset, first=_first(error)
        ) from error
    except (RuntimeError, ImportError, BadZipFile) as error:
        raise UserError(
            "{dataset} cannot be read: {first}", dataset=asked.dataset, first=_first(error), field="dataset"
        ) from None


def _number(text: str) -> int:
    if not (digits := text.rstrip("]")).isdigit():
        raise UserError("write the part as train[:1000], not [:{part}", part=text[:20], field="part")
    return int(digits)


def _first(error: Any) -> str:
    return " ".join(str(error).split())[:200]
