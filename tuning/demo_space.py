"""A Space to try a published fine-tune: its app.py, README.md and requirements.txt, which need nothing of this app."""

import json
from pathlib import Path
from typing import Any

from prompts.home import adapter_folder
from prompts.kinds import Kind, read_labels
from prompts.models import hub_id
from tuning.evaluate import held_rows, input_of
from tuning.kinds import kind_in, loader
from tuning.run import Run

_ASK: dict[Kind, str] = {
    "causal": """    messages = [{"role": "user", "content": asked}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    found = model.generate(**inputs.to(model.device), max_new_tokens=int(tokens), do_sample=False)
    return tokenizer.decode(found[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True).strip()
""",
    "seq2seq": """    inputs = tokenizer(asked, return_tensors="pt", return_token_type_ids=False).to(model.device)
    found = model.generate(**inputs, max_new_tokens=int(tokens), do_sample=False)
    return tokenizer.decode(found[0], skip_special_tokens=True).strip()
""",
    "classifier": """    inputs = tokenizer(asked, return_tensors="pt", truncation=True).to(model.device)
    logits = model(**inputs).logits[0]
    return dict(zip(LABELS, (logits.sigmoid() if MANY else logits.softmax(-1)).tolist()))
""",
}


def write_space(run: Run, repo: str, form: str, folder: Path) -> None:
    """Writes the Space's files into `folder`. `repo`: the model's repository. GGUF files are asked by llama.cpp."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = kind_in(adapter_folder(run.owner, run.id))
    whole = run.recipe.method == "full" or form != "adapter"
    code = _of_gguf(run, repo) if form == "gguf" else _of_transformers(run, repo, kind, whole=whole)
    (folder / "app.py").write_text(code, encoding="utf-8")
    packages = (
        ["llama-cpp-python", "huggingface-hub"] if form == "gguf" else ["torch", "transformers>=5,<6", "accelerate"]
    )
    packages += [] if whole else ["peft>=0.21.2"]
    (folder / "requirements.txt").write_text("\n".join([*packages, ""]), encoding="utf-8")
    (folder / "README.md").write_text(_readme(run, repo), encoding="utf-8")


def _of_transformers(run: Run, repo: str, kind: Kind, *, whole: bool) -> str:
    labels = read_labels(adapter_folder(run.owner, run.id))
    name, library = loader(kind, whole=whole)
    more = "" if whole or labels is None else f", num_labels={len(labels.names)}"
    known = f"LABELS = {list(labels.names)!r}\nMANY = {labels.many}  # may a text have several?\n" if labels else ""
    return f'''"""Try {repo}."""

import os

import gradio as gr
{library}

REPO = {repo!r}
TOKEN = os.environ.get("HF_TOKEN")  # a secret of the Space, where the model is private
INSTRUCTION = {run.columns.instruction!r}
{known}
tokenizer = AutoTokenizer.from_pretrained(REPO, token=TOKEN)
model = {name}.from_pretrained(REPO, token=TOKEN{more}).eval()


def answer({_parameters(kind)}):
    """What the fine-tune answers to a text."""
    asked = f"{{INSTRUCTION}}\\n\\n{{text}}" if INSTRUCTION else text
{_ASK[kind]}

{_interface(run, repo, kind)}
'''


def _of_gguf(run: Run, repo: str) -> str:
    return f'''"""Try {repo}."""

import glob
import os

import gradio as gr
from huggingface_hub import snapshot_download
from llama_cpp import Llama

INSTRUCTION = {run.columns.instruction!r}
folder = snapshot_download({repo!r}, token=os.environ.get("HF_TOKEN"))
model = Llama(glob.glob(f"{{folder}}/*.gguf")[0], n_ctx=4096, verbose=False)


def answer(text: str, tokens: float = 64):
    """What the fine-tune answers to a text."""
    asked = f"{{INSTRUCTION}}\\n\\n{{text}}" if INSTRUCTION else text
    messages = [{{"role": "user", "content": asked}}]
    return model.create_chat_completion(messages, max_tokens=int(tokens), temperature=0)["choices"][0]["message"]["content"]


{_interface(run, repo, "causal")}
'''


def _parameters(kind: Kind) -> str:
    return "text: str" if kind == "classifier" else "text: str, tokens: float = 64"


def _interface(run: Run, repo: str, kind: Kind) -> str:
    inputs = 'gr.Textbox(label="Text", lines=6)'
    if kind != "classifier":
        inputs += ', gr.Slider(1, 512, 64, step=1, label="Longest reply (tokens)")'
    output = (
        'gr.Label(label="Answer")' if kind == "classifier" else 'gr.Textbox(label="Answer", lines=4, buttons=["copy"])'
    )
    rows = held_rows(run).rows[:3] if run.numbers("held_out") and (run.columns.input or run.columns.messages) else []
    examples = [[input_of(row)] if kind == "classifier" else [input_of(row), 64] for row in rows]
    return f"""demo = gr.Interface(
    answer, [{inputs}], {output}, title={repo.split("/")[-1]!r}, api_name="answer",
    examples={json.dumps(examples, ensure_ascii=False)}, cache_examples=False, flagging_mode="never",
    description="A fine-tune made with Prompt or Tune: https://huggingface.co/{repo}",
)

if __name__ == "__main__":
    demo.launch()"""


def _readme(run: Run, repo: str) -> str:
    from importlib.metadata import version

    import yaml

    front: dict[str, Any] = {
        "title": repo.split("/")[-1], "emoji": "🎯", "colorFrom": "green", "colorTo": "gray", "sdk": "gradio",
        "sdk_version": version("gradio"), "app_file": "app.py", "models": [repo, *filter(None, [hub_id(run.recipe.model)])],
    }  # fmt: skip
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    about = (
        f"Try [{repo}](https://huggingface.co/{repo}). A private model needs a token as the Space's secret `HF_TOKEN`."
    )
    return f"---\n{text}---\n\n{about}\n"
