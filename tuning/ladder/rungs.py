"""The rungs of a ladder: the same rows asked in one way after another, from a plain question to a fine-tune."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prompts.answering import answered, keyed
from prompts.asking import Open
from prompts.errors import UserError
from prompts.experiment import Task
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
class Ground:
    """What every rung stands on: the rows, how they are scored, the training rows to draw examples from, and who is asked."""

    settings: Any  # tuning/ladder/settings.py
    scoring: Scoring
    task: Task
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
        return room(model, self.owner, self.room_for or self.task.references, self.token)


@dataclass
class Rung:
    """One way of asking; several sides vote. `made` says what was made for it, for whoever wants to ask the same."""

    name: str
    sides: list[Side]
    made: str = ""
    score: float = 0.0


def _side(ground: Ground, name: str, kind: str, settings: AskSettings, prompts: list[Prompt] | None = None) -> Side:
    """Raises UserError where rows do not fit the model's window."""
    found = technique(kind)
    built = prompts if prompts is not None else [found.build(settings, row) for row in ground.task.rows]
    side = Side(name, found, settings, ground.open_model(settings.model), built)
    if long := keyed(side, ground.scoring, ground.task):
        raise UserError(
            "{long} of {built} rows do not fit the window of {model}",
            long=len(long),
            built=len(built),
            model=settings.model,
        )
    return side


def _plain(ground: Ground, task: str, model: str = "", **more: Any) -> FewShotSettings:
    model = model or ground.model
    return FewShotSettings(
        model=model, task=task, input=INPUT, max_new_tokens=ground.room(model), seed=ground.settings.seed, **more
    )


def _zero_shot(ground: Ground) -> Rung:
    prompts = ground.asked if ground.chat else None
    side = _side(ground, "zero_shot", "few_shot", _plain(ground, ground.short, k=0), prompts)
    return Rung("zero_shot", [side], ground.short)


def _context(ground: Ground) -> Rung:
    given, form = ground.settings.context.strip(), choices(ground.scoring, ground.task.labels)
    if not given and not form:
        raise UserError("no context was given; write what the model has to know, in context")
    settings = ContextualSettings(
        model=ground.model, task=ground.short, input=INPUT, background=given, constraints=form,
        max_new_tokens=ground.room(ground.model), seed=ground.settings.seed,
    )  # fmt: skip
    return Rung("context", [_side(ground, "context", "contextual", settings)], "\n".join(filter(None, (given, form))))


def _reasoning(ground: Ground, **sampling: Any) -> ChainSettings:
    task = "\n".join(filter(None, (ground.short, choices(ground.scoring, ground.task.labels))))
    settings = {"max_new_tokens": ground.settings.reasoning_tokens, "seed": ground.settings.seed, **sampling}
    return ChainSettings(model=ground.model, task=task, input=INPUT, **settings)


def _chain_of_thought(ground: Ground) -> Rung:
    settings = _reasoning(ground)
    return Rung("chain_of_thought", [_side(ground, "chain_of_thought", "chain_of_thought", settings)], settings.task)


def _pool(ground: Ground) -> list[Example]:
    if len(ground.examples) < ground.settings.k:
        raise UserError("there are {examples} training rows to show, fewer than k", examples=len(ground.examples))
    return ground.examples


def _k_shot_random(ground: Ground) -> Rung:
    k = ground.settings.k
    drawn = random.Random(ground.settings.seed).sample(_pool(ground), min(k + 1, len(ground.examples)))
    settings, found = _plain(ground, ground.short), technique("few_shot")
    prompts = []
    for row in ground.task.rows:
        shown = [one for one in drawn if one.input != row["text"]][:k]  # never the row itself
        prompts.append(found.build(settings.changed(examples=tuple(shown)), row))
    return Rung(
        "k_shot_random", [_side(ground, "k_shot_random", "few_shot", settings, prompts)], say("{k} training rows", k=k)
    )


def _k_shot_similar(ground: Ground) -> Rung:
    pool, settings = _pool(ground), _plain(ground, ground.short)
    try:
        similar = Similar([example.input for example in pool])
    except ValueError:
        raise UserError("the training rows hold no words to compare by") from None
    found = technique("few_shot")
    prompts = []
    for row in ground.task.rows:
        nearest = [pool[at] for at in similar.to(str(row["text"]), ground.settings.k + 1)]
        shown = [one for one in nearest if one.input != row["text"]][-ground.settings.k :]  # never the row itself
        prompts.append(found.build(settings.changed(examples=tuple(shown)), row))
    side = _side(ground, "k_shot_similar", "few_shot", settings, prompts)
    return Rung("k_shot_similar", [side], say("the {k} training rows most like each row", k=ground.settings.k))


