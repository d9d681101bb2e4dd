"""The studies: each technique on rows, with scripted models whose strengths are known."""

import json
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from prompts.arithmetic import sums
from prompts.calibration import calibrated
from prompts.errors import UserError
from prompts.experiment import Rated, evalset_of, first_row
from prompts.messages import Reply
from prompts.rows import Table
from prompts.settings import build
from prompts.studies import STUDIES, Study
from prompts.studies.grid import risk_coverage
from prompts.studies.request import request_of
from prompts.studies.work import forecast, run
from prompts.techniques import technique
from tests.scripted import ScriptedBackend


def table(count: int = 60) -> Table:
    rows = [{"text": f"number {n}", "label": "even" if n % 2 == 0 else "odd"} for n in range(count)]
    return Table("t.csv", ("text", "label"), rows)


def right(asked: Any) -> str:
    number = int(asked.messages[-1].content.split("number ")[-1].split()[0])
    return "even" if number % 2 == 0 else "odd"


def named(name: str) -> Study:
    return next(study for study in STUDIES if study.name == name)


def studied(name: str, answer: Any, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    study = named(name)
    given = {"task": "Even or odd?", "input": "{{ text }}", **settings}
    backend = answer if hasattr(answer, "batch") else ScriptedBackend(answer)
    about = technique(study.technique).settings
    *_, last = run(study, build(about, given), build(study.settings, more), table(), "local", lambda _name: backend)
    assert last["event"] == "studied"
    json.dumps(last)
    return last


def test_the_ledger_says_what_each_card_is_worth() -> None:
    def answer(asked: Any) -> str:
        return right(asked) if "Odd numbers end" in asked.plain() else "even"

    found = studied("context_ledger", answer, {"role": "A teacher.", "background": "Odd numbers end in 1, 3, 5, 7, 9."})
    cards = {card["card"]: card for card in found["cards"]}
    assert (cards["background"]["change"], cards["role"]["change"]) == (0.5, 0.0)
    assert cards["background"]["advice"] == "keep" and cards["role"]["advice"] == "no measurable effect"
    assert cards["background"]["interval"][0] > 0.3 and cards["role"]["tokens"] == 2  # words, for the scripted model
    assert found["advice"].startswith("Keep background. No measurable effect on 60 rows: role, 2 tokens")


def test_a_card_that_harms_is_dropped_and_documents_are_cards() -> None:
    def answer(asked: Any) -> str:
        return "even" if "Document" in asked.plain() else right(asked)

    found = studied("context_ledger", answer, {"role": "x", "documents": [{"name": "d", "text": "words"}]})
    assert [card["card"] for card in found["cards"]] == ["role", "document 1"]
    assert "Drop document 1" in found["advice"] and found["cards"][1]["change"] == -0.5


def test_the_grid_compares_ways_votes_and_sums() -> None:
    def answer(asked: Any) -> str:
        if "step by step" not in asked.plain():
            return "even"
        return f"2 + 2 = 4 and 2 + 3 = 6\nAnswer: {right(asked)}"

    found = studied("reasoning_grid", answer, {"max_new_tokens": 50}, samples=3)
    cells = {cell["name"]: cell for cell in found["cells"]}
    assert list(cells) == ["direct", "step by step", "step by step, 3 votes"]
    assert (cells["direct"]["score"], cells["step by step"]["score"]) == (0.5, 1.0)
    assert (cells["step by step"]["sums"], cells["step by step"]["sums_right"]) == (120, 60)
    assert cells["step by step, 3 votes"]["tokens_out"] == 3 * cells["step by step"]["tokens_out"]
    assert cells["step by step, 3 votes"]["risk_coverage"] == [
        {"margin": 1.0, "coverage": 1.0, "accuracy": 1.0, "rows": 60}
    ]
    assert cells["step by step"]["per_1000_tokens"] > cells["step by step, 3 votes"]["per_1000_tokens"]
    assert found["advice"].startswith("Take step by step: 100% against 50% of 60 rows")


def test_parse_failures_are_apart_from_wrong_answers() -> None:
    found = studied("reasoning_grid", lambda asked: "hm", {"rules": ["marker"]}, samples=1, ways=["step_by_step"])
    assert found["cells"][0]["parse_failures"] == 60 and found["cells"][0]["wrong"] == 0
    assert "None is of much use" in found["advice"]


def test_thinking_is_tried_off_and_on_where_the_model_can() -> None:
    backend = ScriptedBackend(right)
    backend.switches_thinking = lambda: True  # type: ignore[attr-defined]
    found = studied("reasoning_grid", backend, {}, samples=1, ways=["direct"])
    assert [(cell["name"], cell["thinking"]) for cell in found["cells"]] == [
        ("direct, thinking off", "off"),
        ("direct, thinking on", "on"),
    ]
    alone = studied("reasoning_grid", backend, {}, samples=1, ways=["direct"], switch_thinking=False)
    assert [cell["name"] for cell in alone["cells"]] == ["direct"]


def test_risk_coverage_keeps_the_clear_votes() -> None:
    assert risk_coverage([1.0, 0.2, 1.0, 0.2], [1, 0, 1, 1]) == [
        {"margin": 0.2, "coverage": 1.0, "accuracy": 0.75, "rows": 4},
        {"margin": 1.0, "coverage": 0.5, "accuracy": 1.0, "rows": 2},
    ]


class Leaning(ScriptedBackend):
    """Scores labels as a model that leans to the last example's label, and knows the right one a little."""

    def scores_labels(self) -> bool:
        return True

    def labels(
        self, prompts: Sequence[Any], labels: Sequence[str], stop: threading.Event, plan: Any = None
    ) -> Iterator[tuple[int, Reply]]:
        for batch in plan if plan is not None else [[at] for at in range(len(prompts))]:
            for at in batch:
                asked = prompts[at]
                self.asked.append(asked)
                last = asked.messages[-2].content if len(asked.messages) > 2 else ""
                known = right(asked) if "number" in asked.messages[-1].content else ""
                row = [math.log(1 + 3 * (label == last) + (label == known)) for label in labels]
                best = max(range(len(labels)), key=row.__getitem__)
                yield at, Reply(labels[best], 10 * len(asked.messages), 1, 0.0, "stop", row)


def test_the_risk_panel_finds_order_and_calibration() -> None:
    found = studied("few_shot_risk", Leaning(right), {}, scorer="label", ks=[0, 2, 4], orders=6, development=0.4)
    points = {point["k"]: point for point in found["k"]}
    assert points[0]["score"] == 1.0 and 0.3 < points[4]["score"] < 0.7, "with examples it says the last label"
    assert points[4]["calibrated"]["score"] == 1.0 and points[4]["calibrated"]["better"] == "calibrated"
    assert found["orders"]["calibrated"] == [1.0] * len(found["orders"]["scores"])
    assert found["last_label"]["effect"] == 1.0, "whatever comes last is said"
    assert found["calibration"].startswith("Calibration helps") and "Take k = 0: 100%" in found["advice"]
    assert "development rows; they are not scored" in " ".join(found["notes"])


def test_the_risk_panel_without_log_probabilities_says_so() -> None:
    found = studied("few_shot_risk", right, {}, scorer="label", ks=[0, 1], order_k=2, orders=4)
    assert found["k"][0]["calibrated"] is None and "does not give" in found["calibration"]
    assert found["orders"]["scores"] == [1.0, 1.0], "two examples have two orders"


def test_examples_never_come_from_scored_rows() -> None:
    backend = Leaning(right)
    found = studied("few_shot_risk", backend, {}, scorer="label", ks=[0, 4], orders=3, development=0.3)
    shown = {m.content for asked in backend.asked for m in asked.messages[:-1] if m.role == "user"}
    scored = {asked.messages[-1].content for asked in backend.asked if "number" in asked.messages[-1].content}
    scored = {text.removeprefix("Even or odd?\n\n") for text in scored}
    assert shown and not shown & scored and len(scored) == found["rows"]


def test_what_a_study_will_take_is_counted_before_and_less_afterwards() -> None:
    study, backend = named("context_ledger"), ScriptedBackend(right)
    settings = technique("contextual").settings(task="Even or odd?", input="{{ text }}", role="x", max_new_tokens=7)
    given = (study, settings, study.settings(), table(), "local", lambda _name: backend)
    first = forecast(*given)
    assert (first["rows"], first["ways"], first["calls"], first["from_cache"]) == (60, 2, 120, 0)
    assert first["tokens_out_at_most"] == 120 * 7 and first["tokens_in"] > 1000 and first["dollars"] is not None
    asked = len(backend.asked)
    assert asked <= 16, "only a few are asked to measure the time"
    *_, _ = run(*given)
    assert forecast(*given)["from_cache"] == 120


def test_a_stopped_study_goes_on_where_it_was() -> None:
    study, backend, stop = named("context_ledger"), ScriptedBackend(right), threading.Event()
    settings = technique("contextual").settings(task="Even or odd?", input="{{ text }}", role="x")
    given = (study, settings, study.settings(), table(), "local", lambda _name: backend)
    for event in run(*given, stop=stop):
        assert event["event"] == "asking"
        if event["done"] >= 30:
            stop.set()
    first = len(backend.asked)
    assert first < 120
    *_, last = run(*given)
    assert last["event"] == "studied" and len(backend.asked) <= 121


def test_wrong_studies_are_refused_with_the_remedy() -> None:
    with pytest.raises(UserError, match="uses no column"):
        studied("context_ledger", right, {"input": "nothing", "role": "x"})
    with pytest.raises(UserError, match="no card says anything"):
        studied("context_ledger", right, {})
    with pytest.raises(UserError, match="raise the development share"):
        studied("few_shot_risk", right, {}, ks=[50], development=0.1)
    with pytest.raises(UserError, match="a judge cannot score this"):
        studied("few_shot_risk", right, {}, scorer="judge", pattern="x", judge_model="y")
    with pytest.raises(UserError, match="which column"):
        studied("context_ledger", right, {"role": "x"}, reference="nope")


def test_a_request_holds_both_settings() -> None:
    for study in STUDIES:
        request = request_of(study)(task="x", seed=3)
        assert request.only(study.settings).seed == request.only(technique(study.technique).settings).seed == 3


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("3 x 4 = 12 and 5+6=12", [True, False]),
        ("10 / 3 = 3.33, $1,200 - 200 = $1,000", [True, True]),
        ("(2+3)*4 = 20; <<48/2=24>>", [True, True]),
        ("1/0 = 3, x = 5, 2024-01-02", []),
    ],
)
def test_sums_are_checked(text: str, verdicts: list[bool]) -> None:
    assert [one.right for one in sums(text)] == verdicts


