"""run -> a folder to take along: the adapter, the merged model, or a GGUF file; compared with the adapter on held-out rows."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from prompts.errors import UserError, WorldError
from prompts.events import Event
from prompts.home import ADAPTER_CONFIG, adapter_folder
from prompts.kinds import LABELS_FILE, Labels, read_labels
from prompts.messages import Prompt, Reply
from prompts.models import BASE_FILE, locate
from prompts.rendering import PLAIN_TEMPLATE
from prompts.replies import Replies, key_of
from prompts.settings import Settings, knob
from prompts.usual import waited
from prompts.words import later
from tuning.base import check as check_base
from tuning.base import fingerprint
from tuning.evaluate import held_rows, room
from tuning.gguf_file import Quantization
from tuning.kinds import kind_in
from tuning.run import Run

Form = Literal["adapter", "merged", "gguf"]
SMALL = 1_000_000_000  # parameters; smaller models are merged in fp32, larger ones kept in 16 bits
GGUF_FILE, MODELFILE = "model-{}.gguf", "Modelfile"


class Export(Settings):
    """In which form a fine-tune is taken along."""

    form: Form = knob(
        "adapter", title="Form", place=10,
        help="adapter: small, needs its base. merged: a whole model. gguf: one file for llama.cpp and Ollama.",
    )  # fmt: skip
    quantization: Quantization = knob(
        "f16", title="GGUF precision", place=11, advanced=True,
        help="f16: exact to 16 bits. q8_0: half the size, answers may differ.",
    )  # fmt: skip
    check_rows: int = knob(
        40, title="Rows compared", unit="rows", ge=0, le=1000, place=12, advanced=True,
        help="Merged and GGUF answer so many held-out rows, which have to be the adapter's answers; what differs is named.",
    )  # fmt: skip


def export(run: Run, settings: Export, folder: Path, *, token: str | None = None) -> Iterator[Event]:
    """Writes the form into `folder`, which is made anew. Events "writing" (passed, remaining: seconds), "comparing" (side, done,
    of), and last "exported": {"run", "form", "folder", "files", "check": {"rows", "same", "differ": [{"row", "adapter",
    "exported"}], "by"}}.

    Raises UserError for a form that this run cannot take, WorldError where the disk is full.
    """
    source = adapter_folder(run.owner, run.id)
    whole = not (source / ADAPTER_CONFIG).is_file()
    if settings.form == "gguf" and kind_in(source) != "causal":
        raise UserError("GGUF is for GPT-like models; choose adapter or merged", field="form")
    shutil.rmtree(folder, ignore_errors=True)
    same = settings.form == "adapter" or (whole and settings.form == "merged")  # what would be compared with itself

    def write() -> None:
        if same:
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns(BASE_FILE))
            complete_tokenizer(folder)
        else:
            _merge(run, folder if settings.form == "merged" else folder / "merged", token)
        if settings.form == "gguf":
            _to_gguf(run, folder, settings)

    try:
        for told in waited(write, settings.form, settings.quantization, run.recipe.model):
            yield {"event": "writing", "form": settings.form, "passed": told["passed"], "remaining": told["remaining"]}
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WorldError(
            "the export cannot be written: {reason}; free some disk space", reason=error.strerror or error
        ) from error
    check: dict[str, Any] | None = None
    if settings.check_rows and run.numbers("held_out") and not same:
        for event in _compared(run, folder, settings, token):
            if event["event"] == "checked":
                check = event["check"]
            else:
                yield event
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    yield {
        "event": "exported",
        "run": run.id,
        "form": settings.form,
        "folder": str(folder),
        "files": files,
        "check": check,
    }


def exported_file(run: Run, settings: Export, folder: Path, *, token: str | None = None) -> Iterator[Event]:
    """As `export`, with one file to download beside it: the last event's "file"."""
    for event in export(run, settings, folder, token=token):
        if event["event"] == "exported":
            event["file"] = shutil.make_archive(str(folder), "zip", folder)
            shutil.rmtree(folder)
        yield event


def complete_tokenizer(folder: Path) -> None:
    """Gives a causal model's tokenizer the chat template that it was trained with, where it had none of its own."""
    from transformers import AutoTokenizer

    if kind_in(folder) != "causal":
        return
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
        tokenizer.save_pretrained(folder)


