"""The tree of versions, measured: each on the development rows and on the held-out rows, against the one it was made from."""

from typing import Any

from prompts.errors import UserError
from prompts.experiment import evalset_of
from prompts.refining.operators import Seen
from prompts.refining.tree import Tree, changes, find
from prompts.settings import knob
from prompts.statistics import paired, summary
from prompts.studies.base import Arm, Ground, Study, StudySettings, line
from prompts.techniques import AskSettings
from prompts.techniques.base import filled
from prompts.techniques.refinement import RefinementSettings
from prompts.words import later, say


class TreeSettings(StudySettings):
    """Which versions are measured, on which rows."""

    tree: str = knob("", title="Tree", pick=True, place=4, help="Its id; empty: the task alone is measured.")
    development: float = knob(
        0.5, title="Development share", ge=0.05, le=0.9, step=0.05, place=30,
        help="Rows that you and the optimiser may look at. The others are held out: they say whether a gain is real.",
    )  # fmt: skip


def arms(ground: Ground) -> list[Arm]:
    """Two of each version: on the development rows, and on the held-out rows."""
    _, development = evalset_of(ground.study, ground.table, development=True)
    tree = tree_of(ground)
    numbers = [one.number for one in tree.versions] if tree else [1]
    if tree and all(one.task.strip() != ground.settings.task.strip() for one in tree.versions):
        ground.notes.append(
            say("The prompt as it stands in the form is no version yet, so it is not measured; ask or keep it first.")
        )
    found = []
    for number in numbers:
        settings = ground.settings.changed(task=tree.version(number).task) if tree else ground.settings
        for part, evalset, title in (
            ("development", development, later("version {number}, development rows")),
            ("held_out", ground.evalset, later("version {number}, held-out rows")),
        ):
            name = say(title, number=number)
            found.append(ground.arm(name, "iterative_refinement", [settings], evalset, number=number, part=part))
    return found


def _versions(study: TreeSettings, owner: str) -> list[AskSettings]:
    return [RefinementSettings(task=one.task) for one in find(owner, study.tree).versions] if study.tree else []


def tree_of(ground: Ground) -> Tree | None:
    """Raises NotFound."""
    return find(ground.owner, ground.study.tree) if ground.study.tree else None


def report(ground: Ground, arms: list[Arm]) -> dict[str, Any]:
    """{"tree", "versions": [{"number", "parent", "how", "name", "note", "task", "diff", "development", "held_out", "gap", "fixed",
    "broken", "tokens_added", "verdict"}], "answers": of the development rows, "best", "advice"}.

    `gap`: development score less held-out score; `fixed`, `broken`: development rows that are right, or wrong, unlike with the
    parent; `verdict`: on the held-out rows, against version 1.
    """
    tree = tree_of(ground)
    seen = {(arm.about["number"], arm.about["part"]): arm for arm in arms}
    numbers = [one.number for one in tree.versions] if tree else [1]
    nodes = [_node(tree, number, seen, ground) for number in numbers]
    values = {named(number): seen[number, "held_out"].values() for number in numbers}
    first, *others = values
    verdicts = paired(values, [(first, name) for name in others], graded=ground.graded) if others else []
    for node, verdict in zip(nodes[1:], verdicts, strict=True):
        node |= {"verdict": verdict.sentence, "better": verdict.better}
    best = max(nodes, key=lambda node: (node["development"]["score"], -(node["development"]["tokens_in"] or 0)))
    return {
        "tree": tree.id if tree else "", "versions": nodes, "best": best["number"], "answers": _answers(seen, numbers),
        "advice": _advice(best, nodes[0], seen, ground),
    }  # fmt: skip


