"""Every field of the recipe reaches the training: each is changed, and what it is for changes with it."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_gpt2
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.recipe import Recipe
from tuning.train import prepared
from tuning.watch import unwatched

SOFT = {"method": "prompt_tuning"}
SHORT = {"max_length": 31, "overlong": "cut"}
LOUD = {
    "num_train_epochs": 12,
    "learning_rate": 1.0,
    "lora_dropout": 0.5,
    "validation": 0.2,
    "early_stopping_patience": 0,
}

# field: (settings before, its new value, what has to change)
EFFECTS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "model": ({}, "gpt2", "config"),
    "max_length": (SHORT, 40, "cut"),
    "overlong": (SHORT, "drop", "dropped"),
    "method": ({}, "ia3", "config"),
    "num_train_epochs": ({}, 2, "steps"),
    "learning_rate": ({}, 1e-3, "rates"),
    "per_device_train_batch_size": ({}, 4, "steps"),
    "gradient_accumulation_steps": ({}, 2, "steps"),
    "lora_r": ({}, 8, "config"),
    "lora_alpha": ({}, 8, "config"),
    "lora_dropout": ({}, 0.5, "losses"),
    "held_out": ({}, 0.4, "rows"),
    "validation": ({}, 0.3, "rows"),
    "task": ({}, "classification", "labels"),
    "num_virtual_tokens": (SOFT, 5, "config"),
    "soft_prompt": (SOFT, "Say red or blue.", "losses"),
    "early_stopping_patience": (LOUD, 1, "steps_taken"),
    "gradient_checkpointing": ({}, True, "checkpointing"),
    "target_modules": ({}, "attention", "config"),
    "warmup_ratio": ({}, 0.9, "rates"),
    "lr_scheduler_type": ({}, "cosine", "rates"),
    "weight_decay": ({"num_train_epochs": 3}, 1.0, "weights"),
    "max_grad_norm": ({"num_train_epochs": 3}, 0.001, "weights"),
    "seed": ({}, 1, "split"),
    "hub_model_id": ({}, "x", "published"),
    "sample_rows": ({}, 0, "samples"),
    "report_to": ({}, "tensorboard", "tracker"),
    "project": ({"report_to": "trackio"}, "other", "tracker"),
    "trackio_space_id": ({"report_to": "trackio"}, "ana/board", "tracker"),
}


def test_no_field_is_forgotten() -> None:
    assert set(EFFECTS) == set(Recipe.model_fields)


@pytest.mark.slow
@pytest.mark.parametrize("field", EFFECTS)
def test_a_field_has_its_effect(field: str, tiny: str, tmp_path: Path) -> None:
    before, value, what = EFFECTS[field]
    if value == "gpt2":
        value = str(tiny_gpt2(tmp_path / "gpt2"))
    assert seen(tiny, json.dumps(before))[what] != seen(tiny, json.dumps({**before, field: value}))[what]


@cache
def seen(tiny: str, settings: str) -> dict[str, Any]:
    """What can be seen of a run with these settings."""
    run = executed(runs.create("local", table(), recipe(tiny, **json.loads(settings)), COLUMNS))
    events, adapter = run.events(), run.folder / "adapter"
    steps = [event for event in events if event["event"] == "step"]
    data = next(event for event in events if event["event"] == "data")
    told = [event for event in events if event["event"] == "tracker"]
    config = json.loads((adapter / "adapter_config.json").read_text())
    return {
        "steps": steps[0]["steps"], "steps_taken": len(steps), "rates": [event["learning_rate"] for event in steps],
        "losses": [event["loss"] for event in steps], "dropped": data["dropped"], "cut": data["cut"],
        "config": {name: sorted(value) if isinstance(value, list) else value for name, value in config.items()},
        "rows": runs.snapshot(run)["rows"], "split": run.numbers("held_out"), "labels": (adapter / "labels.json").is_file(),
        "weights": hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest(),
        "samples": sum(event["event"] == "sample" for event in events),
        "tracker": [event.get("problem", event.get("where", "").replace(run.id, "")) for event in told],
        "checkpointing": _checkpointing(run),
        "published": [event["repo"] for event in events if event["event"] == "not_published"],
    }  # fmt: skip


def _checkpointing(run: runs.Run) -> bool:
    from tuning.execute import encoded

    task, parts = encoded(run)
    trainer, _ = prepared(run.recipe, task, parts, run.folder / "scratch", unwatched(), run.owner, None)
    return any(getattr(module, "gradient_checkpointing", False) for module in trainer.model.modules())