def _merge(run: Run, folder: Path, token: str | None) -> None:
    """The base with the adapter's weights added to its own. Raises UserError for a method whose weights cannot be added."""
    from prompts.loading import dtype
    from tuning.answers import opened

    source = adapter_folder(run.owner, run.id)
    if not (source / ADAPTER_CONFIG).is_file():
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(BASE_FILE))
        complete_tokenizer(folder)
        return
    base, _ = locate(run.recipe.model, run.owner)
    model, tokenizer, kind, labels = opened(source, base, token, read_labels(source))
    if not hasattr(model, "merge_and_unload"):
        raise UserError(
            "{method} is no change of weights and cannot be merged; choose adapter",
            method=run.recipe.method,
            field="form",
        )
    with model.disable_adapter():
        check_base(run.folder, run.recipe.model, fingerprint(model, tokenizer, kind))
    merged = model.merge_and_unload()
    if merged.num_parameters() >= SMALL:
        merged = merged.to(dtype())
    merged.config._name_or_path = ""  # never a path of this machine
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if labels:
        shutil.copy(source / LABELS_FILE, folder)
    complete_tokenizer(folder)


def _to_gguf(run: Run, folder: Path, settings: Export) -> None:
    from tuning.gguf_file import write_gguf

    merged, name = folder / "merged", GGUF_FILE.format(settings.quantization)
    try:
        write_gguf(merged, folder / name, settings.quantization, f"fine-tune {run.id[:8]}")
        (folder / MODELFILE).write_text(_modelfile(merged, name), encoding="utf-8")
    finally:
        shutil.rmtree(merged, ignore_errors=True)


def _modelfile(merged: Path, name: str) -> str:
    """For `ollama create`: the file, its end token, greedy answers. Ollama reads the chat template out of the GGUF file."""
    found = json.loads((merged / "tokenizer_config.json").read_text("utf-8")).get("eos_token")
    end = found["content"] if isinstance(found, dict) else found
    stop = f'PARAMETER stop "{end}"\n' if end else ""
    return f"FROM ./{name}\n{stop}PARAMETER temperature 0\n"


def _compared(run: Run, folder: Path, settings: Export, token: str | None) -> Iterator[Event]:
    """Asks the adapter and the exported form the same held-out rows, one at a time."""
    from tuning.answers import answers, opened

    labels = read_labels(adapter_folder(run.owner, run.id))
    held = held_rows(run, labels).drawn(settings.check_rows, run.recipe.seed)
    prompts = [row.prompt for row in held.rows]
    tokens = room(run.recipe.model, run.owner, held.references, token)
    said: dict[str, list[str]] = {"adapter": [], "exported": []}
    for side in said:
        if side == "adapter":
            replies, by = _of_adapter(run, prompts, tokens, token, labels), "transformers"
        elif settings.form == "gguf":
            replies, by = _of_gguf(folder / GGUF_FILE.format(settings.quantization), prompts, tokens)
        else:
            replies, by = answers(*opened(folder, labels=labels), prompts, tokens), "transformers"
        for reply in replies:
            said[side].append(reply)
            yield {"event": "comparing", "side": side, "done": len(said[side]), "of": len(prompts)}
    differ = [
        {"row": number + 1, "adapter": one, "exported": other}
        for number, one, other in zip(held.numbers, said["adapter"], said["exported"], strict=True)
        if one != other
    ]
    check = {"rows": len(prompts), "same": len(prompts) - len(differ), "differ": differ, "by": by}
    yield {"event": "checked", "check": check}


def _of_adapter(
    run: Run, prompts: list[Prompt], tokens: int, token: str | None, labels: Labels | None
) -> Iterator[str]:
    """What the run itself answers, kept with the owner's other replies for the next form."""
    from tuning.answers import answers, opened

    source, cache = adapter_folder(run.owner, run.id), Replies(run.owner)
    weights = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(source.glob("*.safetensors"))]
    keys = [key_of(run=run.id, weights=weights, room=tokens, asked=one.as_dicts()) for one in prompts]
    known, model = cache.get(set(keys)), None
    for one, key in zip(prompts, keys, strict=True):
        if key in known:
            yield known[key][0].text
            continue
        model = model or opened(source, locate(run.recipe.model, run.owner)[0], token, labels)
        (text,) = answers(*model, [one], tokens)
        cache.put([(key, Reply(text, None, None, 0.0, "stop"))], "alone")
        yield text


def _of_gguf(file: Path, prompts: list[Prompt], tokens: int) -> tuple[Iterator[str], str]:
    """(what a GGUF file answers, by what it was asked): llama.cpp itself where its package is installed, else transformers."""
    import importlib.util

    if importlib.util.find_spec("xllamacpp") is not None:
        from tuning.llama import asked

        return asked(file, prompts, tokens), "llama.cpp"
    return _by_transformers(file, prompts, tokens), later("transformers, from the GGUF file")


def _by_transformers(file: Path, prompts: list[Prompt], tokens: int) -> Iterator[str]:
    from tuning.answers import answers, gguf_model

    yield from answers(*gguf_model(file), prompts, tokens)
