"""What the techniques do with their material: cards, documents, examples, worked examples; and the library that keeps them."""

import time
from typing import Any

import pytest

from prompts import library
from prompts.errors import NotFound, UserError
from prompts.experiment import shown_texts
from prompts.held_out import keys_of
from prompts.messages import Rendered
from prompts.rows import sample_table
from prompts.settings import build
from prompts.start import USES, begin
from prompts.techniques import TECHNIQUES, technique
from prompts.techniques.chain_of_thought import ChainSettings, read
from prompts.techniques.contextual import ContextualSettings, fit
from prompts.techniques.few_shot import Example, FewShotSettings, shown
from tests.scripted import ScriptedBackend


class Windowed(ScriptedBackend):
    """Counts words as tokens, and holds 100 of them."""

    def render(self, prompt: Any, thinking: Any = "default") -> Rendered:
        words = prompt.plain().split()
        return Rendered(prompt.plain(), tuple(range(len(words))), window=100)


BACKEND = Windowed(lambda asked: "x")


def context(**more: Any) -> ContextualSettings:
    return ContextualSettings(task="Answer: {{ question }}", **{"max_new_tokens": 10, **more})


def content(settings: ContextualSettings, row: dict[str, Any]) -> str:
    return str(technique("contextual").build(settings, row).messages[0].content)


def test_cards_stand_in_their_order_and_can_be_switched_off() -> None:
    settings = context(role="R", audience="A", tone="T", documents=[{"name": "d", "text": "D"}])
    row = {"question": "q"}
    assert content(settings, row) == 'R\n\nAudience: A\n\nDocument "d":\nD\n\nTone: T'
    assert content(settings.changed(cards=["tone", "role"]), row) == "Tone: T\n\nR"
    with pytest.raises(UserError, match="cards"):
        settings.changed(cards=["nonsense"])


DOCUMENTS = [
    {"name": "one", "text": "Cats sleep most of the day. " * 6},
    {
        "name": "two",
        "text": "Rockets burn fuel.\n\nThe moon is far away.\n\nBread needs flour, water and salt." + " More." * 40,
    },
]


def fitted(overflow: str, question: str = "How does one bake bread?", **more: Any) -> tuple[str, list[str]]:
    row = {"question": question}
    settings, notes = fit(context(documents=DOCUMENTS, overflow=overflow, **more), row, BACKEND)
    built = technique("contextual").build(settings, row)
    assert len(built.plain().split()) <= 90
    return built.plain(), notes


def test_documents_that_do_not_fit_go_as_one_chooses_and_it_is_said() -> None:
    with pytest.raises(UserError, match=r"documents: the prompt has \d+ tokens, and 90 are allowed"):
        fitted("refuse")
    whole, notes = fitted("order")
    assert "Cats" in whole and "Rockets" not in whole and "1 of 2 documents are kept" in notes[0]
    cut, notes = fitted("cut")
    assert "Rockets" in cut and "words of the documents" in notes[0] and len(cut.split()) > 85
    similar, notes = fitted("similar", context_budget=80)
    assert "Bread needs flour" in similar and "passages" in notes[0]
    assert (
        "The moon" not in fitted("similar", context_budget=70)[0]
        or "Rockets" not in fitted("similar", context_budget=70)[0]
    )


def test_what_fits_is_left_alone_and_what_never_fits_is_refused() -> None:
    row = {"question": "q"}
    small = context(documents=[{"name": "d", "text": "few words"}])
    assert fit(small, row, BACKEND) == (small, [])
    with pytest.raises(UserError, match="does not fit even without its documents"):
        fit(context(role="word " * 200, documents=DOCUMENTS, overflow="cut"), row, BACKEND)


POOL = tuple(
    Example(input=text, output=label)
    for text, label in [
        ("red car", "a"),
        ("red bus", "a"),
        ("blue sea", "b"),
        ("the quick fox jumps", "b"),
        ("red", "a"),
    ]
)


def chosen(how: str, k: int | None, question: str = "a red bus, please") -> list[str]:
    return [one.input for one in shown(FewShotSettings(task="t", examples=POOL, k=k, choose=how), question)]


def test_examples_are_chosen_for_a_question() -> None:
    assert chosen("listed", 2) == ["red car", "red bus"]
    assert chosen("similar", 2)[-1] == "red bus", "the nearest comes last"
    assert "red bus" not in chosen("similar", 2, "red bus"), "never the question itself"
    assert len(set(chosen("diverse", 3))) == 3 and chosen("diverse", 3) != chosen("diverse", 3)[::-1]
    outputs = {one.input: one.output for one in POOL}
    assert sorted(outputs[text] for text in chosen("balanced", 4)) == ["a", "a", "b", "b"]
    assert chosen("random", 3) == chosen("random", 3) and chosen("random", 0) == []
    with pytest.raises(UserError, match="k is 9, but there are 5"):
        chosen("random", 9)
    with pytest.raises(UserError, match="no words to compare by"):
        shown(FewShotSettings(task="t", examples=[Example(input="!", output="a")], k=1, choose="similar"), "x")


