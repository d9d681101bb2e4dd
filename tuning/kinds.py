"""What a folder with an adapter or a whole model is for."""

import json
from pathlib import Path
from types import SimpleNamespace

from prompts.home import ADAPTER_CONFIG
from prompts.kinds import Kind, kind_of


def kind_in(folder: Path) -> Kind:
    """What the adapter or the whole model in a folder is for."""
    file = folder / ADAPTER_CONFIG
    if not file.is_file():
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return kind_of(SimpleNamespace(**{"model_type": "", "architectures": (), **config}))
    kinds: dict[str, Kind] = {"SEQ_2_SEQ_LM": "seq2seq", "SEQ_CLS": "classifier"}
    return kinds.get(json.loads(file.read_text("utf-8")).get("task_type"), "causal")
