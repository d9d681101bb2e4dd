"""Experiments: scored on rows that improved nothing, cached by content, resumed by plan."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from prompts.backends import Sampling, open_backend, replies_of
from prompts.backends.batching import heartbeats
from prompts.backends.plan import common_prefix
from prompts.comparison import run
from prompts.errors import UserError
from prompts.experiment import Experiment, in_development
from prompts.messages import message, prompt
from prompts.rows import Table
from prompts.settings import build
from tests.scripted import ScriptedBackend


def table(count: int = 40) -> Table:
    rows = [{"text": f"number {n}", "label": "even" if n % 2 == 0 else "odd"} for n in range(count)]
    return Table("t.csv", ("text", "label"), rows)


def variant(name: str, task: str = "Even or odd?", technique: str = "few_shot", **settings: Any) -> dict[str, Any]:
    return {"name": name, "technique": technique, "settings": {"task": task, "input": "{{ text }}", **settings}}


def experiment(*variants: dict[str, Any], **more: Any) -> Experiment:
    return build(Experiment, {"variants": list(variants), **more})


def right(asked: Any) -> str:
    return "even" if int(asked.messages[-1].content.split()[-1]) % 2 == 0 else "odd"


def compared(settings: Experiment, answer: Any = right, rows: Table | None = None, owner: str = "local") -> Any:
    backends: list[ScriptedBackend] = []

    def opened(name: str) -> ScriptedBackend:
        backends.append(ScriptedBackend(answer))
        return backends[-1]

    *_, last = run(settings, rows or table(), owner, opened)
    return last, [asked for backend in backends for asked in backend.asked]


def test_the_second_comparison_is_foreseen_by_the_first_without_what_is_known() -> None:
    def slowly(asked: Any) -> str:
        time.sleep(0.005)
        return right(asked)

    def told(*tasks: str) -> Any:
        settings = experiment(*(variant(task, task) for task in tasks))
        *asking, _ = run(settings, table(), "local", lambda _: ScriptedBackend(slowly))
        assert [event["done"] for event in asking] == sorted(event["done"] for event in asking)
        assert (asking[-1]["done"], asking[-1]["of"]) == (40 * len(tasks), 40 * len(tasks))
        return asking[0]["remaining"]

    assert told("a") is None, "never asked before"
    two, one = told("b", "c"), told("b", "d")
    assert 2 * 40 * 0.005 <= two < 3 and 40 * 0.005 <= one < two
    assert told("b", "c") is None, "nothing is left to ask"


def test_rows_of_a_large_batch_are_counted_before_it_is_done(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    from prompts.backends import labels

    monkeypatch.setattr("prompts.backends.batching.heartbeats", partial(heartbeats, every=0.001))
    settings = experiment(variant("a", model=tiny), scorer="label")
    counts, found = [], {}
    for tokens in (10**6, 100):
        monkeypatch.setattr(labels, "AT_ONCE", tokens)
        *asking, last = run(settings, table(), f"owner{tokens}", lambda name: open_backend(name, "local"))
        counts.append(len({event["done"] for event in asking}))
        found[tokens] = last["replies"]
    assert counts[1] > counts[0]
    assert len(found[100]) == 40 and found[100] == found[10**6]


def test_while_a_batch_is_written_whoever_waits_is_heard_of(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    monkeypatch.setattr("prompts.backends.batching.heartbeats", partial(heartbeats, every=0.01))
    settings = experiment(variant("a", max_new_tokens=64, model=tiny), scorer="exact_match")
    *asking, _ = run(settings, table(), "local", lambda name: open_backend(name, "local"))
    assert len([event for event in asking if event["done"] == 0]) > 2


def test_a_comparison_has_scores_intervals_and_a_verdict() -> None:
    def sometimes(asked: Any) -> str:
        return right(asked) if "Think" in asked.plain() else "even"

    found, _ = compared(experiment(variant("plain"), variant("think", "Think. Even or odd?")), sometimes)
    plain, think = found["variants"]
    assert (plain["score"], think["score"]) == (0.5, 1.0)
    assert plain["interval"][0] < 0.5 < plain["interval"][1]
    assert (
        found["verdicts"][0]["better"] == "think"
        and "wins 20, loses 0, ties 20 of 40" in found["verdicts"][0]["sentence"]
    )
    assert found["rows"] == 40 and len(found["replies"]) == 40 and found["fingerprint"]


def test_the_same_experiment_is_answered_from_the_cache_and_only_for_its_owner() -> None:
    settings = experiment(variant("a"), variant("b", "Odd or even?"))
    first, asked = compared(settings)
    assert len(asked) == 80
    again, asked = compared(settings)
    assert asked == [] and [v["from_cache"] for v in again["variants"]] == [40, 40]
    assert again["verdicts"] == first["verdicts"]
    _, asked = compared(settings, owner="other")
    assert len(asked) == 80


def test_an_interrupted_experiment_goes_on_where_it_stopped() -> None:
    settings = experiment(variant("a"))
    stop = threading.Event()
    backend = ScriptedBackend(right)
    for event in run(settings, table(), "local", lambda name: backend, stop=stop):
        if event["done"] >= 15:
            stop.set()
    done = len(backend.asked)
    assert 15 <= done < 40
    found, asked = compared(settings)
    assert len(asked) == 40 - done and found["rows"] == 40


def test_development_rows_and_shown_examples_are_never_scored() -> None:
    found, _ = compared(experiment(variant("a"), development=0.5))
    scored = {row["row"] for row in found["replies"]}
    assert 8 <= len(scored) <= 32 and f"{40 - len(scored)} development rows" in found["notes"][0]
    more, _ = compared(experiment(variant("a"), development=0.5), rows=table(60))
    assert {row["row"] for row in more["replies"]} >= scored, "a row stays on its side when rows are added"
    shown = variant("few", examples=[{"input": "number 3", "output": "odd"}], k=1)
    found, asked = compared(experiment(shown))
    assert found["rows"] == 39 and "1 rows are examples" in found["notes"][0]
    assert not [a for a in asked if a.messages[-1].content == "number 3"]
    assert sum(in_development(f"x{n}", 0.3, 0) for n in range(2000)) / 2000 == pytest.approx(0.3, abs=0.05)


def test_run_until_decided_stops_early_and_says_how() -> None:
    settings = experiment(variant("a"), variant("b", "B?"), until_decided=True)
    found, asked = compared(settings, lambda p: right(p) if "B?" in p.plain() else "none", table(400))
    assert found["rows"] < 60 and len(asked) == 2 * found["rows"]
    assert (
        "anytime-valid" in found["verdicts"][0]["sentence"]
        and f"Decided after {found['rows']} of 400" in found["notes"][0]
    )
    same, _ = compared(
        experiment(variant("a"), variant("b", "B?"), until_decided=True, most_rows=60), right, table(400), "else"
    )
    assert same["rows"] == 60 and same["verdicts"][0]["better"] is None


def test_parse_failures_are_counted_apart() -> None:
    chain = variant("chain", technique="chain_of_thought")
    found, _ = compared(experiment(chain, scorer="number", reference="n"), lambda p: "I do not know", with_numbers())
    assert found["variants"][0]["parse_failures"] == 10 and found["variants"][0]["score"] == 0
    labels, _ = compared(experiment(variant("a"), scorer="label"), lambda p: "perhaps")
    assert labels["variants"][0]["parse_failures"] == 40 and labels["variants"][0]["matrix"] == [[0, 0, 20], [0, 0, 20]]


def with_numbers() -> Table:
    return Table("n.csv", ("text", "n"), [{"text": f"t {n}", "n": str(n)} for n in range(10)])


def test_a_judge_decides_by_a_rubric() -> None:
    settings = experiment(variant("a"), scorer="judge", pattern="Is it a word?", judge_model="judge")
    found, asked = compared(settings, lambda p: "Yes.\nPASS" if "rubric" in p.plain() else "word")
    assert found["variants"][0]["score"] == 1
    assert any("Is it a word?" in a.plain() and "Answer to judge:\nword" in a.plain() for a in asked)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (experiment(variant("a"), variant("a")), "two variants are called 'a'"),
        (experiment({"name": "a", "technique": "few_shot", "settings": {"task": "no slot"}}), "uses no column"),
        (experiment(variant("a", input="{{ nope }} {{ text }}")), "row 1: input: nothing fills the slot 'nope'"),
        (experiment({"name": "a", "technique": "magic", "settings": {}}), "there is no technique 'magic'"),
        (experiment(variant("a", k=3)), "k is 3, but there are 0 examples"),
        (experiment(variant("a", temperature=9)), "variant 'a': temperature"),
        (experiment(variant("a"), reference="nope"), "which column of t.csv holds the right answers"),
        (experiment(variant("a", technique="iterative_refinement", feedback="x")), "has feedback left"),
    ],
)
def test_a_wrong_experiment_names_variant_and_slot(settings: Experiment, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compared(settings)


def test_rows_without_a_reference_are_named() -> None:
    rows = Table("t.csv", ("text", "label"), [{"text": "a 1", "label": "x"}, {"text": "b 2", "label": None}])
    with pytest.raises(UserError, match=r"1 rows have no reference in 'label' \(rows 2\)"):
        compared(experiment(variant("a")), rows=rows)


# -- with a tiny real model


def local(tiny: str) -> Any:
    return open_backend(tiny, "local")


def words(text: str, start: str = "Is this good or bad? ") -> Any:
    return prompt(message("user", (start + text, "task")))


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from prompts import loading

    loading.clear()
    monkeypatch.setattr(loading, "dtype", lambda: torch.float32)


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("packable", [{"llama"}, set()], ids=["packed", "padded"])
def test_batches_give_what_one_row_at_a_time_gives(
    tiny: str, temperature: float, packable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prompts.backends import packing

    monkeypatch.setattr(packing, "PACKABLE", packable)
    backend, stop = local(tiny), threading.Event()
    prompts = [words("x" * n) for n in (3, 40, 17, 1, 90)]
    sampling = Sampling(max_new_tokens=50, temperature=temperature, top_p=0.9, seed=5)
    one = [list(backend.stream(asked, sampling, stop))[-1].text for asked in prompts]
    many = dict(replies_of(backend.batch(prompts, sampling, stop)))
    assert [many[at].text for at in range(5)] == one
    assert [
        r.text for _, r in sorted(replies_of(backend.batch(prompts, sampling, stop, plan=[[4, 0], [1, 2, 3]])))
    ] == one


def test_what_is_written_of_a_batch_is_told_before_its_replies_come(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prompts.backends import batching

    monkeypatch.setattr(batching, "OFTEN", 0.0)
    prompts = [words("x" * n) for n in (3, 40)]
    *told, first, second = local(tiny).batch(prompts, Sampling(max_new_tokens=9), threading.Event(), [[0, 1]])
    assert isinstance(first, tuple) and isinstance(second, tuple)
    assert told == sorted(told) and 0 < told[0] <= told[-1] < 2


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("packable", [{"llama"}, set()], ids=["packed", "padded"])
def test_labels_are_scored_as_one_by_one(tiny: str, packable: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from prompts.backends import packing

    monkeypatch.setattr(packing, "PACKABLE", packable)

    from prompts.backends.labels import label_scores
    from prompts.loading import load
    from prompts.rendering import render

    loaded = load(tiny)
    prompts = [render(words(t), loaded.tokenizer).ids for t in ("fine", "so so, really", "x")]
    end = loaded.tokenizer.eos_token_id
    labels = [[*loaded.tokenizer(text)["input_ids"], end] for text in ("good", "bad", "g")]
    with loaded.using(None) as model:
        ((_, found, _),) = label_scores(loaded, model, prompts, [[0, 1, 2]], labels, threading.Event())
        for row, ids in zip(found, prompts, strict=True):
            for value, label in zip(row, labels, strict=True):
                logits = torch.log_softmax(model(torch.tensor([[*ids, *label]])).logits[0].float(), -1)
                expected = sum(logits[len(ids) - 1 + at, token] for at, token in enumerate(label))
                assert value == pytest.approx(float(expected), abs=1e-3)


def test_a_row_longer_than_the_window_is_named_and_may_be_skipped(tiny: str) -> None:
    rows = Table("t.csv", ("text", "label"), [{"text": "x 1", "label": "a"}, {"text": "y" * 2000, "label": "b"}])
    settings = experiment(variant("a", model=tiny, max_new_tokens=4))
    with pytest.raises(UserError, match=r"1 rows do not fit the model's window \(rows 2\)"):
        list(run(settings, rows, "local", lambda name: open_backend(name, "local")))
    *_, found = run(settings.changed(too_long="skip"), rows, "local", lambda name: open_backend(name, "local"))
    assert found["rows"] == 1 and "1 rows do not fit" in found["notes"][0]


def test_a_batch_stops_between_tokens(tiny: str) -> None:
    backend, stop = local(tiny), threading.Event()
    stop.set()
    assert len(list(replies_of(backend.batch([words("x")] * 3, Sampling(max_new_tokens=500), stop)))) <= 3
    closed = []

    def work(told: threading.Event) -> Any:
        told.wait(10)
        closed.append(True)
        yield 1

    running = heartbeats(work, every=0.05)
    assert next(running) is None
    running.close()
    assert closed


def test_the_common_start_is_found() -> None:
    assert common_prefix([[1, 2, 3, 4], [1, 2, 5], [1, 2, 3]]) == 2
    assert common_prefix([[1, 2], [1, 2]]) == 1, "each keeps an end of its own"
    assert common_prefix([]) == 0


@pytest.mark.slow
def test_the_shell_compares(tiny: str, tmp_path: Path, home: Path) -> None:
    from tests.tuning.test_train import shell

    file, rows = tmp_path / "e.json", tmp_path / "rows.jsonl"
    settings = {"model": tiny, "max_new_tokens": 4}
    file.write_text(
        json.dumps({"variants": [variant("a", **settings), variant("b", "B?", **settings)], "scorer": "label"})
    )
    rows.write_text("".join(json.dumps(row) + "\n" for row in table(12).rows))
    done = shell("prompts", "compare", str(file), "--rows", str(rows), "--json", home=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 12
    assert {"name", "score", "interval", "tokens_in", "tokens_out", "seconds"} <= set(found["variants"][0])
    assert found["variants"][0]["by_probability"] and found["verdicts"][0]["sentence"]
    file.write_text("{")
    assert shell("prompts", "compare", str(file), "--rows", str(rows), home=home).returncode == 2
