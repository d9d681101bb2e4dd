"""Refining: edits without a model, gates, the tree of versions, the optimiser."""

import threading
from typing import Any

import pytest
import yaml

from prompts.errors import NotFound, UserError
from prompts.refining import operators, tree
from prompts.refining.gates import EXAMPLE, fault
from prompts.refining.operators import Seen, proposals
from prompts.refining.optimise import OptimiseSettings, optimising
from prompts.rows import Table
from prompts.scoring import Scoring
from prompts.settings import build
from prompts.studies import STUDIES
from prompts.studies.versions import TreeSettings
from prompts.studies.work import run
from prompts.techniques.refinement import Note, RefinementSettings, revise
from tests.scripted import ScriptedBackend

TASK = "Which colour?"
RED, BLUE = "a ripe tomato on the kitchen table", "the wide sky above the sea"


def rows(count: int = 60) -> Table:
    made = [{"text": f"{RED if n % 2 else BLUE} {n}", "label": "red" if n % 2 else "blue"} for n in range(count)]
    return Table("t.csv", ("text", "label"), made)


def seen(**more: Any) -> Seen:
    texts = [f"{RED} today", f"{RED} again", f"{BLUE} today", f"{BLUE} again"]
    given = {"references": ["red", "red", "blue", "blue"], "answers": ["blue"] * 4, "scores": [0.0, 0.0, 1.0, 1.0]}
    return Seen(texts, **{**given, "scoring": Scoring(scorer="label"), "labels": ("blue", "red"), **more})


def test_operators_say_the_form_and_tell_labels_apart() -> None:
    assert operators.state_format(TASK, seen())[0].endswith("- Answer with one of these: blue, red.")
    rule = operators.rule_per_cluster(TASK, seen())[0]
    assert "- red: " in rule and "tomato" in rule
    number = seen(scoring=Scoring(scorer="number"), references=["1", "2", "3", "4"])
    assert any("Answer with a number." in text for text in operators.state_format(TASK, number))


def test_examples_come_and_go() -> None:
    added = operators.add_example(TASK, seen())
    assert added and all(text.startswith(f"{TASK}\n{EXAMPLE} {RED}") and text.endswith("→ red") for text in added)
    assert operators.remove_example(added[0], seen()) == [TASK]
    assert operators.add_example(TASK, seen(scores=[1.0] * 4)) == [], "no row went wrong"
    hostile = seen()
    assert operators.add_example(TASK, Seen(["{{ secret }}"], ["x"], ["y"], [0.0], hostile.scoring)) == []


def test_shortening_keeps_the_task_and_its_slots() -> None:
    text = f"{TASK}\n\nRequirements:\n- One word.\n- Look at {{{{ text }}}}."
    assert operators.shorten(text, seen()) == [f"{TASK}\n\nRequirements:\n- Look at {{{{ text }}}}."]
    assert operators.shorten(f"{TASK}\n\nRequirements:\n- One word.", seen()) == [TASK]


def test_proposals_take_turns_and_are_different() -> None:
    found = proposals(TASK, seen())
    assert len({text for _, text in found}) == len(found) > 3 and TASK not in [text for _, text in found]
    assert {name for name, _ in proposals(TASK, seen(), ["add_example"])} == {"add_example"}


def test_gates() -> None:
    row = "one two three four five six seven eight nine"
    assert "copies a row" in fault("a", f"a because {row}", rows=[row])
    assert fault("a", f"a\n{EXAMPLE} {row} → x", rows=[row]) == "", "an example is shown on purpose"
    assert "lost the slot" in fault("{{ x }}", "y") and "was not there" in fault("x", "{{ y }}")
    assert "more than the 2 allowed" in fault("a", "b c d", most_tokens=2, count=lambda text: len(text.split()))
    assert fault("a", "b") == ""


def test_a_tree_branches_and_can_be_read_by_a_person() -> None:
    first = tree.create("local", RefinementSettings(task="A", seed=3))
    second, number = tree.add(first, 1, "B", how="feedback", note="more")
    third, other = tree.add(second, 1, "C")
    assert (number, other) == (2, 3) and [one.parent for one in third.versions] == [None, 1, 1]
    assert tree.add(third, 2, " A ")[1] == 1, "what is there already is not kept twice"
    named = tree.rename(third, 3, "short")
    found = tree.find("local", named.id)
    assert found == named and found.version(3).name == "short"
    written = yaml.safe_load(tree.file_of("local", found.id).read_text())
    assert [one["task"] for one in written["versions"]] == ["A", "B", "C"] and "owner" not in written
    with pytest.raises(NotFound):
        tree.find("other", found.id)
    with pytest.raises(NotFound):
        tree.find("local", "../x")
    with pytest.raises(NotFound):
        tree.add(found, 9, "D")
    tree.delete("local", found.id)
    assert tree.trees("local") == []


