"""Messages -> the exact string and token ids of one model. Asking and training both render here, so they cannot differ."""

from typing import Any

from jinja2 import TemplateError

from prompts.backends import Thinking
from prompts.errors import UserError
from prompts.messages import Message, Part, Prompt, Rendered, Span
from prompts.words import later, say

# For models without a chat template of their own (base models, GPT-2): texts on lines, answers closed by end-of-text.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
)


def render(prompt: Prompt, tokenizer: Any, thinking: Thinking = "default") -> Rendered:
    """The string that asks `tokenizer`'s model for the next assistant turn, with its ids and where each part lies."""
    messages, text, notes = _ask_text(prompt, tokenizer, thinking)
    return Rendered(text, _ids(text, tokenizer), _spans(messages, text), notes)


def answered_texts(prompt: Prompt, answer: str, tokenizer: Any) -> tuple[str, str]:
    """The strings of a training pair. A prompt without messages is plain text, which is learned whole and without a template.

    Raises UserError where the model's template renders an answered conversation differently from an asked one.
    """
    if not prompt.messages:
        return "", _closed(answer, tokenizer)
    messages, asked, _ = _ask_text(prompt, tokenizer, "default")
    if is_plain(tokenizer):
        return asked, answer
    whole = _apply(messages.answered(answer), tokenizer, asking=False)
    if whole.startswith(asked):
        learned = whole[len(asked) :]
    else:  # e.g. thinking templates, which close an empty thought before the answer
        end = whole.rfind(answer.strip())
        if end < 0:
            raise UserError("the model's chat template changes the answer's text, so it cannot be trained on")
        learned = whole[end:]
    return asked, _closed(learned, tokenizer)


def is_plain(tokenizer: Any) -> bool:
    """Does the model read texts and no chat? Encoders and encoder-decoders do: a prompt's plain text, with the tokenizer's own
    special tokens.
    """
    return bool(getattr(tokenizer, "reads_plain_text", False))


def has_template(tokenizer: Any) -> bool:
    """Does the model bring a chat template of its own?"""
    return bool(getattr(tokenizer, "chat_template", None))


def _ask_text(prompt: Prompt, tokenizer: Any, thinking: Thinking) -> tuple[Prompt, str, tuple[str, ...]]:
    if is_plain(tokenizer):
        return prompt, prompt.plain(), (say(_PLAIN_NOTE),)
    notes: tuple[str, ...] = () if has_template(tokenizer) else (say(_NO_TEMPLATE_NOTE),)
    if thinking != "default" and "enable_thinking" not in str(tokenizer.chat_template):
        notes = (*notes, say("This model's template has no switch for thinking."))
    if not any(m.role == "system" for m in prompt.messages):
        return prompt, _apply(prompt, tokenizer, asking=True, thinking=thinking), notes
    system = next(m.content for m in prompt.messages if m.role == "system")
    try:
        text = _apply(prompt, tokenizer, asking=True, thinking=thinking)
        if system in text:
            return prompt, text, notes
    except UserError:
        pass
    merged = _without_system(prompt)
    return merged, _apply(merged, tokenizer, asking=True, thinking=thinking), (*notes, say(_MERGED_NOTE))


_PLAIN_NOTE = later("This model reads a text, no chat: the prompt's texts follow one another.")
_NO_TEMPLATE_NOTE = later("This model has no chat template: texts are put on lines of their own.")
_MERGED_NOTE = later(
    "This model's template has no system role: the system text stands at the start of the first message."
)


def _without_system(prompt: Prompt) -> Prompt:
    """The system parts moved to the front of the first user message."""
    parts: tuple[Part, ...] = tuple(p for m in prompt.messages if m.role == "system" for p in m.parts)
    rest = [m for m in prompt.messages if m.role != "system"]
    if not rest:
        return Prompt((Message("user", parts),))
    return Prompt((Message(rest[0].role, (*parts, *rest[0].parts)), *rest[1:]))


def _apply(prompt: Prompt, tokenizer: Any, *, asking: bool, thinking: Thinking = "default") -> str:
    switch = {} if thinking == "default" else {"enable_thinking": thinking == "on"}
    template = None if has_template(tokenizer) else PLAIN_TEMPLATE
    try:
        return str(
            tokenizer.apply_chat_template(
                prompt.as_dicts(), chat_template=template, tokenize=False, add_generation_prompt=asking, **switch
            )
        )
    except TemplateError as error:
        raise UserError("the model's chat template refuses these messages: {error}", error=error) from None


def _closed(text: str, tokenizer: Any) -> str:
    """Up to and including the first end-of-turn token; one is added where the template writes none."""
    eos = tokenizer.eos_token or ""
    if not eos:
        return text
    head, found, _ = text.partition(eos)
    return head + (found or eos)


def _ids(text: str, tokenizer: Any) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=is_plain(tokenizer))["input_ids"])


def _spans(prompt: Prompt, text: str) -> tuple[Span, ...]:
    """Where each part stands in the rendered string; what no part covers is the model's template."""
    spans: list[Span] = []
    at = 0
    for message in prompt.messages:
        for part in message.parts:
            start = text.find(part.text, at)
            if start < 0:
                continue
            if start > at:
                spans.append(Span(at, start, "template"))
            at = start + len(part.text)
            spans.append(Span(start, at, part.source))
    if at < len(text):
        spans.append(Span(at, len(text), "template"))
    return tuple(spans)
