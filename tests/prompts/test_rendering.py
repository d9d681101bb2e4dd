"""What is asked and what is trained on is one rendering: with a system role, without one, without any template."""

import pytest

from prompts.errors import UserError
from prompts.messages import message, prompt
from prompts.rendering import answered_texts, render
from tests.tiny import CHAT, NO_SYSTEM, tiny_tokenizer

PROMPT = prompt(message("system", ("Be brief.", "role")), message("user", ("Add {1}.", "task"), ("2 + 2", "input")))
DROPS_SYSTEM = CHAT.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")


@pytest.mark.parametrize(
    "template", [CHAT, NO_SYSTEM + CHAT, DROPS_SYSTEM, None], ids=["chat", "refuses", "drops", "none"]
)
def test_asking_and_training_share_every_byte(template: str | None) -> None:
    tokenizer = tiny_tokenizer(template)
    asked = render(PROMPT, tokenizer)
    assert answered_texts(PROMPT, "four", tokenizer) == (asked.text, "four<|end|>")
    assert "Be brief." in asked.text and "2 + 2" in asked.text
    learned = tokenizer("four<|end|>", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode([*asked.ids, *learned]) == asked.text + "four<|end|>"
    if template != CHAT:
        assert asked.notes, "a template without system role, or no template, is said"


def test_every_part_is_found_in_the_exact_prompt() -> None:
    found = render(PROMPT, tiny_tokenizer())
    sources = {found.text[s.start : s.end]: s.source for s in found.spans}
    assert sources["Be brief."] == "role" and sources["Add {1}."] == "task" and sources["2 + 2"] == "input"
    assert "".join(found.text[s.start : s.end] for s in found.spans) == found.text


def test_a_template_that_rewrites_the_answer_is_refused() -> None:
    tokenizer = tiny_tokenizer("{% for m in messages %}{{ m['content']|upper }}{% endfor %}>")
    with pytest.raises(UserError, match="changes the answer"):
        answered_texts(PROMPT, "four", tokenizer)
