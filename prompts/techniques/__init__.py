"""The prompting techniques. A technique is one file and one name in TECHNIQUES."""

from prompts.errors import UserError
from prompts.techniques import chain_of_thought, contextual, few_shot, refinement
from prompts.techniques.base import Answer, AskSettings, Technique, prompt_words

TECHNIQUES: tuple[Technique, ...] = (
    refinement.TECHNIQUE,
    contextual.TECHNIQUE,
    chain_of_thought.TECHNIQUE,
    few_shot.TECHNIQUE,
)


NAMED = f"{', '.join(one.name for one in TECHNIQUES[:-1])} or {TECHNIQUES[-1].name}."


def technique(name: str) -> Technique:
    """Raises UserError that lists the names."""
    for found in TECHNIQUES:
        if found.name == name:
            return found
    raise UserError(
        "there is no technique {name!r}; there are {names}", name=name, names=", ".join(t.name for t in TECHNIQUES)
    )


__all__ = ["NAMED", "TECHNIQUES", "Answer", "AskSettings", "Technique", "prompt_words", "technique"]
