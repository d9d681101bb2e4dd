"""run -> model card: what it is, what it learned from, what was measured, how to use it."""

from typing import Any

from prompts.home import adapter_folder
from prompts.kinds import Kind
from prompts.models import EMBEDDED, hub_id
from prompts.words import in_english
from tuning.card_use import use
from tuning.evaluate import BASE
from tuning.kinds import kind_in
from tuning.run import Run, snapshot

PIPELINES: dict[Kind, str] = {
    "causal": "text-generation", "seq2seq": "text2text-generation", "classifier": "text-classification",
}  # fmt: skip


@in_english()
def card(run: Run, repo_id: str, settings: Any, base: dict[str, Any], check: dict[str, Any] | None) -> str:
    """The README.md of the published model, with its YAML front matter. `settings`: tuning.publish.Publish."""
    from huggingface_hub import ModelCardData

    state, kind = snapshot(run), kind_in(adapter_folder(run.owner, run.id))
    whole = run.recipe.method == "full" or settings.form != "adapter"
    data = ModelCardData(
        base_model=hub_id(run.recipe.model), library_name=_library(settings.form, whole=whole),
        pipeline_tag=PIPELINES[kind], license=settings.license or None, tags=[run.recipe.method, "prompt-or-tune"],
        model_name=repo_id.split("/")[-1], eval_results=_results(state["evaluation"], PIPELINES[kind]) or None,
        datasets=[f"{repo_id}-data"] if settings.data else None,
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n\n{_body(run, repo_id, state, settings, base, check)}"


def _library(form: str, *, whole: bool) -> str:
    return "gguf" if form == "gguf" else "transformers" if whole else "peft"


def _results(evaluation: dict[str, Any] | None, task: str) -> list[Any]:
    """What was measured, as the Hub's model-index."""
    from huggingface_hub import EvalResult

    if not evaluation:
        return []
    tuned = evaluation["tuned"]
    scorer = evaluation.get("scorer", "exact_match")
    metric = {"label": "accuracy"}.get(scorer, scorer)
    found = {"exact_match": tuned["exact_match"], metric: tuned.get("score", tuned["exact_match"])}
    if "macro_f1" in evaluation:
        found["f1"] = evaluation["macro_f1"]
    return [
        EvalResult(
            task_type=task, dataset_type="private", dataset_name=f"{evaluation['rows']} held-out rows", metric_type=name,
            metric_value=value,
        )
        for name, value in found.items()
    ]  # fmt: skip


def _body(
    run: Run, repo_id: str, state: dict[str, Any], settings: Any, base: dict[str, Any], check: dict[str, Any] | None
) -> str:
    name = hub_id(run.recipe.model) or "a local model, not published"
    what = {"merged": "A fine-tuned copy of", "gguf": "A fine-tuned copy, as a GGUF file, of"}.get(
        settings.form, "A fine-tuned copy of" if run.recipe.method == "full" else f"A {run.recipe.method} adapter for"
    )
    sections = {
        "Measured": _measured(state),
        "Harm and forgetting": _harm(run),
        "Data": _data(run, state, repo_id, settings),
        "Recipe": _recipe(run),
        "Use": use(run, repo_id, settings.form, base),
        "Licence": f"`{settings.license}`, as its author says." if settings.license else
        "Its author has not said one. That of the base applies to the base's part in any case.",
        "Limits": "Scores hold for rows like the held-out ones; nothing was measured beyond them. A fine-tuned model repeats the "
        "biases and errors of its base and of its data: check it on your own cases before you rely on it.",
    }  # fmt: skip
    notes = "\n\n".join(filter(None, (_about_base(run, base), _about_form(check))))
    parts = [f"# {repo_id.split('/')[-1]}", f"{what} `{name}`, made with Prompt or Tune.", notes]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(filter(None, parts)) + "\n"


def _about_base(run: Run, base: dict[str, Any]) -> str:
    said = []
    if base.get("revision"):
        said.append(f"Trained on revision `{base['revision']}` of the base.")
    if base.get("moved_to"):
        said.append(f"The base has moved on since, to `{base['moved_to']}`: name the revision when you load it.")
    if base.get("gated"):
        said.append("The base is gated: ask for access on its page first.")
    if run.recipe.model == EMBEDDED:
        said.append(
            "The weights that it was trained on were read from a 4-bit file (Q4_1) of that base: on the original weights its "
            "answers can differ a little."
        )
    return " ".join(said)


def _about_form(check: dict[str, Any] | None) -> str:
    if not check:
        return ""
    rows = ", ".join(str(one["row"]) for one in check["differ"][:10])
    other = f"; it differs on rows {rows}" if check["differ"] else ""
    same = f"On {check['same']} of {check['rows']} held-out rows"
    return f"{same} it answers exactly as the adapter does (asked by {check['by']}){other}."


def _measured(state: dict[str, Any]) -> str:
    lines = []
    if state["eval_loss"] is not None:
        lines.append(f"Loss on the held-out rows: {state['eval_loss']:.4f}.")
    if evaluation := state["evaluation"]:
        rows, losses = evaluation["rows"], evaluation.get("losses", {})
        lines += [
            "", f"On {rows} held-out rows, scored by {evaluation.get('scorer', 'exact_match')}, greedy answers:", "",
            "| | score | 95 % interval | exact match | loss | perplexity | tokens in / out a row |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for side in ("base", "tuned"):
            found, loss = evaluation[side], losses.get(side)
            low, high = found.get("score_interval", found["interval"])
            lines.append(
                f"| {side if side == 'tuned' else evaluation['base_is']} | {found.get('score', found['exact_match']):.1%} | "
                f"{low:.1%} to {high:.1%} | {found['exact_match']:.1%} | "
                + (f"{loss['loss']:.3f} | {loss['perplexity']:,.1f}" if loss else "– | –")
                + f" | {found.get('tokens_in', 0) / rows:.0f} / {found.get('tokens_out', 0) / rows:.0f} |"
            )
        lines += ["", evaluation["verdict"]]
        if "base_check" in evaluation and evaluation["base_is"] == BASE:
            lines += ["", f"The base side is the model that training began with: {evaluation['base_check']}."]
    if off := state["forecast_off"]:
        lines += [
            "",
            f"The forecast was off by {off['seconds']:+.0%} in time and {off['peak_memory_gb']:+.0%} in memory.",
        ]
    return "\n".join(lines).strip() or "Nothing was measured: the run held out no rows or was not evaluated."


def _harm(run: Run) -> str:
    from tuning.harm.report import as_markdown, kept

    return as_markdown(kept(run), answers=False)


def _data(run: Run, state: dict[str, Any], repo_id: str, settings: Any) -> str:
    rows = state["rows"]
    instruction = run.columns.instruction or "none"
    published = f" The rows are published as `{repo_id}-data`." if settings.data else ""
    return (
        f"{rows['train']} rows trained on, {rows['validation']} watched, {rows['held_out']} held out and never trained on; "
        f"fingerprint `{run.about['fingerprint']}`. "
        f"Input: {', '.join(run.columns.input) or run.columns.messages or 'none'}; learned: "
        f"{run.columns.output or 'the last assistant turn'}. Instruction before every input: {instruction}.{published}"
    )


def _recipe(run: Run) -> str:
    settings = {key: value for key, value in run.recipe.to_json().items() if key not in ("model", "hub_model_id")}
    table = ["| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in settings.items())]
    versions = ", ".join(f"{name} {number}" for name, number in run.about["versions"].items())
    return "\n".join([*table, "", f"Versions: {versions}."])


@in_english()
def data_card(run: Run, name: str, model: str, license: str) -> str:
    """The README.md of a run's rows, published as a data set."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(license=license or None, pretty_name=name.split("/")[-1], tags=["prompt-or-tune"])
    used = ", ".join((*run.columns.input, run.columns.output) if not run.columns.messages else (run.columns.messages,))
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {name.split('/')[-1]}\n\nThe rows that `{model}` was trained on (train), watched by "
        f"(validation) and measured on (test). Columns: {used}. Fingerprint: `{run.about['fingerprint']}`.\n\nDo not train on the "
        "test part if you want to compare with that model's card.\n"
    )
