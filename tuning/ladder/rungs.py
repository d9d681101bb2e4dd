"""The rungs of a ladder: the same rows asked in one way after another, from a plain question to a fine-tune."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prompts.answering import answered, keyed
from prompts.asking import Open
from prompts.errors import UserError
from prompts.experiment import EvalSet
from prompts.messages import Prompt
from prompts.refining.operators import choices
from prompts.replies import Replies
from prompts.results import Side
from prompts.scoring import Scoring
from prompts.similar import Similar, telling_words
from prompts.techniques import AskSettings, technique
from prompts.techniques.chain_of_thought import ChainSettings
from prompts.techniques.contextual import ContextualSettings
from prompts.techniques.few_shot import Example, FewShotSettings
from prompts.words import later, say
from tuning.evaluate import room

INPUT = "{{ text }}"  # every row of a ladder is {"text": what a person would type}
DEVELOPMENT = 32  # training rows that the automatic refinement is scored on
WORDS = 4  # telling words a label


@dataclass
class Footing:
    """What every rung stands on: the rows, how they are scored, the training rows to draw examples from, and who is asked."""

    settings: Any  # tuning/ladder/settings.py
    scoring: Scoring
    evalset: EvalSet
    asked: list[Prompt]  # what the run was trained to read, for each row of the task
    examples: list[Example]  # the training rows
    run: str  # run:<id>
    kind: str  # of the run's model: causal, seq2seq or classifier
    chat: bool  # are the rows whole conversations?
    model: str  # that the prompts go to
    short: str  # the short prompt
    owner: str
    token: str | None
    open_model: Open
    cache: Replies
    stop: threading.Event = field(default_factory=threading.Event)
    best: "Rung | None" = None  # of the prompt rungs of one call, so far
    room_for: list[str] | None = None  # answers whose length says how long a reply may be; none: the task's references

    def room(self, model: str) -> int:
        """Tokens that an answer may have."""
        return room(model, self.owner, self.room_for or self.evalset.references, self.token)


@dataclass
class Rung:
    """One way of asking; several sides vote. `made` says what was made for it, for whoever wants to ask the same."""

    name: str
    sides: list[Side]
    made: str = ""
    score: float = 0.0


def _side(footing: Footing, name: str, kind: str, settings: AskSettings, prompts: list[Prompt] | None = None) -> Side:
    """Raises UserError where rows do not fit the model's window."""
    found = technique(kind)
    built = prompts if prompts is not None else [found.build(settings, row) for row in footing.evalset.rows]
    side = Side(name, found, settings, footing.open_model(settings.model), built)
    if long := keyed(side, footing.scoring, footing.evalset):
        raise UserError(
            "{long} of {built} rows do not fit the window of {model}",
            long=len(long),
            built=len(built),
            model=settings.model,
        )
    return side


def _plain(footing: Footing, task: str, model: str = "", **more: Any) -> FewShotSettings:
    model = model or footing.model
    return FewShotSettings(
        model=model, task=task, input=INPUT, max_new_tokens=footing.room(model), seed=footing.settings.seed, **more
    )


def _zero_shot(footing: Footing) -> Rung:
    prompts = footing.asked if footing.chat else None
    side = _side(footing, "zero_shot", "few_shot", _plain(footing, footing.short, k=0), prompts)
    return Rung("zero_shot", [side], footing.short)


def _context(footing: Footing) -> Rung:
    given, form = footing.settings.context.strip(), choices(footing.scoring, footing.evalset.labels)
    if not given and not form:
        raise UserError("no context was given; write what the model has to know, in context")
    settings = ContextualSettings(
        model=footing.model, task=footing.short, input=INPUT, background=given, constraints=form,
        max_new_tokens=footing.room(footing.model), seed=footing.settings.seed,
    )  # fmt: skip
    return Rung("context", [_side(footing, "context", "contextual", settings)], "\n".join(filter(None, (given, form))))


def _reasoning(footing: Footing, **sampling: Any) -> ChainSettings:
    task = "\n".join(filter(None, (footing.short, choices(footing.scoring, footing.evalset.labels))))
    settings = {"max_new_tokens": footing.settings.reasoning_tokens, "seed": footing.settings.seed, **sampling}
    return ChainSettings(model=footing.model, task=task, input=INPUT, **settings)


def _chain_of_thought(footing: Footing) -> Rung:
    settings = _reasoning(footing)
    return Rung("chain_of_thought", [_side(footing, "chain_of_thought", "chain_of_thought", settings)], settings.task)


def _pool(footing: Footing) -> list[Example]:
    if len(footing.examples) < footing.settings.k:
        raise UserError("there are {examples} training rows to show, fewer than k", examples=len(footing.examples))
    return footing.examples


def _k_shot_random(footing: Footing) -> Rung:
    k = footing.settings.k
    drawn = random.Random(footing.settings.seed).sample(_pool(footing), min(k + 1, len(footing.examples)))
    settings, found = _plain(footing, footing.short), technique("few_shot")
    prompts = []
    for row in footing.evalset.rows:
        shown = [one for one in drawn if one.input != row["text"]][:k]  # never the row itself
        prompts.append(found.build(settings.changed(examples=tuple(shown)), row))
    return Rung(
        "k_shot_random", [_side(footing, "k_shot_random", "few_shot", settings, prompts)], say("{k} training rows", k=k)
    )


