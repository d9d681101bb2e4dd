"""Taking a fine-tune along, on the page: plain functions from events and documents to sentences."""

from typing import Any

from prompts.ui.progress import TimeLeft, duration, time_left
from prompts.words import later, say

STEPS = later({
    "writing": "Writing the {form} form: {passed} so far", "comparing": "Comparing with the adapter: {line}",
    "uploading": "Uploading to {repo}: {line}",
    "reading_back": "Reading every file of {repo} back: {line}",
    "loading_again": "Loading {repo} in a fresh process and asking it: {done} of {of} · {passed} so far",
})  # fmt: skip
SIDES = later({"adapter": "the adapter", "exported": "what was written"})
FORMS = later({"adapter": "adapter", "merged": "merged", "gguf": "GGUF"})


class Steps:
    """The steps of an export or a push, in a line that says how long each still takes."""

    def __init__(self) -> None:
        self._step, self._progress = ("", None, None), TimeLeft()

    def line(self, event: dict[str, Any]) -> str:
        step = (event["event"], event.get("side"), event.get("repo"))
        if step != self._step:
            self._step, self._progress = step, TimeLeft()
        words: dict[str, Any] = {}
        match event:
            case {"event": "comparing"}:
                words["line"] = self._progress.line({**event, "variant": say(SIDES[event["side"]])})
            case {"event": "uploading" | "reading_back"}:
                words["line"] = self._progress.line({**event, "bytes": True})
            case {"event": "loading_again"}:
                words["passed"] = duration(event["passed"])  # its steps differ too much to go by
            case {"event": "writing"}:
                words |= {"form": say(FORMS.get(event["form"], event["form"])), "passed": duration(event["passed"])}
        return say(STEPS[event["event"]], **{**event, **words}) + time_left(event.get("remaining"))


def checked(check: dict[str, Any] | None) -> str:
    """How a form compares with the adapter, as a sentence; every row that differs is named."""
    if not check:
        return ""
    text = say(
        " {same} of {rows} held-out rows are answered exactly as by the adapter (asked by {by}).",
        **{**check, "by": say(check["by"])},
    )
    rows = "; ".join(
        say("row {row}: {exported!r} instead of {adapter!r}", row=one["row"], exported=one["exported"][:40],
            adapter=one["adapter"][:40])
        for one in check["differ"]
    )  # fmt: skip
    return text + (say(" They differ on {rows}.", rows=rows) if rows else "")


def exported(event: dict[str, Any]) -> str:
    """What an export came to, as Markdown."""
    return f"**{say(FORMS[event['form']]).capitalize()}**: {', '.join(event['files'])}.{checked(event['check'])}"


def published(state: dict[str, Any]) -> str:
    """Where a run was published, as Markdown."""
    if not (found := state["published"]):
        return say("Not published: {why}.", why=why) if (why := state.get("not_published")) else say("Not published.")
    text = say(
        "Published as [{repo}]({url}), {kind}, {form}, revision `{revision}`. All {files} files were read back and are the same.",
        repo=found["repo"], url=found["url"], kind=say("private") if found["private"] else say("public"),
        form=say(FORMS[found.get("form", "adapter")]), revision=found["revision"][:10], files=len(found["files"]),
    )  # fmt: skip
    if trip := found.get("round_trip"):
        text += say(
            " Loaded in a fresh process, it gave the same logits and the same answers on {rows} rows.",
            rows=trip["rows"],
        )
    text += checked(found.get("check")) + (f" {note}" if (note := found.get("base_at_hand")) else "")
    if moved := found.get("base", {}).get("moved_to"):
        text += say(
            " The base has moved on to `{moved}` since the training: the card names the revision that was trained on.",
            moved=moved[:10],
        )
    for name, title in (("data", say("The rows")), ("space", say("The Space to try it"))):
        if more := found.get(name):
            text += f" {title}: [{more['repo']}]({more['url']})."
    return text
