"""Optimising a prompt automatically, within a budget of calls: GEPA searches, and a model or the operators propose.

Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning", arXiv 2507.19457; the package gepa.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from prompts.answering import keyed
from prompts.asking import Open
from prompts.backends import tokens_of
from prompts.errors import UserError
from prompts.events import Event
from prompts.experiment import EvalSet, evalset_of
from prompts.following import followed
from prompts.messages import message, prompt
from prompts.refining.gates import fault
from prompts.refining.operators import OperatorName, Seen, proposals
from prompts.refining.tree import Tree, add, create
from prompts.rows import Table
from prompts.settings import knob
from prompts.studies import versions
from prompts.studies.base import Arm, Ground
from prompts.studies.versions import TreeSettings, development_arm, seen_by
from prompts.studies.work import asking, run, study_ground
from prompts.techniques.refinement import RefinementSettings, said_by
from prompts.words import say

SMALLEST = 8  # development rows
SHOWN = 6  # rows that a model is shown for one rewriting
TRIES = 3  # of a model, for one proposal that passes the gates


class OptimiseSettings(TreeSettings):
    """How long is searched, who proposes, and what a proposal may not do."""

    budget: int = knob(
        600, title="Budget", unit="calls", ge=20, le=100_000, place=5,
        help="So many answers are asked for at most while searching. On top come the held-out rows of what is found, and what a "
        "rewriting model or a judge is asked.",
    )  # fmt: skip
    proposer: Literal["operators", "model", "both"] = knob(
        "operators", title="Who proposes", place=6,
        help="operators: edits that need no model, the best choice for small ones. model: the rewriting model, from rows that went "
        "wrong. both: in turn.",
    )  # fmt: skip
    operators: tuple[OperatorName, ...] = knob(
        (), title="Operators", place=7, advanced=True, help="Which edits are tried; empty: all."
    )
    minibatch: int = knob(
        16, title="Rows a trial", ge=2, le=200, place=8, advanced=True,
        help="A proposal has to beat its parent on so many development rows before it is tried on all.",
    )  # fmt: skip


def optimising(
    settings: RefinementSettings, given: OptimiseSettings, table: Table, owner: str, open_model: Open, *,
    stop: threading.Event | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Events "asking" and "proposed" ("tree", "version", "how"; or "refused" with the reason), last "studied": the tree measured,
    with "calls", "refused" and "budget". Every version that was accepted is in the tree, also after a stop. Raises UserError.
    """
    stop = stop or threading.Event()
    ground = study_ground(versions.STUDY, settings, given, table, owner, open_model)
    ground.stop = stop
    _, development = evalset_of(given, table, development=True)
    if len(development.rows) < SMALLEST:
        raise UserError(
            "{rows} development rows are too few; raise the share or bring rows",
            rows=len(development.rows),
            field="development",
        )
    least = len(development.rows) + most_a_turn(given, len(development.rows))
    if given.budget < least:
        raise UserError(
            "{rows} development rows need at least {least:,} calls",
            rows=len(development.rows),
            least=least,
            field="budget",
        )
    found = _Search(ground, settings, development, versions.tree_of(ground))
    yield from followed(found.work, stop)
    if stop.is_set() or found.tree is None:
        return
    keep = given.changed(tree=found.tree.id).only(TreeSettings)
    for event in run(versions.STUDY, settings, keep, table, owner, open_model, stop=stop):
        if event["event"] == "studied":
            event |= {"calls": found.calls, "budget": given.budget, "refused": found.refused}
        yield event


def most_a_turn(given: OptimiseSettings, rows: int) -> int:
    """Calls of one turn of the search at most."""
    return min(given.minibatch, rows) + rows


class _Stopped(Exception):
    """The search was stopped."""


