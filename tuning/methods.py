"""Methods of fine-tuning: each with its own learning rate and a sentence on when to choose it. PEFT does the work.

LoRA (Hu et al. 2021), rsLoRA (Kalajdzievski 2023), DoRA (Liu et al. 2024), QLoRA (Dettmers et al. 2023), prompt tuning (Lester et
al. 2021), prefix tuning (Li and Liang 2021), IA3 (Liu et al. 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prompts.errors import UserError
from prompts.kinds import Kind
from tuning.kinds import PEFT_TASKS


@dataclass(frozen=True)
class Method:
    """`learning_rate` is used where the recipe names none; `config`: PEFT's class for it, "" where there is no adapter; `soft`: it
    learns a prompt, not weights; `checkpoints`: its passes can be computed again, as gradient checkpointing does.
    """

    learning_rate: float
    when: str
    config: str = "LoraConfig"
    soft: bool = False
    checkpoints: bool = True


METHODS: dict[str, Method] = {
    "lora": Method(5e-4, "the sound default: a small adapter beside every layer"),
    "rslora": Method(5e-4, "LoRA for ranks of 64 and more, whose strength does not fade with the rank"),
    "dora": Method(5e-4, "LoRA that learns size and direction apart: sometimes better at small ranks, a quarter slower"),
    "qlora": Method(2e-4, "LoRA on a base in 4 bits: for bases that do not fit the GPU otherwise"),
    "prompt_tuning": Method(3e-2, "learns a few virtual words before the input: tiny, needs many steps",
                            "PromptTuningConfig", soft=True),
    "prefix_tuning": Method(5e-3, "learns what every layer reads before the input: small, stronger than prompt tuning",
                            "PrefixTuningConfig", soft=True, checkpoints=False),
    "ia3": Method(5e-3, "learns to scale what is there: the smallest adapter, for tasks that the base nearly knows", "IA3Config"),
    "full": Method(2e-5, "changes every weight: for small models and many rows; the result is a whole model", ""),
}  # fmt: skip
if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(METHODS)]


def learning_rate(recipe: Any) -> float:
    """The recipe's learning rate, or its method's."""
    given: float | None = recipe.learning_rate
    return METHODS[recipe.method].learning_rate if given is None else given


def check_method(recipe: Any) -> None:
    """Raises UserError where the recipe asks of its method what that cannot do."""
    if recipe.gradient_checkpointing and not METHODS[recipe.method].checkpoints:
        raise UserError(
            "{method} does not work with gradient checkpointing; switch that off, or choose lora",
            method=recipe.method,
            field="gradient_checkpointing",
        )


def with_method(base: Any, recipe: Any, kind: Kind, tokenizer: Any) -> Any:
    """The base with what is to be learned added to it, from the recipe's seed. Raises UserError where the method does not fit."""
    import torch
    from peft import get_peft_model

    torch.manual_seed(recipe.seed)
    if recipe.method == "full":
        return base.float().requires_grad_(True)
    if recipe.method == "qlora":
        from peft import prepare_model_for_kbit_training

        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=recipe.gradient_checkpointing)
    try:
        model = get_peft_model(base, _config(recipe, kind, getattr(base, "new_modules", None)))
    except ValueError as error:
        raise UserError(
            "{method} does not fit this model ({reason}); choose lora",
            method=recipe.method,
            reason=str(error)[:200],
            field="method",
        ) from None
    if METHODS[recipe.method].soft and recipe.soft_prompt.strip():
        _start_from_text(model, recipe, tokenizer)
    return model


def quantized(recipe: Any) -> dict[str, Any]:
    """What from_pretrained needs for a base in 4 bits. Raises UserError where there is no GPU for it."""
    import importlib.util

    import torch

    if recipe.method != "qlora":
        return {}
    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("qlora needs an NVIDIA GPU and the package bitsandbytes; choose lora here", field="method")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    return {"quantization_config": config, "device_map": {"": 0}}


def _config(recipe: Any, kind: Kind, new: Sequence[str] | None = None) -> Any:
    """`new`: modules that the base's checkpoint lacks; they are learned as a whole and saved with the adapter."""
    import peft

    task, kept, method = PEFT_TASKS[kind], list(new or ()) or None, METHODS[recipe.method]
    config = getattr(peft, method.config)
    if method.soft:
        return config(task_type=task, num_virtual_tokens=recipe.num_virtual_tokens)
    if config is not peft.LoraConfig:
        return config(task_type=task, modules_to_save=kept)
    # None is PEFT's own choice for the architecture: query and value projections
    targets = "all-linear" if recipe.target_modules == "all-linear" else None
    return config(
        task_type=task, r=recipe.lora_r, lora_alpha=recipe.lora_alpha, lora_dropout=recipe.lora_dropout,
        use_rslora=recipe.method == "rslora", use_dora=recipe.method == "dora", target_modules=targets,
        modules_to_save=kept,
    )  # fmt: skip


def _start_from_text(model: Any, recipe: Any, tokenizer: Any) -> None:
    """The virtual tokens start as the words of `recipe.soft_prompt`, repeated or cut to their number."""
    import torch

    ids = tokenizer(recipe.soft_prompt, add_special_tokens=False)["input_ids"]
    ids = (ids * (recipe.num_virtual_tokens // len(ids) + 1))[: recipe.num_virtual_tokens]
    encoder = model.prompt_encoder[model.active_adapter]
    base = model.get_base_model()
    with torch.no_grad():
        read = torch.tensor([ids], device=base.device)
        if recipe.method == "prompt_tuning":
            words = base.get_input_embeddings()(read)[0]
            weight = encoder.embedding.weight
            weight.copy_(words.repeat(weight.shape[0] // len(ids), 1).to(weight.dtype))
            return
        from prompts.backends.packing import cache_of

        found = cache_of(base(input_ids=read, use_cache=True))
        keys = [torch.stack([layer.keys[0], layer.values[0]]) for layer in found.layers]  # (2, heads, tokens, width)
        flat = torch.stack(keys).permute(3, 0, 1, 2, 4).reshape(len(ids), -1)
        if flat.shape == encoder.embedding.weight.shape:
            encoder.embedding.weight.copy_(flat.to(encoder.embedding.weight.dtype))
