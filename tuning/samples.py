"""What a model answers while it is trained: a few rows that it does not learn from, asked greedily, without any chance."""

from collections.abc import Sequence
from typing import Any

import torch

from prompts.backends.classifying import names_of, padded
from prompts.following import Progress
from prompts.kinds import Kind
from tuning.data.encode import EncodedRow
from tuning.task import Task

NEW_TOKENS = 48
TEXT_TOKENS = 16
SHOWN = 300  # characters of what was given


def samples(
    model: Any, tokenizer: Any, task: Task, rows: Sequence[EncodedRow], tell: Progress, *, packed: bool
) -> list[dict[str, str]]:
    """{"given", "reference", "answer"} of each row, which are told to `tell`; `packed`: the model's attention is that of packed
    rows and is put back.
    """
    model.eval()
    usual = model.config._attn_implementation
    if packed:
        model.set_attn_implementation("sdpa")
    try:
        with torch.inference_mode():
            found = []
            for row in rows:
                found.append(_sample(model, tokenizer, task, row))
                tell(len(found), len(rows))
            return found
    finally:
        if packed:
            model.set_attn_implementation(usual)


def _sample(model: Any, tokenizer: Any, task: Task, row: EncodedRow) -> dict[str, str]:
    context = (
        row.context if row.context > 1 else min(TEXT_TOKENS, len(row.ids) // 2)
    )  # plain text: its beginning is given
    given, rest = list(row.ids[:context]), list(row.ids[context:])
    text = tokenizer.decode(given, skip_special_tokens=True).strip()
    inputs = padded([given], tokenizer, model.device)
    if task.labels:
        logits = model(**inputs).logits.float()
        reference = "; ".join(task.labels.names[at] for at in rest)
        return _shown(text, reference, names_of(logits, task.labels)[0])
    found = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, **_ends(tokenizer))[0]
    answer = found[_prompt_tokens(task.kind, given) :]
    return _shown(text, *(tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in (rest, answer)))


def _prompt_tokens(kind: Kind, given: list[int]) -> int:
    """How many of the generated tokens are the question again, or the decoder's start."""
    return len(given) if kind == "causal" else 1


def _ends(tokenizer: Any) -> dict[str, int]:
    return {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}


def _shown(given: str, reference: str, answer: str) -> dict[str, str]:
    return {"given": given if len(given) <= SHOWN else "… " + given[-SHOWN:], "reference": reference, "answer": answer}
