"""A fresh process that loads a fine-tune twice, from this machine and from the Hub, and says what each answers.

One JSON document on standard input, one on standard output: {"here": {"digest", "top", "answers"}, "there": ...} or {"error"}.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    from prompts.errors import AppError
    from prompts.words import dumps

    given = json.loads(sys.stdin.read())
    try:
        found = both(given)
    except AppError as error:
        found = {"error": error.sentence()}
    print(dumps(found), flush=True)
    return 0


def both(given: dict[str, Any]) -> dict[str, Any]:
    """{"here", "there"} of a document with form, folder, repo, revision, base, labels, prompts, room, token.

    Raises UserError and WorldError as publishing does.
    """
    from huggingface_hub import snapshot_download

    from tuning.hub import hub_refusals

    here = said(given, Path(given["folder"]))
    with tempfile.TemporaryDirectory() as scratch, hub_refusals(given["repo"]):
        there = snapshot_download(
            given["repo"],
            revision=given["revision"],
            token=given["token"],
            cache_dir=scratch,
            endpoint=given["endpoint"],
        )
        return {"here": here, "there": said(given, Path(there))}


def said(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the model in a folder answers to the prompts, one at a time, in fp32."""
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
    return {"digest": digest, "top": top, "answers": list(answers(*model, prompts, given["room"]))}


if __name__ == "__main__":
    sys.exit(main())