class _Search:
    """GEPA's adapter: a candidate is {"task": text}, an instance the place of a development row."""

    propose_new_texts = None

    def __init__(self, ground: Ground, settings: RefinementSettings, evalset: EvalSet, tree: Tree | None) -> None:
        self.ground, self.settings, self.evalset, self.tree = ground, settings, evalset, tree
        self.calls, self.refused = 0, list[str]()
        self._tried = {settings.task}
        self._known: dict[str, dict[int, float]] = {}  # task -> score of each development row that was asked
        self._numbers = {one.task: one.number for one in tree.versions} if tree else {}
        self._turn = 0
        self._how: dict[str, tuple[str, str]] = {}  # task -> (how, its parent's task)
        self._failure: Exception | None = None
        self._idle = 0  # turns in a row without anything left to try

    def work(self, say: Callable[[Event], None]) -> None:
        """Searches, and says how far it is and what it finds."""
        import gepa

        self.say = say

        places = list(range(len(self.evalset.rows)))
        with suppress(_Stopped):
            gepa.optimize(
                seed_candidate={"task": self.settings.task}, trainset=places, valset=places, adapter=self,
                custom_candidate_proposer=self.propose, max_metric_calls=self.ground.study.budget,
                reflection_minibatch_size=min(self.ground.study.minibatch, len(places)), seed=self.ground.study.seed,
                candidate_selection_strategy="pareto", skip_perfect_score=True, logger=_Quiet(),
                stop_callbacks=[lambda _state: self._ended()], cache_evaluation=True,
                acceptance_criterion="strict_improvement",
            )  # fmt: skip
        if self._failure:
            raise self._failure

    def _ended(self) -> bool:
        """Asked before each turn, which may take a trial of two prompts and then all rows."""
        spent = self.calls + most_a_turn(self.ground.study, len(self.evalset.rows)) > self.ground.study.budget
        return spent or bool(self._failure) or self.ground.stop.is_set() or self._idle > 2 * len(self._numbers)

    def evaluate(self, batch: Sequence[int], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Asks these rows with this prompt. A prompt that was asked all rows and is new becomes a version."""
        from gepa.core.adapter import EvaluationBatch

        arm = self._asked(candidate["task"], batch)
        self.calls += len(batch)
        known = self._known.setdefault(candidate["task"], {})
        known.update(zip(batch, arm.values(), strict=True))
        if len(known) == len(self.evalset.rows):  # of one that passed its trial, GEPA asks the rest
            self._keep(candidate["task"], sum(known.values()) / len(known))
        traces = (
            [{"row": at, "score": one} for at, one in zip(batch, arm.values(), strict=True)] if capture_traces else None
        )
        return EvaluationBatch(
            outputs=[reply.text for _, reply in sorted(arm.sides[0].replies.items())],
            scores=arm.values(),
            trajectories=traces,
        )

    def _asked(self, text: str, batch: Sequence[int]) -> Arm:
        evalset = replace(
            self.evalset, numbers=[self.evalset.numbers[at] for at in batch], rows=[self.evalset.rows[at] for at in batch],
            references=[self.evalset.references[at] for at in batch],
        )  # fmt: skip
        arm = development_arm(self.ground, self.settings.changed(task=text, feedback="", notes=()), evalset)
        if keyed(arm.sides[0], self.ground.scoring, evalset):
            raise UserError("a row does not fit the model's window", field="task")
        for event in asking([arm], self.ground):
            budget = self.ground.study.budget
            self.say(
                {
                    "event": "asking",
                    "variant": say("the search"),
                    "done": min(self.calls + event["done"], budget),
                    "of": budget,
                }
            )
        if self.ground.stop.is_set():
            raise _Stopped
        return arm

    def _keep(self, text: str, score: float) -> None:
        """Makes it a version: the first prompt, where it is none yet, as written by hand."""
        if text in self._numbers:
            return
        how, parent = self._how.get(text, ("", ""))
        if self.tree is None:
            self.tree, number = create(self.ground.owner, self.settings), 1
        else:
            after = self._numbers.get(parent) or max(self._numbers.values())
            self.tree, number = add(self.tree, after, text, how=f"gepa: {how}" if how else "written")
        self._numbers[text] = number
        found = {
            "event": "proposed",
            "tree": self.tree.id,
            "version": number,
            "how": how or "hand",
            "score": round(score, 4),
        }
        self.say(found)

    def make_reflective_dataset(self, candidate: Any, batch: Any, components: Any) -> dict[str, list[Any]]:
        """What the proposer is given: place and score of the trial's rows."""
        return {"task": list(batch.trajectories or [])}

    def propose(
        self, candidate: dict[str, str], reflective: Mapping[str, Any], components: list[str]
    ) -> dict[str, str]:
        """The next prompt to try. GEPA goes on where this raises, so a failure is kept and raised at the end."""
        try:
            return self._proposed(candidate["task"], reflective)
        except _Stopped:
            raise
        except Exception as error:
            self._failure = self._failure or error
            raise

    def _proposed(self, text: str, reflective: Mapping[str, Any]) -> dict[str, str]:
        """The same prompt where there is nothing left to try."""
        trial = reflective["task"]
        seen = self._seen(text, [one["row"] for one in trial])
        mode = self.ground.study.proposer
        self._turn += 1
        by_model = mode == "model" or (mode == "both" and self._turn % 2)
        for how, proposal in self._by_model(text, seen) if by_model else self._by_operators(text, seen):
            self._how.setdefault(proposal, (how, text))
            self._tried.add(proposal)
            self._idle = 0
            return {"task": proposal}
        self._idle += 1
        return {"task": text}

    def _seen(self, text: str, trial: Sequence[int]) -> Seen:
        """What the prompt did on every development row where it was asked them all (from the cache), else on the trial's."""
        return seen_by(
            self._asked(text, range(len(self.evalset.rows)) if text in self._numbers else trial), self.ground
        )

    def _by_operators(self, text: str, seen: Seen) -> Iterator[tuple[str, str]]:
        for how, proposal in proposals(text, replace(seen, seed=seen.seed + self._turn), self.ground.study.operators):
            if proposal not in self._tried and self._passes(text, proposal, seen, how):
                yield how, proposal

    def _by_model(self, text: str, seen: Seen) -> Iterator[tuple[str, str]]:
        backend = self.ground.backend(self.settings.rewriting_model or self.settings.model)
        for attempt in range(TRIES):
            if self.ground.stop.is_set():
                raise _Stopped
            request, seed = _request(text, seen, attempt), self.settings.seed + self._turn + attempt
            proposal = said_by(backend, request, seed, self.ground.stop)
            if proposal not in self._tried and self._passes(text, proposal, seen, "model"):
                yield "model", proposal

    def _passes(self, before: str, after: str, seen: Seen, how: str) -> bool:
        complaint = fault(before, after, rows=seen.texts, most_tokens=self.settings.most_tokens, count=self._tokens)
        if complaint:
            self._tried.add(after)
            self.refused.append(say("{how}: the proposal {complaint}", how=how, complaint=complaint))
            self.say({"event": "proposed", "refused": complaint, "how": how})
        return not complaint

    def _tokens(self, text: str) -> int:
        return tokens_of(self.ground.backend(self.settings.model), prompt(message("user", (text, "task"))))


class _Quiet:
    """GEPA's log, which nobody reads."""

    def log(self, _message: str) -> None:
        pass


def _request(task: str, seen: Seen, attempt: int) -> Any:
    """What a model is asked for: a better prompt, from rows that went wrong."""
    failed = seen.failed[attempt * SHOWN :][:SHOWN] or seen.failed[:SHOWN]
    shown = "\n\n".join(
        f"Text: {seen.texts[at]}\nAnswer given: {seen.answers[at]}\nRight answer: {seen.references[at]}"
        for at in failed
    )
    return prompt(message(
        "user",
        ("Improve the prompt below so that the model that reads it gives the right answers. Say general rules; do not copy "
         "texts. Keep every {{ name }} as it is. Reply with the new prompt only.", "task"),
        (f"Prompt:\n{task}", "input"), (f"What went wrong with it:\n\n{shown}", "feedback"),
    ))  # fmt: skip
