"""What a sweep tries: settings of the recipe with values or ranges, as a grid or at random."""

import itertools
import math
import random
import re
from typing import Any, Literal

from prompts.errors import UserError
from prompts.settings import Settings, knob
from prompts.words import say
from tuning.recipe import Recipe, Watching

FIXED = {"held_out", "validation", "seed", *Watching.model_fields}  # other rows, or other places, not another recipe
MOST = 50
_RANGE = re.compile(r"\s*(\S+)\s*\.\.\s*(\S+)\s*")


class Search(Settings):
    """What a sweep tries."""

    vary: str = knob(
        "learning_rate = 1e-4, 5e-4; lora_r = 8, 32", title="What varies", lines=2, min_length=1,
        help="Settings of the recipe with their values: learning_rate = 1e-4, 5e-4; lora_r = 8, 32. With random also a range: "
        "learning_rate = 1e-5 .. 1e-3.",
    )  # fmt: skip
    search: Literal["grid", "random"] = knob(
        "grid", title="Search", help="grid: every combination. random: as many combinations as there are trials."
    )
    trials: int = knob(8, title="Trials", help="The most runs that are started.", unit="runs", ge=2, le=MOST)
    minutes: float = knob(
        30,
        title="Time",
        help="No trial goes on after it; what was measured by then counts.",
        unit="minutes",
        gt=0,
        le=10080,
    )


def combinations(search: Search, recipe: Recipe) -> list[dict[str, Any]]:
    """The values of each trial. Raises UserError for a setting or value that there is not, and for a grid of too many."""
    known = _varied(search.vary)
    if search.search == "grid":
        if ranged := next((name for name, values in known.items() if isinstance(values, tuple)), None):
            raise UserError("{ranged} has a range; a grid needs values, or choose random", ranged=ranged, field="vary")
        count = math.prod(len(values) for values in known.values())
        if count > search.trials:
            raise UserError(
                "the grid has {count} combinations, and at most {trials} are tried (trials); allow more, or choose random",
                count=count,
                trials=search.trials,
                field="vary",
            )
        drawn = [dict(zip(known, values, strict=True)) for values in itertools.product(*known.values())]
    else:
        drawn = _drawn(known, search.trials, random.Random(recipe.seed))
    return [_checked(values, recipe) for values in drawn]


def _varied(text: str) -> dict[str, Any]:
    """ "a = 1, 2; b = 1 .. 3" -> {"a": ["1", "2"], "b": (1.0, 3.0)}."""
    found: dict[str, Any] = {}
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        name, equals, values = (piece.strip() for piece in part.partition("="))
        if not equals or not values:
            raise UserError("write {part!r} as name = value, value", part=part.strip(), field="vary")
        if name not in Recipe.model_fields or name in FIXED:
            why = say("changes more than the recipe") if name in FIXED else say("is no setting of the recipe")
            raise UserError("{name} {why}, so it cannot be varied", name=name, why=why, field="vary")
        if pair := _RANGE.fullmatch(values):
            try:
                low, high = float(pair[1]), float(pair[2])
            except ValueError:
                raise UserError(
                    "{name}: a range has two numbers, as in 1e-5 .. 1e-3", name=name, field="vary"
                ) from None
            found[name] = (min(low, high), max(low, high))
        else:
            found[name] = list(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
    if not found:
        raise UserError("name at least one setting and its values", field="vary")
    return found


def _drawn(known: dict[str, Any], count: int, rng: random.Random) -> list[dict[str, Any]]:
    """So many different combinations, or all that there are. Ranges of positive numbers are drawn by their logarithm."""
    drawn: dict[str, dict[str, Any]] = {}
    for _ in range(100 * count):
        values = {name: _one(name, values, rng) for name, values in known.items()}
        drawn.setdefault(repr(values), values)
        if len(drawn) == count:
            break
    return list(drawn.values())


def _one(name: str, values: Any, rng: random.Random) -> Any:
    if not isinstance(values, tuple):
        return rng.choice(values)
    low, high = values
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
    return round(value) if Recipe.model_fields[name].annotation is int else float(f"{value:.3g}")


def _checked(values: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The values as the recipe understands them. Raises UserError."""
    changed = recipe.changed(**values).to_json()
    return {name: changed[name] for name in values}