def _refined(ground: Ground) -> Rung:
    if not ground.settings.refined.strip() and ground.scoring.scorer == "judge":
        raise UserError("with a judge, write the refined prompt yourself: every try would have to be judged")
    task = ground.settings.refined.strip() or _refine(ground)
    return Rung("refined", [_side(ground, "refined", "few_shot", _plain(ground, task, k=0))], task)


def _refine(ground: Ground) -> str:
    """The short prompt with those requirements that raise its score on training rows, added one at a time."""
    rng = random.Random(ground.settings.seed)
    drawn = rng.sample(ground.examples, min(DEVELOPMENT, len(ground.examples)))
    task = Task(
        list(range(len(drawn))), [{"text": one.input} for one in drawn], [one.output for one in drawn],
        ground.task.labels, [],
    )  # fmt: skip
    trial = Ground(**{**vars(ground), "task": task})
    best, text = _mean(trial, ground.short), ground.short
    for requirement in _requirements(ground):
        if ground.stop.is_set():
            break
        longer = f"{text}\n{requirement}"
        if (found := _mean(trial, longer)) > best:
            best, text = found, longer
    return text


def _requirements(ground: Ground) -> Iterator[str]:
    """What can be said of the answers from the training rows, without any model."""
    answers = [example.output for example in ground.examples]
    if ground.scoring.scorer == "label":
        try:
            words = telling_words([example.input for example in ground.examples], answers, WORDS)
        except ValueError:
            words = {}
        yield choices(ground.scoring, ground.task.labels)
        if words:
            yield "\n".join(f"{label}: {', '.join(found)}" for label, found in words.items() if found)
        yield "Answer with one word and nothing else."
    elif ground.scoring.scorer == "number":
        yield "Answer with the number alone."
    else:
        shown = random.Random(ground.settings.seed).sample(answers, min(3, len(answers)))
        yield "Give only the answer, without any explanation."
        yield "Answers look like these:\n" + "\n".join(f"- {answer}" for answer in shown)


def _mean(ground: Ground, task: str) -> float:
    side = _side(ground, "refined", "few_shot", _plain(ground, task, k=0))
    for _ in answered(side, range(len(ground.task.rows)), ground.cache, ground.scoring, ground.task, ground.stop):
        pass
    return sum(score.value for score in side.scores.values()) / max(1, len(side.scores))


def _self_consistency(ground: Ground) -> Rung:
    settings = ground.settings
    sides = [
        _side(ground, f"vote {at + 1}", "chain_of_thought",
              _reasoning(ground, temperature=settings.temperature, seed=settings.seed + at))
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


def _lora_short(ground: Ground) -> Rung:
    settings = _plain(ground, ground.short, ground.run, k=0)
    return Rung(
        "lora_short", [_side(ground, "lora_short", "few_shot", settings, ground.asked)], say("as it was trained")
    )


def _lora_best(ground: Ground) -> Rung:
    if ground.kind != "causal":
        kind = {"seq2seq": "T5-like", "classifier": "classifying"}[ground.kind]
        raise UserError("a {kind} model reads its text as it was trained to; it takes no other prompt", kind=kind)
    return _again(ground, "lora_best", ground.run)


def _larger(ground: Ground) -> Rung:
    if not ground.settings.larger_model:
        raise UserError("no larger model was named")
    return _again(ground, "larger", ground.settings.larger_model)


def _again(ground: Ground, name: str, model: str) -> Rung:
    """The best prompt so far, asked of another model."""
    if ground.best is None:
        raise UserError("no prompt rung was asked whose prompt could be used")
    known = ground.best.sides[0]
    settings = known.settings.changed(model=model)
    if known.technique.whole:
        settings = settings.changed(max_new_tokens=ground.room(model))
    return Rung(name, [_side(ground, name, known.technique.name, settings, known.prompts)],
                say("the prompt of “{title}”", title=say(TITLES[ground.best.name])))  # fmt: skip


# In the order of the ladder.
RUNGS: dict[str, tuple[str, Callable[[Ground], Rung]]] = later(
    {
        "zero_shot": ("Zero-shot", _zero_shot),
        "context": ("With context", _context),
        "chain_of_thought": ("Chain of thought", _chain_of_thought),
        "k_shot_random": ("k examples, random", _k_shot_random),
        "k_shot_similar": ("k examples, similar", _k_shot_similar),
        "refined": ("Refined prompt", _refined),
        "self_consistency": ("Self-consistency", _self_consistency),
        "lora_short": ("LoRA, short prompt", _lora_short),
        "lora_best": ("LoRA, best prompt", _lora_best),
        "larger": ("Larger model, best prompt", _larger),
    }
)
TITLES = {name: title for name, (title, _) in RUNGS.items()}
TUNED = ("lora_short", "lora_best")
ONE_CALL = ("zero_shot", "context", "chain_of_thought", "k_shot_random", "k_shot_similar", "refined")
