"""What a folder with an adapter or a whole model is for."""

import json
from pathlib import Path
from types import SimpleNamespace

from prompts.home import ADAPTER_CONFIG
from prompts.kinds import Kind, kind_of

PEFT_TASKS: dict[Kind, str] = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "classifier": "SEQ_CLS"}
_CLASSES: dict[Kind, str] = {"causal": "CausalLM", "seq2seq": "Seq2SeqLM", "classifier": "SequenceClassification"}


def kind_in(folder: Path) -> Kind:
    """What the adapter or the whole model in a folder is for."""
    file = folder / ADAPTER_CONFIG
    if not file.is_file():
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return kind_of(SimpleNamespace(**{"model_type": "", "architectures": (), **config}))
    kinds = {task: kind for kind, task in PEFT_TASKS.items()}
    return kinds.get(json.loads(file.read_text("utf-8")).get("task_type"), "causal")


def loader(kind: Kind, *, whole: bool) -> tuple[str, str]:
    """(the class with which a reader loads a whole model or an adapter, the lines that import it and the tokenizer's)."""
    name = ("AutoModelFor" if whole else "AutoPeftModelFor") + _CLASSES[kind]
    if whole:
        return name, f"from transformers import {name}, AutoTokenizer"
    return name, f"from peft import {name}\nfrom transformers import AutoTokenizer"
