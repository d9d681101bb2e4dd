"""A fresh process that loads a fine-tune twice, from this machine and from the Hub, and says what each answers."""

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from prompts.following import Progress


def both(given: dict[str, Any], tell: Progress) -> dict[str, Any]:
    """{"here": {"digest", "top", "answers"}, "there": the same} of a document with form, folder, repo, revision, base, labels,
    prompts, room, token; `tell` is told what is loaded and answered. Raises UserError and WorldError as publishing does.
    """
    from huggingface_hub import snapshot_download

    from tuning.hub import hub_refusals

    step, steps = count(1), 2 * (1 + len(given["prompts"]))  # each is loaded, and answers

    def done() -> None:
        tell(next(step), steps)

    here = said(given, Path(given["folder"]), done)
    with tempfile.TemporaryDirectory() as scratch, hub_refusals(given["repo"]):
        there = snapshot_download(
            given["repo"],
            revision=given["revision"],
            token=given["token"],
            cache_dir=scratch,
            endpoint=given["endpoint"],
        )
        return {"here": here, "there": said(given, Path(there), done)}


def said(given: dict[str, Any], folder: Path, done: Callable[[], None]) -> dict[str, Any]:
    """What the model in a folder answers to the prompts, one at a time, in fp32; `done` once it is loaded, and after each."""
    from prompts.kinds import Labels
    from prompts.messages import from_dicts
    from tuning.answers import answers, gguf_model, logits_digest, opened

    labels = Labels(tuple(given["labels"]["names"]), given["labels"]["many"]) if given["labels"] else None
    prompts = [from_dicts(messages) for messages in given["prompts"]]
    if given["form"] == "gguf":
        model = gguf_model(next(folder.glob("*.gguf")))
    else:
        model = opened(folder, given["base"], given["token"], labels)
    digest, top = logits_digest(*model[:3], prompts[0])
    done()
    found = []
    for answer in answers(*model, prompts, given["room"]):
        found.append(answer)
        done()
    return {"digest": digest, "top": top, "answers": found}