def _k_shot_similar(footing: Footing) -> Rung:
    pool, settings = _pool(footing), _plain(footing, footing.short)
    try:
        similar = Similar([example.input for example in pool])
    except ValueError:
        raise UserError("the training rows hold no words to compare by") from None
    found = technique("few_shot")
    prompts = []
    for row in footing.evalset.rows:
        nearest = [pool[at] for at in similar.to(str(row["text"]), footing.settings.k + 1)]
        shown = [one for one in nearest if one.input != row["text"]][-footing.settings.k :]  # never the row itself
        prompts.append(found.build(settings.changed(examples=tuple(shown)), row))
    side = _side(footing, "k_shot_similar", "few_shot", settings, prompts)
    return Rung("k_shot_similar", [side], say("the {k} training rows most like each row", k=footing.settings.k))


def _refined(footing: Footing) -> Rung:
    if not footing.settings.refined.strip() and footing.scoring.scorer == "judge":
        raise UserError("with a judge, write the refined prompt yourself: every try would have to be judged")
    task = footing.settings.refined.strip() or _refine(footing)
    return Rung("refined", [_side(footing, "refined", "few_shot", _plain(footing, task, k=0))], task)


def _refine(footing: Footing) -> str:
    """The short prompt with those requirements that raise its score on training rows, added one at a time."""
    rng = random.Random(footing.settings.seed)
    drawn = rng.sample(footing.examples, min(DEVELOPMENT, len(footing.examples)))
    evalset = EvalSet(
        list(range(len(drawn))), [{"text": one.input} for one in drawn], [one.output for one in drawn],
        footing.evalset.labels, [],
    )  # fmt: skip
    trial = Footing(**{**vars(footing), "evalset": evalset})
    best, text = _mean(trial, footing.short), footing.short
    for requirement in _requirements(footing):
        if footing.stop.is_set():
            break
        longer = f"{text}\n{requirement}"
        if (found := _mean(trial, longer)) > best:
            best, text = found, longer
    return text


def _requirements(footing: Footing) -> Iterator[str]:
    """What can be said of the answers from the training rows, without any model."""
    answers = [example.output for example in footing.examples]
    if footing.scoring.scorer == "label":
        try:
            words = telling_words([example.input for example in footing.examples], answers, WORDS)
        except ValueError:
            words = {}
        yield choices(footing.scoring, footing.evalset.labels)
        if words:
            yield "\n".join(f"{label}: {', '.join(found)}" for label, found in words.items() if found)
        yield "Answer with one word and nothing else."
    elif footing.scoring.scorer == "number":
        yield "Answer with the number alone."
    else:
        shown = random.Random(footing.settings.seed).sample(answers, min(3, len(answers)))
        yield "Give only the answer, without any explanation."
        yield "Answers look like these:\n" + "\n".join(f"- {answer}" for answer in shown)


def _mean(footing: Footing, task: str) -> float:
    side = _side(footing, "refined", "few_shot", _plain(footing, task, k=0))
    for _ in answered(
        side, range(len(footing.evalset.rows)), footing.cache, footing.scoring, footing.evalset, footing.stop
    ):
        pass
    return sum(score.value for score in side.scores.values()) / max(1, len(side.scores))


def _self_consistency(footing: Footing) -> Rung:
    settings = footing.settings
    sides = [
        _side(footing, f"vote {at + 1}", "chain_of_thought",
              _reasoning(footing, temperature=settings.temperature, seed=settings.seed + at))
        for at in range(settings.votes)
    ]  # fmt: skip
    return Rung(
        "self_consistency",
        sides,
        say(
            "{votes} chains of thought at temperature {temperature}",
            votes=settings.votes,
            temperature=settings.temperature,
        ),
    )


def _lora_short(footing: Footing) -> Rung:
    settings = _plain(footing, footing.short, footing.run, k=0)
    return Rung(
        "lora_short", [_side(footing, "lora_short", "few_shot", settings, footing.asked)], say("as it was trained")
    )


def _lora_best(footing: Footing) -> Rung:
    if footing.kind != "causal":
        kind = {"seq2seq": "T5-like", "classifier": "classifying"}[footing.kind]
        raise UserError("a {kind} model reads its text as it was trained to; it takes no other prompt", kind=kind)
    return _again(footing, "lora_best", footing.run)


def _larger(footing: Footing) -> Rung:
    if not footing.settings.larger_model:
        raise UserError("no larger model was named")
    return _again(footing, "larger", footing.settings.larger_model)


def _again(footing: Footing, name: str, model: str) -> Rung:
    """The best prompt so far, asked of another model."""
    if footing.best is None:
        raise UserError("no prompt rung was asked whose prompt could be used")
    known = footing.best.sides[0]
    settings = known.settings.changed(model=model)
    if known.technique.whole:
        settings = settings.changed(max_new_tokens=footing.room(model))
    return Rung(name, [_side(footing, name, known.technique.name, settings, known.prompts)],
                say("the prompt of “{title}”", title=say(TITLES[footing.best.name])))  # fmt: skip


# In the order of the ladder.
RUNGS: dict[str, tuple[str, Callable[[Footing], Rung]]] = later(
    {
        "zero_shot": ("Zero-shot", _zero_shot),
        "context": ("With context", _context),
        "chain_of_thought": ("Chain of thought", _chain_of_thought),
        "k_shot_random": ("k examples (random)", _k_shot_random),
        "k_shot_similar": ("k examples (similar)", _k_shot_similar),
        "refined": ("Refined prompt", _refined),
        "self_consistency": ("Self-consistency", _self_consistency),
        "lora_short": ("LoRA (short prompt)", _lora_short),
        "lora_best": ("LoRA (best prompt)", _lora_best),
        "larger": ("Larger model (best prompt)", _larger),
    }
)
TITLES = {name: title for name, (title, _) in RUNGS.items()}
TUNED = ("lora_short", "lora_best")
ONE_CALL = ("zero_shot", "context", "chain_of_thought", "k_shot_random", "k_shot_similar", "refined")
