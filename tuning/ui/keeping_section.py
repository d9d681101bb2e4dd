"""Your data in this app: how much it is, how long it is kept, and a button that removes it."""

from inspect import Parameter
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.ui.forms import endpoint, listen
from prompts.ui.progress import duration
from prompts.ui.visitor import Caller
from prompts.uploads import delete_upload, uploads
from prompts.words import later, say
from tuning.keeping import forget, my_data
from tuning.usage import check_admin, usage

KINDS = later({  # folders of an owner, in words
    "cache": "cached replies and tokens", "distilled": "distilled data", "experiments": "comparisons", "ladders": "ladders",
    "monitor": "watched models", "prompts": "saved prompts", "runs": "runs", "sweeps": "sweeps", "trackio": "tracked projects",
    "trees": "trees of versions", "uploads": "uploads",
})  # fmt: skip


def kind(folder: str) -> str:
    return say(KINDS.get(folder, folder))


def sentence(found: dict[str, Any]) -> str:
    """What is kept, as Markdown."""
    kept = ", ".join(f"{count} {kind(name)}" for name, count in found["kept"].items() if count) or say("nothing")
    quotas = found["quotas"]
    size = f"{found['bytes'] / 1_000_000:,.1f} MB" + (
        say(" of {stored_mb:,} MB", **quotas) if quotas["stored_mb"] else ""
    )
    forever = say("It stays until you delete it.")
    days = say("What is not changed for {days} days is removed.", **quotas) if quotas["days"] else forever
    return f"**{size}**: {kept}. {days}"


def use(found: dict[str, Any]) -> str:
    """An app's use, as Markdown."""
    device, line = found["device"], found["line"]
    rows = "".join(
        f"\n| {one['visitor']} | {one['bytes'] / 1_000_000:,.1f} | {one['at_work']} | {one['device_seconds'] / 60:,.1f} |"
        for one in found["visitors"]
    )
    head = say("| Visitor | MB | At work | Device, minutes in 24 h |")
    table = f"\n\n{head}\n|---|---:|---:|---:|{rows}" if rows else ""
    return say(
        "Device: **{now}**. In line: {waiting}. Disk: {free_gb:,.1f} GB free. Visitors who keep something: {visitors}.",
        now=_work(device) if device else say("free"), waiting="; ".join(map(_work, line)) or say("nobody"),
        free_gb=found["free_gb"], visitors=len(found["visitors"]),
    ) + table  # fmt: skip


def _work(one: dict[str, Any]) -> str:
    text = say("{kind} of {visitor}", kind=kind(one["kind"]), visitor=one["visitor"])
    left = one["remaining_seconds"]
    return text if left is None else text + say(", {duration} to go", duration=duration(left))


class KeepingSection:
    """An accordion below all tabs."""

    def __init__(self, visitor: Any) -> None:
        with gr.Accordion("Your data in this app", open=False):
            self.said = gr.Markdown("", elem_classes="quiet")
            with gr.Row():
                self.look = gr.Button("What is kept of me?", size="md", scale=0, min_width=180)
                self.sure = gr.Checkbox(label="Yes, all of it: data, runs, prompts, ladders", min_width=280,
                                        info="Nothing of it comes back.")  # fmt: skip
                self.delete = gr.Button("Delete everything of mine", variant="stop", size="md", scale=0, min_width=220)
            with gr.Row():
                self.data = gr.Dropdown(
                    [],
                    label="Data that you brought",
                    min_width=280,
                    info="Runs keep their copy of the rows they learned from.",
                )
                self.drop = gr.Button("Delete this data", size="md", scale=0, min_width=160)
        with gr.Accordion("Use of this app (for its owner)", open=False):
            self.used = gr.Markdown("", elem_classes="quiet")
            self.owner = gr.Button("Show the use", size="md", scale=0, min_width=140)
        listen(self.owner.click, _usage, visitor, [], self.used, name="ui_usage")
        listen(self.look.click, _looked, visitor, [], [self.said, self.data], name="ui_my_data")
        listen(self.data.focus, lambda who: gr.Dropdown(choices=uploads(who.owner)), visitor, [], self.data, name="ui_my_uploads",
               show_progress="hidden")  # fmt: skip
        listen(self.drop.click, _dropped, visitor, [self.data], [self.said, self.data], name="ui_delete_data")
        listen(self.delete.click, self._delete, visitor, [self.sure], [self.said, self.sure], name="ui_delete_my_data")

    def _delete(self, who: Caller, sure: bool) -> list[Any]:
        if not sure:
            raise UserError("tick the box first: nothing of it comes back")
        gone = forget(who.owner)
        return [say("Removed: {bytes:,.1f} MB. Reload the page to start anew.", bytes=gone["bytes"] / 1000000), False]


def _looked(who: Caller) -> list[Any]:
    return [sentence(my_data(who.owner)), gr.Dropdown(choices=uploads(who.owner), value=None)]


def _dropped(who: Caller, source: str | None) -> list[Any]:
    if not source:
        raise UserError("choose the data first")
    delete_upload(who.owner, source)
    left, choices = _looked(who)
    return [say("Deleted. If it was your task, choose another in the first tab.") + "\n\n" + left, choices]


def _usage(who: Caller) -> str:
    check_admin(who.owner)
    return use(usage())


def publish_keeping_endpoints() -> None:
    """Adds the endpoints to the current Blocks."""
    endpoint(None, _use, name="usage", personal=True,
             text="For this app's owner: what each visitor keeps and has at work, who has the device, who waits.")  # fmt: skip
    endpoint(None, lambda who: my_data(who.owner), name="my_data", personal=True,
             text="What this app keeps of you: bytes, how many runs, uploads and so on, and the quotas.")  # fmt: skip
    endpoint(None, lambda who, data: delete_upload(who.owner, data), name="delete_data", personal=True,
             extra={"data": (str, Parameter.empty, "The source, as /inspect_data returns it.")},
             text="Delete data that you brought; runs keep their copy of the rows that they learned from.")  # fmt: skip
    endpoint(None, _forget, name="delete_my_data", personal=True,
             extra={"sure": (bool, False, "true: all of it goes, and nothing of it comes back.")},
             text="Stop what is at work and delete everything that this app keeps of you.")  # fmt: skip


def _use(who: Caller) -> dict[str, Any]:
    check_admin(who.owner)
    return usage()


def _forget(who: Caller, sure: bool) -> dict[str, Any]:
    if not sure:
        raise UserError("set sure to true: nothing of it comes back", field="sure")
    return forget(who.owner)
