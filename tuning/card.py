"""run -> model card: what it is, what it learned from, what was measured, how to use it."""

from typing import Any

from prompts.models import hub_id
from tuning.run import Run, snapshot


def card(run: Run, repo_id: str) -> str:
    """The README.md of the published adapter, with its YAML front matter."""
    from huggingface_hub import EvalResult, ModelCardData

    state = snapshot(run)
    evaluation: dict[str, Any] | None = state["evaluation"]
    results = None
    if evaluation:
        results = [
            EvalResult(
                task_type="text-generation", dataset_type="private", dataset_name=f"{evaluation['rows']} held-out rows",
                metric_type="exact_match", metric_value=evaluation["tuned"]["exact_match"],
            )
        ]  # fmt: skip
    data = ModelCardData(
        base_model=hub_id(run.recipe.model), library_name="peft", pipeline_tag="text-generation", tags=["lora", "prompt-or-tune"],
        model_name=repo_id.split("/")[-1], eval_results=results,
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n\n{_body(run, repo_id, state)}"


def _body(run: Run, repo_id: str, state: dict[str, Any]) -> str:
    base = hub_id(run.recipe.model) or "a local model, not published"
    return f"""# {repo_id.split("/")[-1]}

A LoRA adapter for `{base}`, trained with Prompt or Tune.

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
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{repo_id}")
tokenizer = AutoTokenizer.from_pretrained("{repo_id}")
messages = [{{"role": "user", "content": "..."}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0][inputs["input_ids"].shape[1]:]))
```

## Limits

Scores hold for rows like the held-out ones; nothing was measured beyond them. A fine-tuned model repeats the biases and
errors of its base and of its data: check it on your own cases before you rely on it.
"""


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
    return "\n".join(lines) or "Nothing was measured: the run held out no rows or was not evaluated."


def _recipe(run: Run) -> str:
    settings = {key: value for key, value in run.recipe.to_json().items() if key != "model"}
    return "\n".join(["| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in settings.items())])
