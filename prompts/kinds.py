"""Kinds of models: what a checkpoint can do, and the names of the classes that a classifier tells apart."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["causal", "seq2seq", "classifier"]

# Architectures that read a text as a whole and write none: they classify.
ENCODERS = {
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "mpnet", "modernbert", "roberta",
    "xlm-roberta",
}  # fmt: skip
LABELS_FILE = "labels.json"
BETWEEN = "; "  # between the names of several classes


@dataclass(frozen=True)
class Labels:
    """The classes of a classifier, in the order of its outputs; `many`: a text may have several or none."""

    names: tuple[str, ...]
    many: bool = False

    def write(self, folder: Path) -> None:
        document = {"names": self.names, "many": self.many}
        (folder / LABELS_FILE).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def read_labels(folder: Path | None) -> Labels | None:
    """What `Labels.write` left in a folder; None where there is nothing."""
    if folder is None or not (folder / LABELS_FILE).is_file():
        return None
    found = json.loads((folder / LABELS_FILE).read_text("utf-8"))
    return Labels(tuple(found["names"]), bool(found["many"]))


def kind_of(config: Any) -> Kind:
    """What a model's configuration (transformers) is for."""
    if getattr(config, "is_encoder_decoder", False):
        return "seq2seq"
    classifies = any("SequenceClassification" in name for name in getattr(config, "architectures", None) or ())
    return "classifier" if classifies or config.model_type in ENCODERS else "causal"


def own_labels(config: Any) -> Labels | None:
    """The classes of a checkpoint that is a trained classifier itself."""
    if not any("SequenceClassification" in name for name in getattr(config, "architectures", None) or ()):
        return None
    names = tuple(str(config.id2label[at]) for at in range(config.num_labels))
    return Labels(names, config.problem_type == "multi_label_classification")