def test_changes_are_told_word_by_word() -> None:
    assert tree.changes("a b c", "a x c") == [("a ", ""), ("b", "-"), ("x", "+"), (" c", "")]


def test_feedback_on_single_outputs_makes_the_next_version() -> None:
    notes = (
        Note(output="blue", correct="red", input=RED),
        Note(output="x", comment="Say one word."),
        Note(output="right"),
    )
    made, _ = revise(RefinementSettings(task=TASK, notes=notes), lambda _name: ScriptedBackend(lambda p: ""))
    assert made.task.splitlines()[-2:] == ["- Where it is 'red', do not answer 'blue'.", "- Say one word."]
    backend = ScriptedBackend(lambda p: f"{TASK} Tomatoes are red.")
    asked: list[str] = []

    def opened(name: str) -> Any:
        asked.append(name)
        return backend

    settings = RefinementSettings(task=TASK, notes=notes, rewrite="model", rewriting_model="strong")
    made, said = revise(settings, opened)
    assert (made.task, said, asked) == (f"{TASK} Tomatoes are red.", [], ["strong"])
    assert RED in backend.asked[0].plain() and "Say one word." in backend.asked[0].plain()


def teachable(asked: Any) -> str:
    """Says red only where the prompt tells it what red things are."""
    text = asked.plain()
    return "red" if "- red:" in text and "tomato" in text.split("\n\n")[-1] else "blue"


