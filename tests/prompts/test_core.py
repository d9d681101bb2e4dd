"""Settings, templates, messages, techniques, asking: everything that needs no model."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from prompts import library
from prompts.asking import ask, rendered_prompt
from prompts.backends.plan import plan_batches
from prompts.errors import NotFound, UserError
from prompts.messages import Prompt
from prompts.models import parse
from prompts.settings import Settings, build, table
from prompts.techniques import TECHNIQUES, technique
from prompts.techniques.chain_of_thought import ChainSettings, read
from prompts.techniques.few_shot import FewShotSettings
from prompts.techniques.refinement import RefinementSettings, add_requirement, fault
from prompts.templates import fill, slots_of, template_of
from tests.scripted import ScriptedBackend


def asked(settings: Any, answer: Any = lambda prompt: "yes", row: dict[str, Any] | None = None) -> Any:
    backend = ScriptedBackend(answer)
    found = next(t for t in TECHNIQUES if type(settings) is t.settings)
    *_, last = ask(found, settings, lambda name: backend, row=row)
    return last, backend


def test_a_wrong_setting_is_named_with_its_value() -> None:
    with pytest.raises(UserError, match=r"temperature: .*less than or equal to 2 \(got 9\)"):
        build(FewShotSettings, {"task": "x", "temperature": 9})
    with pytest.raises(UserError, match="temprature: there is no such setting"):
        build(FewShotSettings, {"task": "x", "temprature": 1})
    with pytest.raises(UserError, match="task: a value is needed"):
        build(FewShotSettings, {})


def test_table_has_a_row_for_each_field() -> None:
    assert table(ChainSettings).count("\n") == len(ChainSettings.model_fields) + 1


def test_slots_are_filled_and_a_missing_one_is_named() -> None:
    assert fill("Dear {{ name }}, {{ First_name|upper }}", {"name": "Ana", "First name": "b"}) == "Dear Ana, B"
    assert slots_of("{{ b }}{% if a %}x{% endif %}") == ("a", "b")
    with pytest.raises(UserError, match=r"slot 'town'; the columns are: name"):
        fill("{{ town }}", {"name": "Ana"})
    assert template_of(["subject", "email"]) == "Subject: {{ subject }}\n\nEmail: {{ email }}"
    assert template_of(["text"]) == "{{ text }}"


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ x() }}",
        "{% set a = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{{ x|replace('', 'aaaaaaaa') }}",
        "{% include 'x' %}",
        "{{ 2 ** 9 }}",
        "{{",
        "{{ x[0] }}",
        "x" * 200_000,
    ],
)
def test_templates_of_strangers_end_in_bounded_time(hostile: str) -> None:
    with pytest.raises(UserError):
        fill(hostile, {"x": "y"})


@given(st.text(), st.text())
def test_values_are_never_templates(value: str, before: str) -> None:
    before = before.replace("{", "(").replace("#", "(")
    assert fill(before + "{{ a }}", {"a": value}) == before.replace("\r\n", "\n").replace("\r", "\n") + value


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "ñ {{ a }} {% if %}", [1, {"a": None}], {"b": "c"}])
def test_slots_alone_are_filled_as_jinja_fills_them(value: Any) -> None:
    template, by_jinja = "One: {{ a }}\r\n{{a}} two {{ First_name }}\n", "{% if 1 %}{% endif %}"
    row = {"a": value, "First name": value}
    assert fill(template, row) == fill(template + by_jinja, row)


def test_contextual_puts_each_card_under_its_name() -> None:
    settings = technique("contextual").settings(task="Answer.", role="You are a vet.", audience="Children")
    last, _ = asked(settings)
    system, user = last.prompt.messages
    assert [part.source for part in system.parts] == ["role", "audience"]
    assert system.content == "You are a vet.\n\nAudience: Children"
    assert user.content == "Answer."


def test_k_is_respected_and_too_large_a_k_is_refused() -> None:
    examples = [{"input": f"i{n}", "output": f"o{n}"} for n in range(3)]
    for k, turns in ((0, 1), (2, 6), (None, 8)):
        last, _ = asked(build(FewShotSettings, {"task": "t", "input": "q", "examples": examples, "k": k}))
        assert len(last.prompt.messages) == turns
    with pytest.raises(UserError, match="k is 4, but there are 3 examples"):
        asked(build(FewShotSettings, {"task": "t", "examples": examples, "k": 4}))


def test_few_shot_as_text_is_one_message() -> None:
    settings = build(
        FewShotSettings, {"task": "t", "input": "q", "layout": "text", "examples": [{"input": "a", "output": "b"}]}
    )
    last, _ = asked(settings)
    assert last.prompt.messages[0].content == "t\n\nInput: a\nOutput: b\n\nInput: q\nOutput:"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("3 x 4 = 12.\nAnswer: 12 dollars", "12 dollars"),
        ("Answer: 1\nNo wait.\nAnswer: **2**", "2"),
        ("So \\boxed{42} it is", "42"),
        ("Therefore the answer is 7.\n", "7"),
        ("It costs 3, then 1,200.50 in all", "1,200.50"),
        ("<think>9 or 10</think>Answer: 10", "10"),
        ("I do not know", None),
    ],
)
def test_answers_are_read_apart_from_the_reasoning(reply: str, answer: str | None) -> None:
    assert read(ChainSettings(task="x"), reply).text == answer


def test_own_steps_need_steps() -> None:
    with pytest.raises(UserError, match="steps: write at least one step"):
        asked(ChainSettings(task="x", reasoning="own_steps"))


def test_feedback_makes_the_next_version() -> None:
    last, backend = asked(RefinementSettings(task="Write.", feedback="Shorter,\nplease"))
    assert last.settings.task == "Write.\n\nRequirements:\n- Shorter, please"
    assert add_requirement(last.settings.task, "Louder").endswith("- Shorter, please\n- Louder")
    assert len(backend.asked) == 1


def test_a_model_may_rewrite_but_not_lose_a_slot() -> None:
    settings = RefinementSettings(task="Sum up {{ email }}", feedback="In Spanish", rewrite="model")
    good, _ = asked(settings, lambda p: "Prompt: Sum up {{ email }} in Spanish", {"email": "hi"})
    assert good.settings.task == "Sum up {{ email }} in Spanish"
    assert good.notes == ()
    bad, _ = asked(settings, lambda p: "Sum up in Spanish", {"email": "hi"})
    assert "lost the slot {{ email }}" in bad.notes[0]
    assert bad.settings.task.endswith("- In Spanish")
    assert fault("a", "<think>so") and fault("a", "```x") and fault("a", "{{") and fault("a", "") and fault("a", "a")


def test_asking_streams_growing_replies_and_can_stop() -> None:
    stop = threading.Event()
    texts = []
    for state in ask(
        technique("few_shot"), FewShotSettings(task="x"), lambda n: ScriptedBackend(lambda p: "a b c d"), stop=stop
    ):
        texts.append(state.reply.text if state.reply else None)
        if texts[-1] == "a b":
            stop.set()
    assert texts[:3] == [None, "a", "a b"]
    assert state.reply.finish == "cancelled"


def test_rendering_asks_nothing() -> None:
    backend = ScriptedBackend(lambda prompt: "no")
    found = rendered_prompt(technique("few_shot"), FewShotSettings(task="x"), lambda name: backend)
    assert found.document()["messages"] == [{"role": "user", "content": "x"}]
    assert not backend.asked


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embedded", "embedded"),
        ("HuggingFaceTB/SmolLM2-135M", "hub"),
        ("./folder", "folder"),
        ("run:abc123", "run"),
        ("http://127.0.0.1:8000/v1#m", "server"),
    ],
)
def test_models_are_named_one_way(name: str, kind: str) -> None:
    assert parse(name).kind == kind


@pytest.mark.parametrize("name", ["", "a/b/c", "../x/..", "http://host", "ftp://host#m", "a b", "http://u:p@h/v1#m"])
def test_other_names_are_refused(name: str) -> None:
    if name.startswith("../"):
        assert parse(name).kind == "folder"
        return
    with pytest.raises(UserError, match="model"):
        parse(name)


def test_a_space_asks_no_private_address_and_opens_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM", "spaces")
    for name in ("http://127.0.0.1:1/v1#m", "http://localhost/v1#m", "http://10.0.0.1#m", "./x", "/etc"):
        with pytest.raises(UserError):
            parse(name)


def test_library_keeps_each_owners_prompts_apart() -> None:
    settings = FewShotSettings(task="Ünïcode {{ x }}", k=0)
    library.save("local", "Mine", "few_shot", settings)
    assert library.load("local", "Mine").settings == settings
    assert library.names("local", "few_shot") == ["Mine"] and library.names("local", "contextual") == []
    with pytest.raises(UserError, match="is a prompt of the technique few_shot"):
        library.save("local", "Mine", "contextual", technique("contextual").settings(task="x"))
    with pytest.raises(NotFound):
        library.load("other", "Mine")
    with pytest.raises(NotFound):
        library.delete("other", "Mine")
    for bad in ("../x", "", "a/b", "x" * 90):
        with pytest.raises(UserError):
            library.save("local", bad, "few_shot", settings)


@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(1, 500))
def test_batches_hold_every_row_once_and_keep_the_budget(lengths: list[int], new: int) -> None:
    from prompts.backends.plan import BATCH_ROWS, BATCH_TOKENS

    batches = plan_batches(lengths, new)
    assert sorted(at for batch in batches for at in batch) == list(range(len(lengths)))
    for batch in batches:
        widest = max(lengths[at] for at in batch) + new
        assert len(batch) <= BATCH_ROWS
        assert len(batch) == 1 or widest * len(batch) <= BATCH_TOKENS


def test_plain_prompt_can_be_copied() -> None:
    last, _ = asked(technique("contextual").settings(task="t", role="r"))
    assert last.prompt.plain() == "[system]\nr\n\n[user]\nt"
    assert isinstance(last.prompt, Prompt)


def test_a_fault_whose_words_hold_braces_is_a_sentence_too() -> None:
    code = create_model("Code", __base__=Settings, code=(str, Field(pattern=r"^\w{3}$")))
    with pytest.raises(UserError, match=r"code: String should match pattern .*\{3\}"):
        build(code, {"code": "toolong"})