def test_worked_examples_show_their_steps() -> None:
    worked = [{"question": "1 + 1?", "reasoning": "1 + 1 = 2", "answer": "2"}]
    settings = ChainSettings(task="Solve.", input="2 + 2?", reasoning="examples", worked=worked)
    said = technique("chain_of_thought").build(settings, {}).as_dicts()
    assert [one["role"] for one in said] == ["system", "user", "assistant", "user"]
    assert said[2]["content"] == "1 + 1 = 2\nAnswer: 2" and said[3]["content"] == "2 + 2?"
    with pytest.raises(UserError, match="worked: write at least one worked example"):
        technique("chain_of_thought").build(ChainSettings(task="x", reasoning="examples"), {})


def test_an_answer_is_found_by_the_declared_rules_alone() -> None:
    reply = "So it is 7. The answer is 12."
    assert read(ChainSettings(task="x"), reply).text == "12"
    assert read(ChainSettings(task="x", rules=["last_number"]), "a 7 then 9 eggs").text == "9"
    assert read(ChainSettings(task="x", rules=["marker"]), reply).text is None
    assert read(ChainSettings(task="x", rules=["boxed", "marker"]), r"\boxed{3} Answer: 4").text == "3"
    assert read(ChainSettings(task="x", reasoning="direct"), "seven").text == "seven"


def test_the_library_keeps_versions_tags_and_finds_words() -> None:
    settings = FewShotSettings(task="Translate into Spanish", k=0)
    first = library.save("local", "Spanish", "few_shot", settings, ["language", " short ", "language"])
    assert (first.version, first.tags) == (1, ("language", "short"))
    assert library.save("local", "Spanish", "few_shot", settings, ["language", "short"]).version == 1, (
        "nothing new, no version"
    )
    second = library.save("local", "Spanish", "few_shot", settings.changed(task="Translate into French"))
    assert second.version == 2 and library.versions("local", "Spanish") == [2, 1]
    assert library.load("local", "Spanish", 1).settings == settings and library.load("local", "Spanish").tags == ()
    library.save("local", "Other", "contextual", technique("contextual").settings(task="x"), ["language"])
    assert [one.name for one in library.entries("local", search="FRENCH translate")] == ["Spanish"]
    assert [one.name for one in library.entries("local", search="language")] == ["Other"]
    with pytest.raises(NotFound, match="has no version 7"):
        library.load("local", "Spanish", 7)
    with pytest.raises(UserError, match="tags"):
        library.save("local", "Spanish", "few_shot", settings, ["x" * 41])
    library.delete("local", "Spanish")
    assert library.names("local", "few_shot") == [] and not list(
        library.owner_folder("local", "prompts").glob("Spanish*")
    )


def test_long_documents_are_fitted_quickly_and_blank_ones_do_no_harm() -> None:
    long = [{"name": "long", "text": "word " * 200_000}]
    started = time.perf_counter()
    settings, _ = fit(context(documents=long, overflow="cut"), {"question": "q"}, BACKEND)
    assert time.perf_counter() - started < 20 and 50 < len(settings.documents[0].text.split()) < 90
    blank = context(documents=[{"name": "b", "text": " "}], overflow="cut", role="word " * 200)
    assert fit(blank, {"question": "q"}, BACKEND) == (blank, []), (
        "there is nothing to leave out; asking says that it is too long"
    )
    off = context(documents=DOCUMENTS, cards=["role"], role="x")
    assert fit(off, {"question": "q"}, BACKEND) == (off, [])


TEAMS = "Which team should answer this e-mail? Answer with one of these: billing, delivery, login, refund, technical."


@pytest.mark.parametrize(("name", "scorer", "task"), [
    ("support_emails", "label", TEAMS),
    ("word_problems", "number", "Answer with a number."), ("english_spanish", "chrf", "Translate into Spanish."),
])  # fmt: skip
def test_a_beginning_fits_every_technique(name: str, scorer: str, task: str) -> None:
    inputs, output, instruction = USES[name]
    found = begin(f"sample:{name}", sample_table(name), inputs, output, instruction)
    assert found.scorer == scorer and found.rows > 100
    assert {one.name for one in TECHNIQUES} == set(found.settings)
    assert all(one.task == task for one in found.settings.values())
    examples = found.settings["few_shot"].to_json()["examples"]
    assert len(examples) == 4 and (scorer != "label" or len({one["output"] for one in examples}) == 4)
    for variant in found.variants:
        assert build(technique(variant["technique"]).settings, variant["settings"]).task == task
        assert "examples" not in variant["settings"], "rows that are compared on are no examples"
    assert bool(found.note) is (name != "support_emails"), "where the embedded model is weak, that is said"


def test_examples_are_no_rows_that_a_run_holds_out_and_those_not_shown_refuse_nothing() -> None:
    inputs, output, instruction = USES["support_emails"]
    table = sample_table("support_emails")
    first = begin("sample:support_emails", table, inputs, output, instruction).settings["few_shot"]
    assert isinstance(first, FewShotSettings)
    locked = keys_of([first.examples[0].input])
    after = begin("sample:support_emails", table, inputs, output, instruction, locked).settings["few_shot"]
    assert isinstance(after, FewShotSettings) and len(after.examples) == 4
    assert first.examples[0] not in after.examples
    assert shown_texts(first) == [] and shown_texts(first.changed(k=2)) == [one.input for one in first.examples]


def test_a_beginning_needs_columns_that_are_there() -> None:
    with pytest.raises(UserError, match="has no column 'spam'; it has subject, email, label"):
        begin("sample:support_emails", sample_table("support_emails"), ("spam",), "label", "")
