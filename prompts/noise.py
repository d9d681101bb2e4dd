"""Warnings by which one library of ours tells of another: nobody who runs this app can act on them."""

import warnings

NOISE = (
    r"`is_gradient_checkpointing` is deprecated",  # PEFT asks transformers by its old name
    r"`gradient_checkpointing_enable` is deprecated",  # transformers 5.20 has no other name for it
    r"`past_key_values` is deprecated and|Both `past_key_values` and `cache` are set",  # PEFT's prefix tuning, by the old name
    r"fan_in_fan_out is set to False but the target module is `Conv1D`",  # PEFT sets it right
    r"Position ids are not supported for parameter efficient tuning",  # virtual tokens: transformers counts them itself
)


def hush() -> None:
    """For a program of ours, where it begins."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    warnings.filterwarnings("ignore", message=".*Pandas4Warning.*|.*deprecated.*", module="gradio.*")
