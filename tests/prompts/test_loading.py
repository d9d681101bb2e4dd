"""Loading: what is told meanwhile, and what is done with an adapter that does not fit."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from prompts import loading
from prompts.errors import UserError
from prompts.loading import clear, load
from prompts.usual import loading_told_to


def adapter_of(base: str, folder: Path, rank: int) -> Path:
    """An adapter whose settings say another rank than its weights have."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings).save_pretrained(folder)
    said = folder / "adapter_config.json"
    said.write_text(json.dumps(json.loads(said.read_text()) | {"r": rank}))
    return folder


@torch.no_grad()
def logits(base: str, adapter: Path | None = None) -> Any:
    loaded = load(base)
    with loaded.using(adapter) as model:
        return model(torch.tensor([[5, 6, 7]])).logits


def test_an_adapter_that_does_not_fit_is_refused_and_its_base_answers_as_before(tiny: str, tmp_path: Path) -> None:
    good, wrong = adapter_of(tiny, tmp_path / "good", 4), adapter_of(tiny, tmp_path / "wrong", 8)
    clear()  # other tests have read this base in another precision
    before, tuned = logits(tiny), None
    for _ in range(2):  # as the first adapter of its base, and beside another
        with pytest.raises(UserError, match="^model: the adapter does not fit its base: "):
            logits(tiny, wrong)
        assert torch.equal(logits(tiny), before)
        tuned = logits(tiny, good)
        assert not torch.equal(tuned, before)
    assert torch.equal(logits(tiny, good), tuned)


def test_whoever_waits_for_a_model_is_told_how_long_it_takes(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = loading.read_model
    monkeypatch.setattr(loading, "read_model", lambda *given, **more: time.sleep(2.3) or known(*given, **more))
    told: list[list[tuple[float, float | None]]] = []
    for _ in range(2):
        clear()
        told.append([])
        with loading_told_to(lambda left: told[-1].append((left["passed"], left["remaining"]))):
            load(tiny)
            count = len(told[-1])
            load(tiny)  # which it is already
            assert len(told[-1]) == count >= 2
    assert {remaining for _, remaining in told[0]} == {None}, "the first time nobody knows"
    passed, remaining = told[1][0]
    assert 1 <= passed < 2 and passed + (remaining or 0) >= 2.3
    load(tiny)
    assert len(told[1]) == count, "nobody waits"
