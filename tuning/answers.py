"""What a model in a folder answers, one row at a time, in fp32 on the CPU: for telling whether two forms of a model are the same.

Imported on first use: it needs torch.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from prompts.backends.classifying import names_of
from prompts.home import ADAPTER_CONFIG
from prompts.kinds import Kind, Labels, own_labels
from prompts.loading import config_at, load_tokenizer, read_model
from prompts.messages import Prompt
from prompts.rendering import render
from tuning.kinds import kind_in


def opened(
    folder: Path, base: str = "", token: str | None = None, labels: Labels | None = None
) -> tuple[Any, Any, Kind, Labels | None]:
    """(model in fp32, tokenizer, kind, classes) of an adapter on its `base` (Hub id or folder), or of a whole model.

    Raises as `prompts.loading.read_model` does.
    """
    kind, exact = kind_in(folder), {"precision": torch.float32, "where": "cpu"}
    if not (folder / ADAPTER_CONFIG).is_file():
        labels = labels or own_labels(config_at(str(folder)))
        model, tokenizer = read_model(str(folder), token, kind, labels, **exact)
        return model, tokenizer, kind, labels
    from peft import PeftModel

    model, _ = read_model(base, token, kind, labels, **exact)
    adapted = PeftModel.from_pretrained(model, str(folder), autocast_adapter_dtype=False).float().eval()
    return adapted, load_tokenizer(str(folder), token, kind), kind, labels


def gguf_model(file: Path) -> tuple[Any, Any, Kind, Labels | None]:
    """As `opened`, of a GGUF file read by transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where, name = str(file.parent), file.name
    tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model.eval(), tokenizer, "causal", None


def answers(
    model: Any, tokenizer: Any, kind: Kind, labels: Labels | None, prompts: Sequence[Prompt], room: int
) -> Iterator[str]:
    """The greedy answer to each prompt, by itself; `room`: tokens that it may have."""
    ends = {tokenizer.eos_token_id, *_listed(getattr(getattr(model, "generation_config", None), "eos_token_id", None))}
    for prompt in prompts:
        ids = torch.tensor([render(prompt, tokenizer).ids], device=model.device)
        with torch.inference_mode():
            if kind == "classifier":
                assert labels
                yield names_of(model(input_ids=ids).logits.float(), labels)[0]
                continue
            found = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=room, do_sample=False, temperature=None,
                top_p=None, top_k=None, eos_token_id=[end for end in ends if end is not None],
                pad_token_id=tokenizer.pad_token_id,
            )[0]  # fmt: skip
        new = found[ids.shape[1] :] if kind == "causal" else found
        yield tokenizer.decode(new, skip_special_tokens=True).strip()


def logits_digest(model: Any, tokenizer: Any, kind: Kind, prompt: Prompt) -> tuple[str, list[float]]:
    """(a digest of the logits that follow a prompt, the largest eight of them)."""
    ids = torch.tensor([render(prompt, tokenizer).ids], device=model.device)
    more = (
        {"decoder_input_ids": torch.tensor([[model.config.decoder_start_token_id or 0]])} if kind == "seq2seq" else {}
    )
    with torch.inference_mode():
        found = model(input_ids=ids, **more).logits[0]
    numbers = (found if kind == "classifier" else found[-1]).float()
    digest = hashlib.sha256(json.dumps([round(number, 5) for number in numbers.tolist()]).encode()).hexdigest()[:16]
    return digest, [round(number, 4) for number in numbers.topk(min(8, len(numbers))).values.tolist()]


def _listed(value: Any) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
