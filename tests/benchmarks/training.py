"""Real (unpadded) tokens a second and peak memory of one epoch: a plain Trainer script, TRL where it is installed, and this app.

    python -m tests.benchmarks.training [plain|trl|app ...]

The embedded model, LoRA r=16 on all linear layers, 64 instruction rows of 30 to 512 tokens, learning rate 5e-4, effective batch 8.
Each in a process of its own; the ratios are of one run, with nothing else going on. The held-out loss is of 16 more rows.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS, HELD_OUT, LONGEST, BATCH, RATE = 64, 16, 512, 8, 5e-4
SIDES = ("plain", "trl", "app")


def main() -> None:
    chosen = sys.argv[1:] or SIDES
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(Path(".cache/models").resolve())
        environment = {**os.environ, "PROMPT_OR_TUNE_HOME": home}
        found = {}
        for side in chosen:
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, f"--{side}"], capture_output=True, text=True, env=environment
            )
            if done.returncode:
                print(f"{side}: {done.stderr.strip().splitlines()[-1]}")
                continue
            found[side] = json.loads(done.stdout.strip().splitlines()[-1])
            print(f"{side}: {found[side]['rate']:.0f} tokens/s, peak {found[side]['peak']:.2f} GB, "
                  f"held-out loss {found[side]['loss']:.3f}")  # fmt: skip
    for other in ("plain", "trl"):
        if other in found and "app" in found:
            print(f"app against {other}: {found['app']['rate'] / found[other]['rate']:.2f}x")


def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any]:
    """Training and held-out rows {"ids", "context"}, and the tokenizer: lengths spread evenly over 30 to 512 tokens."""
    from prompts.loading import load_tokenizer
    from prompts.models import embedded_folder
    from prompts.rows import sample_table
    from tuning.data.columns import Columns, Conversations
    from tuning.data.encode import encode

    rng = random.Random(0)
    texts = [row["email"] for row in sample_table("support_emails").rows]
    tokenizer = load_tokenizer(str(embedded_folder()))
    table = []
    for number in range(ROWS + HELD_OUT):
        wanted = 30 + (LONGEST - 60) * number / (ROWS + HELD_OUT - 1)
        answer = rng.choice(texts)
        while len(tokenizer(answer)["input_ids"]) < wanted - 40:
            answer += rng.choice(texts) + "\n"
        answer = tokenizer.decode(tokenizer(answer)["input_ids"][: max(4, int(wanted) - 40)])
        table.append({"instruction": f"Write mail {number}.", "output": answer})
    rng.shuffle(table)
    found = encode(Conversations(table, Columns(input=("instruction",), output="output")), tokenizer, LONGEST, "stop")
    made = [{"ids": list(row.ids), "context": row.context} for row in found.rows]
    return made[:ROWS], made[ROWS:], tokenizer


def result(rate: float, loss: float) -> None:
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"rate": rate, "peak": int(peak.split()[1]) * 1024 / 1e9, "loss": loss}))


def loss_of(model: Any, held_out: list[dict[str, Any]]) -> float:
    """The mean cross-entropy of a learned token, one row at a time, with transformers' own loss."""
    import torch

    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for row in held_out:
            ids = torch.tensor([row["ids"]])
            labels = ids.clone()
            labels[0, : row["context"]] = -100
            learned = len(row["ids"]) - row["context"]
            total += float(model(input_ids=ids, labels=labels).loss) * learned
            count += learned
    return total / count


def adapted(dtype: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from prompts.models import embedded_folder

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=dtype)
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"))


def arguments(**more: Any) -> dict[str, Any]:
    return {"output_dir": tempfile.mkdtemp(), "num_train_epochs": 1, "learning_rate": RATE, "use_cpu": True, "report_to": "none",
            "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True, "warmup_steps": 0.05, "seed": 0, **more}  # fmt: skip


def plain() -> None:
    """What tutorials show: every row padded to the longest, fp32."""
    import torch
    from transformers import Trainer, TrainingArguments

    train, held_out, tokenizer = rows()

    def padded(row: dict[str, Any]) -> dict[str, Any]:
        gap = LONGEST - len(row["ids"])
        labels = [-100] * row["context"] + row["ids"][row["context"] :] + [-100] * gap
        mask = [1] * len(row["ids"]) + [0] * gap
        return {"input_ids": row["ids"] + [tokenizer.pad_token_id] * gap, "attention_mask": mask, "labels": labels}

    model = adapted(torch.float32)
    trainer = Trainer(
        model,
        TrainingArguments(**arguments(per_device_train_batch_size=BATCH)),
        train_dataset=[padded(row) for row in train],
    )
    started = time.perf_counter()
    trainer.train()
    result(sum(len(row["ids"]) for row in train) / (time.perf_counter() - started), loss_of(model, held_out))


def trl() -> None:
    """SFTTrainer with packing, bf16, without checkpointing."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    train, held_out, tokenizer = rows()
    masks = ([0] * row["context"] + [1] * (len(row["ids"]) - row["context"]) for row in train)
    pairs = zip(train, masks, strict=True)
    data = Dataset.from_list([{"input_ids": row["ids"], "completion_mask": mask} for row, mask in pairs])
    model = adapted(torch.bfloat16)
    settings = SFTConfig(**arguments(per_device_train_batch_size=1, gradient_accumulation_steps=4, packing=True, bf16=True,
                                     packing_strategy="wrapped", max_length=1024, gradient_checkpointing=False))  # fmt: skip
    trainer = SFTTrainer(model, settings, train_dataset=data, processing_class=tokenizer)
    started = time.perf_counter()
    trainer.train()
    result(sum(len(row["ids"]) for row in train) / (time.perf_counter() - started), loss_of(model, held_out))


def app() -> None:
    import numpy as np

    from prompts.loading import load
    from prompts.models import embedded_folder
    from tuning.data.encode import Encoded, Tokens
    from tuning.recipe import Recipe
    from tuning.task import Task
    from tuning.train import train

    chosen, held_out, _ = rows()
    ends = np.cumsum([len(row["ids"]) for row in chosen])
    tokens = Tokens(
        np.array([token for row in chosen for token in row["ids"]]), ends, np.array([row["context"] for row in chosen])
    )
    pieces = np.stack([tokens.starts, ends, ends, ends, tokens.context], axis=1)
    folder = Path(tempfile.mkdtemp())
    recipe = Recipe(num_train_epochs=1, learning_rate=RATE, per_device_train_batch_size=BATCH)
    for event in train(recipe, Task("causal"), {"train": Encoded(tokens, pieces)}, folder, owner="local"):
        last = event
    peak = last["peak_memory_gb"]
    with load(str(embedded_folder())).using(folder / "adapter") as model:
        loss = loss_of(model, held_out)
    print(json.dumps({"rate": last["tokens_per_second"], "peak": peak, "loss": loss}))


if __name__ == "__main__":
    sides = {f"--{side}": globals()[side] for side in SIDES}
    sides[sys.argv[1]]() if len(sys.argv) > 1 and sys.argv[1] in sides else main()
