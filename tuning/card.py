"""run -> model card: what it is, what it learned from, what was measured, how to use it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prompts.home import ADAPTER_CONFIG, adapter_folder
from prompts.kinds import Kind, kind_of, read_labels
from prompts.models import hub_id
from tuning.run import Run, snapshot

PIPELINES: dict[Kind, str] = {
    "causal": "text-generation", "seq2seq": "text2text-generation", "classifier": "text-classification",
}  # fmt: skip
_CLASSES: dict[Kind, str] = {"causal": "CausalLM", "seq2seq": "Seq2SeqLM", "classifier": "SequenceClassification"}


def card(run: Run, repo_id: str) -> str:
    """The README.md of the published adapter, with its YAML front matter."""
    from huggingface_hub import EvalResult, ModelCardData

    state, kind = snapshot(run), kind_in(adapter_folder(run.owner, run.id))
    whole = run.recipe.method == "full"
    evaluation: dict[str, Any] | None = state["evaluation"]
    results = None
    if evaluation:
        results = [
            EvalResult(
                task_type=PIPELINES[kind], dataset_type="private", dataset_name=f"{evaluation['rows']} held-out rows",
                metric_type="exact_match", metric_value=evaluation["tuned"]["exact_match"],
            )
        ]  # fmt: skip
    data = ModelCardData(
        base_model=hub_id(run.recipe.model), library_name="transformers" if whole else "peft", pipeline_tag=PIPELINES[kind],
        tags=[run.recipe.method, "prompt-or-tune"],
        model_name=repo_id.split("/")[-1], eval_results=results,
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n\n{_body(run, repo_id, state, kind)}"


def kind_in(folder: Path) -> Kind:
    """What the adapter or the whole model in a folder is for."""
    file = folder / ADAPTER_CONFIG
    if not file.is_file():
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return kind_of(SimpleNamespace(**{"model_type": "", "architectures": (), **config}))
    kinds: dict[str, Kind] = {"SEQ_2_SEQ_LM": "seq2seq", "SEQ_CLS": "classifier"}
    return kinds.get(json.loads(file.read_text("utf-8")).get("task_type"), "causal")


def _body(run: Run, repo_id: str, state: dict[str, Any], kind: Kind) -> str:
    base = hub_id(run.recipe.model) or "a local model, not published"
    what = "A fine-tuned copy of" if run.recipe.method == "full" else f"A {run.recipe.method} adapter for"
    return f"""# {repo_id.split("/")[-1]}

{what} `{base}`, made with Prompt or Tune.

## Measured

{_measured(state)}

## Data

{state["rows"]["train"]} rows trained on, {state["rows"]["held_out"]} held out and never trained on; fingerprint
`{run.about["fingerprint"]}`. Input: {", ".join(run.columns.input) or run.columns.messages}; learned:
{run.columns.output or "the last assistant turn"}. Instruction before every input: {run.columns.instruction or "none"}.

## Recipe

{_recipe(run)}

Versions: {", ".join(f"{name} {number}" for name, number in run.about["versions"].items())}.

## Use

```python
{_use(run, repo_id, kind)}
```

## Limits

Scores hold for rows like the held-out ones; nothing was measured beyond them. A fine-tuned model repeats the biases and
errors of its base and of its data: check it on your own cases before you rely on it.
"""


def _use(run: Run, repo_id: str, kind: Kind) -> str:
    """Python that loads and asks the model."""
    whole = run.recipe.method == "full"
    name = ("AutoModelFor" if whole else "AutoPeftModelFor") + _CLASSES[kind]
    labels = read_labels(adapter_folder(run.owner, run.id))
    more = "" if whole or labels is None else f", num_labels={len(labels.names)}"
    library = f"from transformers import {name}, AutoTokenizer" if whole else (
        f"from peft import {name}\nfrom transformers import AutoTokenizer"
    )  # fmt: skip
    asking = {
        "causal": 'messages = [{"role": "user", "content": "..."}]\n'
        'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)\n'
        'print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0][inputs["input_ids"].shape[1]:]))',
        "seq2seq": 'inputs = tokenizer("...", return_tensors="pt")\n'
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0], skip_special_tokens=True))",
        "classifier": f"names = {list(labels.names) if labels else []}\n"
        'inputs = tokenizer("...", return_tensors="pt")\nprint(names[model(**inputs).logits.argmax(-1).item()])',
    }
    return (
        f'{library}\n\nmodel = {name}.from_pretrained("{repo_id}"{more})\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{repo_id}")\n{asking[kind]}'
    )


def _measured(state: dict[str, Any]) -> str:
    lines = []
    if state["eval_loss"] is not None:
        lines.append(f"Loss on the held-out rows: {state['eval_loss']:.4f}.")
    if evaluation := state["evaluation"]:
        lines += ["", "| | exact match | 95 % interval | rows |", "|---|---|---|---|"]
        for side in ("base", "tuned"):
            score = evaluation[side]
            low, high = score["interval"]
            lines.append(f"| {side} | {score['exact_match']:.1%} | {low:.1%} to {high:.1%} | {evaluation['rows']} |")
        lines += ["", evaluation["verdict"]]
    if off := state["forecast_off"]:
        lines += [
            "",
            f"The forecast was off by {off['seconds']:+.0%} in time and {off['peak_memory_gb']:+.0%} in memory.",
        ]
    return "\n".join(lines) or "Nothing was measured: the run held out no rows or was not evaluated."


def _recipe(run: Run) -> str:
    settings = {key: value for key, value in run.recipe.to_json().items() if key != "model"}
    return "\n".join(["| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in settings.items())])