def test_calibration_takes_out_what_is_said_to_nothing() -> None:
    leaning = [math.log(0.8), math.log(0.2)]
    assert calibrated([math.log(0.7), math.log(0.3)], [leaning]) == 1
    assert calibrated([math.log(0.9), math.log(0.1)], [leaning]) == 0


@pytest.mark.parametrize(
    "text",
    ["100000000000000000 x 100000000000000000 = 1", "20% x 50 = 10", "$50 - 20% = $40", "sqrt(9 + 16) = 5", "2^3 + 1 = 9",
     "x + 3 + 4 = 10", "10 - 4 = 3 + 3", "1 + 1 = 2.0000000000000000000000000000001"],
)  # fmt: skip
def test_what_is_no_plain_sum_is_left_alone(text: str) -> None:
    assert sums(text) == []


def test_halves_are_rounded_as_at_school() -> None:
    assert [one.right for one in sums("1 / 8 = 0.13, 5 / 2 = 3, 5 / 2 = 2")] == [True, True, False]


def test_examples_of_joined_columns_and_worked_ones_are_not_scored() -> None:
    rows = [{"subject": f"s{n}", "text": f"number {n}", "label": "even" if n % 2 == 0 else "odd"} for n in range(20)]
    both = Table("t.csv", ("subject", "text", "label"), rows)
    study = named("few_shot_risk")
    example = {"input": "s3\n\nnumber 3", "output": "odd"}
    settings = technique("few_shot").settings(task="x", input="{{ subject }}\n\n{{ text }}", examples=[example] * 4)
    *_, found = run(study, settings, build(study.settings, {"ks": [0], "orders": 2, "development": 0.0}), both, "local",
                    lambda _name: ScriptedBackend(right))  # fmt: skip
    assert found["rows"] == 19 and "1 rows are examples" in " ".join(found["notes"])
    worked = [{"question": "number 5", "reasoning": "r", "answer": "odd"}]
    assert studied("reasoning_grid", right, {"worked": worked}, samples=1, ways=["direct"])["rows"] == 59


def test_held_out_rows_are_not_shown_where_some_are_set_aside() -> None:
    shown = studied("reasoning_grid", right, {}, samples=1, ways=["direct"])
    hidden = studied("reasoning_grid", right, {}, samples=1, ways=["direct"], development=0.5)
    assert len(shown["answers"]) == 60 and hidden["answers"] == []


def test_the_row_that_one_may_look_at_is_a_development_row() -> None:
    given = Rated(reference="label", development=0.3)
    _, held = evalset_of(given, table())
    assert first_row(given, table()) not in held.rows
    assert first_row(Rated(), table()) == table().rows[0]


def test_a_few_rows_are_said_to_be_few() -> None:
    assert "Fewer than 10 rows" in " ".join(studied("context_ledger", right, {"role": "x"}, most_rows=5)["notes"])


def test_a_card_that_brings_the_rows_in_is_not_left_out() -> None:
    found = studied("context_ledger", lambda asked: "even", {"input": "", "background": "{{ text }}", "role": "x"})
    assert [card["card"] for card in found["cards"]] == ["role"] and "rows come in through it: background" in found[
        "notes"
    ][-1]
