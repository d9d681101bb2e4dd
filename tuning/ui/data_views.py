"""What data look like on the page: plain functions from documents to text and tables."""

from typing import Any

from prompts.words import later, say
from tuning.data.fixes import Patch
from tuning.data.fixes import sentence as fix_sentence

_COLOURS = {"learned": "#0d9488", "context": "#94a3b8", "cut": "#dc2626"}
_KINDS = later({"learned": "learned", "context": "read", "cut": "cut"})
_MARKS = {"stop": "⛔", "warn": "⚠️", "note": "ℹ️"}
_FIXES = later({
    "drop": "leave the rows out", "merge": "give them the answer that most have", "mask": "replace it by [EMAIL], [PHONE] …",
    "fix_encoding": "mend the letters", "strip_html": "remove tags and entities", "resplit": "move the rows to training",
})  # fmt: skip


def inspected_line(found: dict[str, Any], held_out: float, validation: float) -> str:
    """Rows, labels and split as Markdown, or what is wrong."""
    text = say(
        "**{data}**: {rows:,} rows, columns {names}.",
        data=found["data"],
        rows=found["rows"],
        names=", ".join(found["columns"]),
    )
    text += "".join(f"\n\n{note}" for note in found["notes"])
    if found["problem"]:
        return f"{text}\n\n⚠️ {found['problem']}"
    kept, watched = round(found["rows"] * held_out), round(found["rows"] * validation)
    text += say(
        "\n\nAbout {rows:,} rows to train, {watched:,} to validate, {kept:,} held out.",
        rows=found["rows"] - kept - watched,
        watched=watched,
        kept=kept,
    )
    if found["labels"]:
        shares = ", ".join(f"{label} {count}" for label, count in list(found["labels"].items())[:12])
        text += say("\n\n{labels} labels: {shares}.", labels=len(found["labels"]), shares=shares)
    return text


def preview_rows(found: dict[str, Any]) -> list[list[str]]:
    """The first rows as the conversation that is learned; before there is a mapping, as they are."""
    if found["problem"]:
        return [[str(n), " · ".join(map(str, row.values())), ""] for n, row in enumerate(found["sample"], 1)]
    shown = []
    for number, example in enumerate(found["examples"], 1):
        turns = example["messages"]
        given = turns[0]["content"] if len(turns) == 1 else "\n".join(f"[{m['role']}] {m['content']}" for m in turns)
        shown.append([str(number), given, example["answer"]])
    return shown


def health(documents: list[dict[str, Any]], rows: int) -> str:
    """What the doctor says, in a sentence."""
    if not documents:
        return say(
            "**Nothing found in {rows:,} rows.** The doctor knows forms and words, not meaning: read some rows yourself.",
            rows=rows,
        )
    counts = {weight: sum(d["weight"] == weight for d in documents) for weight in _MARKS}
    said = [
        say("{stop} to fix before training", stop=counts["stop"]) if counts["stop"] else "",
        say("{warn} to look at", warn=counts["warn"]) if counts["warn"] else "",
        say("{note} to know", note=counts["note"]) if counts["note"] else "",
    ]
    return say("**{rows:,} rows: {names}.**", rows=rows, names=", ".join(filter(None, said)))


def findings(documents: list[dict[str, Any]]) -> str:
    """What was found as a list: how many, which rows, why it matters."""
    lines = []
    for found in documents:
        which = ", ".join(map(str, found["rows"][:8])) + (" …" if found["count"] > 8 else "")
        rows = ": " + say("{count:,} rows ({which})", count=found["count"], which=which) if found["count"] else ""
        rows = ": " + say("1 row ({which})", which=which) if found["count"] == 1 else rows
        detail = f" _{found['detail']}._" if found["detail"] else ""
        lines.append(f"- {_MARKS[found['weight']]} **{found['title']}**{rows}. {found['why']}{detail}")
    return "\n".join(lines)


def fix_choices(documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (f"{found['title']}: {say(_FIXES[fix])} ({found['count']:,})", f"{found['finding']}:{fix}")
        for found in documents
        for fix in found["fixes"]
    ]


def fixes_done(done: list[Patch]) -> str:
    return "\n".join(f"- {fix_sentence(one)}" for one in done)


def token_numbers(found: dict[str, Any]) -> str:
    """The four numbers, and whether training may start."""
    lines = [
        say(
            "**{rows:,} rows, {tokens:,} tokens**, the median row {median:,}, the longest {longest:,}. Chat template: {template}.",
            **found,
        ),
        "",
        say(
            "- rows too long for {max_length:,} tokens: **{rows_cut:,}** (they are {overlong})",
            max_length=found["max_length"],
            rows_cut=found["rows_cut"],
            overlong=say("refused") if found["overlong"] == "stop" else found["overlong"],
        ),
        say("- tokens lost: **{tokens_lost:,}**", tokens_lost=found["tokens_lost"]),
        say(
            "- rows with nothing to learn: **{rows_with_nothing_to_learn:,}**",
            rows_with_nothing_to_learn=found["rows_with_nothing_to_learn"],
        ),
        say("- end of turn learned: **{end_of_turn_trained:,} of {pieces:,}**", **found),
    ]
    if found["blocked"]:
        lines += ["", say("⛔ Training would not start: {blocked}.", blocked=found["blocked"])]
    return "\n".join(lines)


def token_spans(found: dict[str, Any]) -> dict[str, Any]:
    """{"value": texts with what becomes of them, "color_map"}, of a HighlightedText."""
    kinds = {kind: str(say(name)) for kind, name in _KINDS.items()}  # keys of JSON: no subclass of str
    spans: list[tuple[str, str | None]] = []
    for row in found["shown"]:
        spans.append((say("row {row} · {tokens:,} tokens", **row) + "\n", None))
        spans += [(span["text"], kinds[span["kind"]]) for span in row["spans"]]
        spans.append(("\n\n", None))
    return {"value": spans, "color_map": {kinds[kind]: colour for kind, colour in _COLOURS.items()}}