def _node(tree: Tree | None, number: int, seen: dict[Any, Arm], ground: Ground) -> dict[str, Any]:
    development, held = seen[number, "development"], seen[number, "held_out"]
    version = tree.version(number) if tree else None
    parent = version.parent if version else None
    node: dict[str, Any] = {
        "number": number, "parent": parent, "how": version.how if version else "written",
        "name": version.name if version else "", "note": version.note if version else "",
        "task": development.settings.task, "diff": [], "development": line(development, ground), "held_out": line(held, ground),
        "fixed": [], "broken": [], "tokens_added": 0.0, "verdict": "", "better": None,
    }  # fmt: skip
    node["gap"] = round(node["development"]["score"] - node["held_out"]["score"], 4)
    before = seen.get((parent, "development"))
    if before is not None:
        pairs = list(zip(development.evalset.numbers, before.values(), development.values(), strict=True))
        node["fixed"] = [row + 1 for row, a, b in pairs if b > a]
        node["broken"] = [row + 1 for row, a, b in pairs if b < a]
        node["diff"] = [list(piece) for piece in changes(before.settings.task, development.settings.task)]
        tokens = [arm.tokens("tokens_in") for arm in (before, development)]
        node["tokens_added"] = None if None in tokens else round((tokens[1] or 0) - (tokens[0] or 0), 1)
    return node


def _answers(seen: dict[Any, Arm], numbers: list[int]) -> list[dict[str, Any]]:
    """The development rows with what each version answered. Held-out rows are never shown: who saw them would tune to them."""
    arms = [seen[number, "development"] for number in numbers]
    evalset = arms[0].evalset
    return [
        {
            "row": evalset.numbers[at] + 1, "reference": evalset.references[at], "input": evalset.rows[at],
            "answers": {
                str(number): {"reply": arm.sides[0].replies[at].text, "score": round(arm.scores[at].value, 4)}
                for number, arm in zip(numbers, arms, strict=True)
            },
        }
        for at in range(len(evalset.rows))
    ]  # fmt: skip


def named(number: int) -> str:
    return say("version {number}", number=number)


def _advice(best: dict[str, Any], first: dict[str, Any], seen: dict[Any, Arm], ground: Ground) -> str:
    held, before = best["held_out"]["score"], first["held_out"]["score"]
    rows, number = len(ground.evalset.rows), best["number"]
    rate = summary(seen[number, "held_out"].values(), graded=ground.graded).said()
    if number == first["number"]:
        return say(
            "Version {number} is the best so far by the development rows; on the held-out rows: {rate}.",
            number=number,
            rate=rate,
        )
    text = say(
        "Version {number} is the best on the development rows; on the {rows} held-out rows {rate}",
        number=number, rows=rows, rate=rate,
    )  # fmt: skip
    about = {"text": text, "number": first["number"], "score": before}
    if best["better"] == named(number):
        return say("{text}, measurably better than version {number} ({score:.0%}).", **about)
    if best["better"]:
        return say("{text}: measurably worse than version {number} ({score:.0%}). Go back to it.", **about)
    why = say("the gain did not carry over") if held <= before else say("more rows would tell")
    return say("{text}, no measurable difference from version {number} ({score:.0%}): {why}.", why=why, **about)


def seen_by(arm: Arm, ground: Ground) -> Seen:
    """What an arm did, for the operators."""
    settings, evalset = arm.settings, arm.evalset
    texts = [filled(settings, "input", row) for row in evalset.rows]
    if not any(text.strip() for text in texts):
        texts = [" ".join(str(value) for name, value in row.items() if name != evalset.column) for row in evalset.rows]
    return Seen(
        texts,
        evalset.references,
        [one.found for one in arm.scores],
        arm.values(),
        ground.scoring,
        evalset.labels,
        ground.study.seed,
    )


def development_arm(ground: Ground, settings: Any, evalset: Any) -> Arm:
    """One version on the development rows. Raises UserError."""
    if not settings.task.strip():
        raise UserError("write what the model should do", field="task")
    return ground.arm(say("the prompt"), "iterative_refinement", [settings], evalset)


STUDY = Study(
    "version_tree", "Tree: is the new version better?", "iterative_refinement",
    "Measures every version on the development rows, which you may look at, and on the held-out rows, which you may not.",
    "Bring rows with right answers: every version answers them, and you see what each change fixed and broke.",
    TreeSettings, arms, report, _versions,
)  # fmt: skip