def optimised(answer: Any, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    settings = RefinementSettings(task=TASK, input="{{ text }}")
    given = build(OptimiseSettings, {"scorer": "label", "budget": 400, "minibatch": 6, **more})
    *events, last = optimising(settings, given, rows(), "local", lambda _name: ScriptedBackend(answer))
    return events, last


def test_the_optimiser_finds_the_rule_within_its_budget() -> None:
    events, found = optimised(teachable)
    best = next(one for one in found["versions"] if one["number"] == found["best"])
    assert best["held_out"]["score"] == best["development"]["score"] == 1.0 and best["gap"] == 0
    assert best["better"] == f"version {best['number']}" and "measurably better than version 1" in found["advice"]
    assert best["fixed"] and not best["broken"] and best["tokens_added"] > 0
    assert found["calls"] <= found["budget"] == 400
    assert any(event.get("version") == best["number"] for event in events)
    kept = tree.find("local", found["tree"])
    assert kept.version(best["number"]).how.startswith("gepa: ") and len(kept.versions) == len(found["versions"])


def test_a_model_that_proposes_nonsense_is_refused_at_the_gates() -> None:
    def answer(asked: Any) -> str:
        return "```\nhm" if "Improve the prompt" in asked.plain() else teachable(asked)

    _, found = optimised(answer, proposer="model")
    assert (
        len(found["versions"]) == 1
        and found["refused"][0] == "model: the proposal was cut off in the middle of a thought or a code fence"
    )


def test_a_model_may_propose() -> None:
    def answer(asked: Any) -> str:
        return f"{TASK}\n- red: tomatoes" if "Improve the prompt" in asked.plain() else teachable(asked)

    _, found = optimised(answer, proposer="model")
    assert found["versions"][found["best"] - 1]["task"] == f"{TASK}\n- red: tomatoes"


def test_a_failure_while_searching_is_told() -> None:
    def answer(asked: Any) -> str:
        if "- " in asked.plain():
            raise UserError("the model refuses")
        return "blue"

    with pytest.raises(UserError, match="the model refuses"):
        optimised(answer)
    with pytest.raises(UserError, match="need at least"):
        optimised(teachable, budget=20)


def test_versions_are_measured_against_their_parents() -> None:
    study = next(one for one in STUDIES if one.name == "version_tree")
    settings = RefinementSettings(task=TASK, input="{{ text }}")
    made = tree.create("local", settings)
    made, _ = tree.add(made, 1, f"{TASK}\n- red: tomato")
    given = TreeSettings(scorer="label", tree=made.id)
    *_, found = run(study, settings, given, rows(), "local", lambda _name: ScriptedBackend(teachable))
    first, second = found["versions"]
    assert second["development"]["score"] == 1.0 and first["held_out"]["score"] < 0.8
    assert len(second["fixed"]) == sum(one["answers"]["1"]["score"] == 0 for one in found["answers"])
    shown, scored = {row["row"] for row in found["answers"]}, found["rows"]
    assert len(shown) + scored == 60, "held-out rows are never shown"
    assert found["labels"] == ["blue", "red"], "an edit names every label, also one that no development row has"
    with pytest.raises(NotFound):
        list(run(study, settings, given, rows(), "other", lambda _name: ScriptedBackend(teachable)))


def test_an_example_of_one_split_is_not_scored_on_another() -> None:
    study = next(one for one in STUDIES if one.name == "version_tree")
    settings = RefinementSettings(task=TASK, input="{{ text }}")
    made = tree.create("local", settings)
    shown = [row["text"] for row in rows().rows[:6]]
    made, _ = tree.add(made, 1, "\n".join([TASK, *(f"{EXAMPLE} {text} → red" for text in shown)]))
    given = TreeSettings(scorer="label", tree=made.id, development=0.2)
    *_, found = run(study, settings, given, rows(), "local", lambda _name: ScriptedBackend(teachable))
    assert "rows are examples" in " ".join(found["notes"]) and found["rows"] + len(found["answers"]) < 60


def test_versions_are_asked_with_the_settings_of_the_form() -> None:
    study = next(one for one in STUDIES if one.name == "version_tree")
    made = tree.create("local", RefinementSettings(task=TASK, input="{{ text }}", max_new_tokens=7))
    form = RefinementSettings(task="another", input="{{ text }}", max_new_tokens=99)
    *_, found = run(study, form, TreeSettings(scorer="label", tree=made.id), rows(), "local",
                    lambda _name: ScriptedBackend(teachable))  # fmt: skip
    assert found["versions"][0]["task"] == TASK and "is no version yet" in " ".join(found["notes"])


def test_a_stopped_search_keeps_its_tree_and_goes_on_in_it() -> None:
    stop = threading.Event()
    settings = RefinementSettings(task=TASK, input="{{ text }}")
    given = build(OptimiseSettings, {"scorer": "label", "budget": 400, "minibatch": 6})
    for event in optimising(settings, given, rows(), "local", lambda _name: ScriptedBackend(teachable), stop=stop):
        if event["event"] == "proposed":
            stop.set()
    (made,) = tree.trees("local")
    *_, found = optimising(
        settings, given.changed(tree=made.id), rows(), "local", lambda _name: ScriptedBackend(teachable)
    )
    assert len(tree.trees("local")) == 1 and found["tree"] == made.id

    def refusing(asked: Any) -> str:
        raise UserError("no")

    other = settings.changed(task="Another?")
    with pytest.raises(UserError, match="no"):
        list(optimising(other, given, rows(), "local", lambda _name: ScriptedBackend(refusing)))
    assert len(tree.trees("local")) == 1, "a search that never began leaves nothing"


def test_an_edited_prompt_is_a_version_of_its_own() -> None:
    made = tree.create("local", RefinementSettings(task="First.", input="{{ text }}"))
    _, found = optimised(teachable, tree=made.id)
    assert [(one["how"], one["parent"]) for one in found["versions"][:2]] == [("written", None), ("written", 1)]


def test_one_group_has_no_telling_words_and_a_long_name_is_a_sentence() -> None:
    assert operators.rule_per_cluster(TASK, seen(references=["red"] * 4, labels=("red",), scores=[0.0] * 4)) == []
    with pytest.raises(UserError, match="name"):
        tree.create("local", RefinementSettings(task="A"), "x" * 81)
    with pytest.raises(UserError, match="has to say something"):
        tree.create("local", RefinementSettings(task=" "))


def test_feedback_brings_in_no_slots_and_right_outputs_change_nothing() -> None:
    notes = (Note(output="{{ boo }}", correct="{% x %}"),)
    made, _ = revise(RefinementSettings(task=TASK, notes=notes), lambda _name: ScriptedBackend(lambda p: ""))
    assert "{" not in made.task
    made, said = revise(
        RefinementSettings(task=TASK, notes=(Note(output="red"),)), lambda _name: ScriptedBackend(lambda p: "")
    )
    assert (made.task, made.notes) == (TASK, ()) and "no change" in said[0]


def test_a_thought_never_becomes_a_prompt() -> None:
    assert fault("a", "let me think.</think> b") and fault("a", "```b")
    backend = ScriptedBackend(lambda p: "hm</think>\n```\nBetter prompt\n```")
    settings = RefinementSettings(task=TASK, feedback="x", rewrite="model")
    assert revise(settings, lambda _name: backend)[0].task == "Better prompt"


def test_a_rewrite_longer_than_allowed_is_refused() -> None:
    backend = ScriptedBackend(lambda p: f"{TASK} {'very ' * 100}long")
    settings = RefinementSettings(task=TASK, feedback="x", rewrite="model", most_tokens=20)
    made, said = revise(settings, lambda _name: backend)
    assert made.task.endswith("- x") and "more than the 20 allowed" in said[0]
