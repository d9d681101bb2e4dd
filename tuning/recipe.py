"""Recipe: every hyper-parameter once, with range, unit and help."""

from typing import Literal

from prompts.models import EMBEDDED
from prompts.settings import Settings, knob
from tuning.data.encode import Overlong
from tuning.methods import METHODS
from tuning.methods import Name as MethodName
from tuning.task import Name as TaskName


class Reading(Settings):
    """What a model reads of a row."""

    model: str = knob(
        EMBEDDED, title="Base model", pick=True, help="embedded, a Hub id, or a folder with a checkpoint."
    )
    max_length: int = knob(512, title="Longest row", help="Input and answer together.", unit="tokens", ge=16, le=131072)
    overlong: Overlong = knob(
        "stop", title="Rows too long", advanced=True,
        help="stop: refuse to start. drop: leave the row out. cut: cut off its end. split: make several rows of it.",
    )  # fmt: skip


class Watching(Settings):
    """What is watched beside the losses, and where else it is kept. The names are transformers'."""

    sample_rows: int = knob(
        2, title="Sample answers", unit="rows", ge=0, le=20, advanced=True, place=60,
        help="After each epoch the model answers so many rows that it does not learn from; 0: none.",
    )  # fmt: skip
    report_to: Literal["none", "trackio", "wandb", "tensorboard"] = knob(
        "none", title="Tracker", advanced=True, place=60,
        help="Keep the figures there too. Trackio, TensorBoard: on this machine. W&B: in the account of WANDB_API_KEY, without it "
        "offline in the run's folder.",
    )  # fmt: skip
    project: str = knob(
        "prompt-or-tune", title="Project", help="The project's name in the tracker.", pattern=r"^[\w.-]{1,64}$",
        advanced=True, place=60,
    )  # fmt: skip
    trackio_space_id: str = knob(
        "", title="Trackio Space", pattern=r"^([\w.-]+/[\w.-]+)?$", advanced=True, place=60,
        help="you/name: when the run ends, Trackio's figures go to this Space of yours as well, with your token, which Trackio "
        "keeps there as the Space's secret. Empty: they stay here.",
    )  # fmt: skip


class Recipe(Watching, Reading):
    """How a model is fine-tuned. The names are transformers' and PEFT's."""

    method: MethodName = knob(
        "lora", title="Method", help=". ".join(f"{name}: {method.when}" for name, method in METHODS.items()) + "."
    )
    num_train_epochs: float = knob(
        3, title="Epochs", help="How often every training row is seen.", gt=0, le=50, step=0.5
    )
    learning_rate: float | None = knob(
        None, title="Learning rate", gt=0, le=1, step=1e-5,
        help="Size of a step; lower it if the loss jumps. 0 or empty: the method's own ("
        + ", ".join(f"{name} {method.learning_rate:g}" for name, method in METHODS.items()) + ").",
    )  # fmt: skip
    per_device_train_batch_size: int = knob(
        8,
        title="Batch size",
        help="Rows of one forward pass; lower it when memory runs out.",
        unit="rows",
        ge=1,
        le=256,
    )
    gradient_accumulation_steps: int = knob(
        1, title="Gradient accumulation", ge=1, le=256,
        help="Passes per update: the effective batch is batch size times this.",
    )  # fmt: skip
    lora_r: int = knob(16, title="LoRA rank (r)", help="Size of the adapter: more can learn more.", ge=1, le=256)
    lora_alpha: int = knob(
        32, title="LoRA alpha", help="Strength of the adapter; usually once or twice the rank.", ge=1, le=512
    )
    held_out: float = knob(
        0.2, title="Held-out share", help="Rows kept for measuring; training never sees them.", ge=0, le=0.9, step=0.05
    )
    validation: float = knob(
        0.1, title="Validation share", ge=0, le=0.9, step=0.05,
        help="Rows whose loss is watched after each epoch; training never sees them.",
    )  # fmt: skip
    lora_dropout: float = knob(
        0.0,
        title="LoRA dropout",
        help="Share of the adapter switched off at random.",
        ge=0,
        lt=1,
        step=0.05,
        advanced=True,
    )
    task: TaskName = knob(
        "auto", title="Task", advanced=True,
        help="auto: text for GPT-like, classification for BERT-like, seq2seq for T5-like models. GPT-like models can classify too.",
    )  # fmt: skip
    num_virtual_tokens: int = knob(
        20, title="Virtual tokens", help="Length of the soft prompt of prompt and prefix tuning.", unit="tokens", ge=1, le=512,
        advanced=True,
    )  # fmt: skip
    soft_prompt: str = knob(
        "", title="Soft prompt starts as", advanced=True, lines=2,
        help="Words that prompt and prefix tuning start from, e.g. your best prompt; repeated or cut to fit. Empty: chance.",
    )  # fmt: skip
    early_stopping_patience: int = knob(
        2, title="Early stopping", unit="epochs", ge=0, le=50, advanced=True,
        help="Stop when the validation loss has not improved for so many epochs; 0 never. The best epoch is kept in any case.",
    )  # fmt: skip
    hub_model_id: str = knob(
        "", title="Publish when done", advanced=True, max_length=200,
        help="Name, or owner/name. A private repository is made with your token before the training starts, so that a token that "
        "may not write is told at once; the adapter goes there when it is measured. Empty: you publish by hand.",
    )  # fmt: skip
    gradient_checkpointing: bool = knob(
        False, title="Gradient checkpointing", help="Less memory, a third slower.", advanced=True
    )
    target_modules: Literal["all-linear", "attention"] = knob(
        "all-linear", title="Layers adapted", advanced=True,
        help="all-linear adapts every linear layer; attention the query and value projections only.",
    )  # fmt: skip
    warmup_ratio: float = knob(
        0.05,
        title="Warm-up",
        help="Share of the steps in which the learning rate rises.",
        ge=0,
        le=1,
        step=0.01,
        advanced=True,
    )
    lr_scheduler_type: Literal["linear", "cosine", "constant_with_warmup"] = knob(
        "linear", title="Schedule", help="How the learning rate falls after the warm-up.", advanced=True
    )
    weight_decay: float = knob(
        0.0, title="Weight decay", help="Pull of the weights to zero.", ge=0, le=1, step=0.01, advanced=True
    )
    max_grad_norm: float = knob(
        1.0,
        title="Gradient clipping",
        help="Longer gradients are scaled down to this norm.",
        gt=0,
        le=100,
        step=0.1,
        advanced=True,
    )
    seed: int = knob(0, title="Seed", help="Fixes split, order and start weights.", ge=0, le=2**31 - 1, advanced=True)

    @property
    def effective_batch_size(self) -> int:
        """Rows per update, on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps
