"""A prompt out of this app, in forms that give the same outputs elsewhere."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import yaml

from prompts.errors import UserError
from prompts.messages import Prompt
from prompts.models import hub_id, parse
from prompts.rendering import PLAIN_TEMPLATE
from prompts.techniques import AskSettings, Technique
from prompts.techniques.base import slots

Form = Literal["messages", "jinja_yaml", "transformers", "inference_client", "curl", "promptfoo"]
FORMS: tuple[str, ...] = get_args(Form)
_SLOT = re.compile(r"{{\s*([A-Za-z_]\w*)\s*}}")


def export(technique: Technique, settings: AskSettings, form: str, row: Mapping[str, Any] | None = None) -> str:
    """The prompt as a text of the chosen form. "messages" and "curl" are filled with `row`; the others keep their slots.

    Raises UserError for an unknown form, or a text that uses more of Jinja2 than plain slots.
    """
    if form not in FORMS:
        raise UserError(
            "there is no export {form!r}; there are {names}", form=form, names=", ".join(FORMS), field="form"
        )
    if form == "messages":
        return json.dumps(technique.build(settings, row or {}).as_dicts(), ensure_ascii=False, indent=1)
    if form == "curl":
        return _curl(settings, technique.build(settings, row or {}))
    template = template_messages(technique, settings)
    makers = {
        "jinja_yaml": _jinja_yaml,
        "transformers": _transformers,
        "inference_client": _client,
        "promptfoo": _promptfoo,
    }
    return makers[form](technique, settings, template)


def template_messages(technique: Technique, settings: AskSettings) -> Prompt:
    """The prompt with its slots still open."""
    for name, value in settings.model_dump().items():
        if isinstance(value, str) and (
            "{%" in value or "{#" in value or len(_SLOT.findall(value)) != value.count("{{")
        ):
            raise UserError("exports keep plain slots, {{ name }}; this text uses a condition or a filter", field=name)
    return technique.build(settings, {slot: f"{{{{ {slot} }}}}" for slot in slots(settings)})


def _sampling(settings: AskSettings) -> dict[str, Any]:
    return {"max_tokens": settings.max_new_tokens, "temperature": settings.temperature, "top_p": settings.top_p}


def _public_model(settings: AskSettings) -> str:
    found = parse(settings.model)
    return found.value if found.kind in ("server", "folder") else hub_id(settings.model) or settings.model


def _base_url(settings: AskSettings) -> str:
    found = parse(settings.model)
    return found.url if found.kind == "server" else "https://router.huggingface.co/v1"


def _jinja_yaml(technique: Technique, settings: AskSettings, template: Prompt) -> str:
    document = {
        "technique": technique.name, "model": _public_model(settings), **_sampling(settings), "seed": settings.seed,
        "slots": list(slots(settings)), "messages": template.as_dicts(),
    }  # fmt: skip
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


_ROWS = '''"""{title}, exported. `python {script} rows.jsonl` prints an answer a line, as JSON; without slots, no rows."""

import json
import sys

from jinja2 import Environment, StrictUndefined

MESSAGES = {messages}


def filled(row):
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return [{{**m, "content": environment.from_string(m["content"]).render(row)}} for m in MESSAGES]


def rows():
    files = [a for a in sys.argv[1:] if not a.startswith("--")]
    return [json.loads(line) for line in open(files[0], encoding="utf-8")] if files else [{{}}]

'''

_TRANSFORMERS = """
import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = next((a.removeprefix("--model=") for a in sys.argv if a.startswith("--model=")), {model!r})
tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
PLAIN = {plain!r}


def rendered(messages):
    template = tokenizer.chat_template or PLAIN
    system = "".join(m["content"] for m in messages if m["role"] == "system")
    try:
        text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
        if system in text:
            return text
    except TemplateError:
        pass
    rest = [dict(m) for m in messages if m["role"] != "system"]  # no system role: its text stands first
    rest[0]["content"] = system + "\\n\\n" + rest[0]["content"]
    return tokenizer.apply_chat_template(rest, chat_template=template, tokenize=False, add_generation_prompt=True)


for row in rows():
    inputs = tokenizer(rendered(filled(row)), add_special_tokens=False, return_tensors="pt")
    inputs = {{name: inputs[name] for name in ("input_ids", "attention_mask")}}
    torch.manual_seed({seed})
    output = model.generate(**inputs, max_new_tokens={max_tokens}, {draw})
    answer = tokenizer.decode(output[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True).strip()
    print(json.dumps({{"answer": answer}}, ensure_ascii=False))
"""


def _transformers(technique: Technique, settings: AskSettings, template: Prompt) -> str:
    greedy = "do_sample=False, temperature=None, top_p=None, top_k=None"
    draw = f"do_sample=True, temperature={settings.temperature}, top_p={settings.top_p}, top_k=0"
    return _head(technique, template, "prompt_transformers.py") + _TRANSFORMERS.format(
        model=_public_model(settings), plain=PLAIN_TEMPLATE, seed=settings.seed, max_tokens=settings.max_new_tokens,
        draw=draw if settings.temperature else greedy,
    )  # fmt: skip


_CLIENT = """
import os

from huggingface_hub import InferenceClient

client = InferenceClient(base_url={url!r}, api_key=os.environ.get("API_KEY", "none"))
for row in rows():
    reply = client.chat_completion(model={model!r}, messages=filled(row), seed={seed}, {sampling})
    print(json.dumps({{"answer": (reply.choices[0].message.content or "").strip()}}, ensure_ascii=False))
"""


def _client(technique: Technique, settings: AskSettings, template: Prompt) -> str:
    sampling = ", ".join(f"{name}={value}" for name, value in _sampling(settings).items())
    return _head(technique, template, "prompt_client.py") + _CLIENT.format(
        url=_base_url(settings), model=_public_model(settings), seed=settings.seed, sampling=sampling
    )


def _head(technique: Technique, template: Prompt, script: str) -> str:
    messages = json.dumps(template.as_dicts(), ensure_ascii=False, indent=4)
    return _ROWS.format(title=technique.title, script=script, messages=messages)


def _curl(settings: AskSettings, prompt: Prompt) -> str:
    body = {
        "model": _public_model(settings),
        "messages": prompt.as_dicts(),
        **_sampling(settings),
        "seed": settings.seed,
    }
    url = _base_url(settings).rstrip("/").removesuffix("/chat/completions")
    url = url if url.endswith("/v1") else f"{url}/v1"
    text = json.dumps(body, ensure_ascii=False, indent=1).replace("'", "'\\''")
    return (
        f"curl -s '{url}/chat/completions' -H 'Content-Type: application/json' \\\n"
        f"  -H \"Authorization: Bearer ${{API_KEY:-none}}\" \\\n  -d '{text}'\n"
    )


def _promptfoo(technique: Technique, settings: AskSettings, template: Prompt) -> str:
    found = parse(settings.model)
    config = {**_sampling(settings), "seed": settings.seed}
    if found.kind == "server":
        provider = {"id": f"openai:chat:{found.value}", "config": {"apiBaseUrl": found.url, **config}}
    else:
        provider = {"id": f"huggingface:chat:{_public_model(settings)}", "config": config}
    document = {
        "description": f"{technique.title}, exported",
        "prompts": [json.dumps(template.as_dicts(), ensure_ascii=False, indent=1)],
        "providers": [provider],
        "tests": [{"vars": dict.fromkeys(slots(settings), "")}] if slots(settings) else [{}],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
