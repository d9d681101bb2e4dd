"""Every test has a home of its own; the network stays off; real models are converted once for the whole session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.pop("HF_TOKEN", None)
if "PYTEST_XDIST_WORKER" in os.environ:  # several share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SHARED = Path(__file__).parents[2] / "shared"
SESSION_MODELS = Path(__file__).parents[1] / ".cache" / "models"  # kept between sessions: a conversion takes 20 s


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PROMPT_OR_TUNE_HOME that knows the models converted before."""
    folder = tmp_path / "home"
    SESSION_MODELS.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    (folder / "models").symlink_to(SESSION_MODELS)
    monkeypatch.setenv("PROMPT_OR_TUNE_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return folder


@pytest.fixture
def embedded() -> str:
    """The real embedded model; skips with the command where its wheel is missing."""
    from prompts.models import EMBEDDED, EMBEDDED_COMMAND, embedded_folder, embedded_installed

    if not embedded_installed():
        pytest.skip(f"the embedded model is not installed: {EMBEDDED_COMMAND}")
    embedded_folder()
    return EMBEDDED


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Llama with random weights, a byte-pair tokenizer and a chat template, as a folder."""
    from tests.tiny import tiny_llama

    return str(tiny_llama(tmp_path_factory.mktemp("tiny") / "llama"))


def shared(name: str) -> Path:
    """A file of ../shared/data; skips where it is absent."""
    path = SHARED / "data" / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Hub on loopback; tokens: hf_writer, hf_reader, hf_other."""
    from tests.hub_server import Server

    with Server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def chromium() -> str:
    """The path of a Chromium; skips loudly without one, and fails under CI."""
    found = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if not found:
        message = "no Chromium: apt-get install -y chromium"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return str(found)


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, for all browser tests."""
    from tests.serving import serving

    folder = tmp_path_factory.mktemp("home")
    SESSION_MODELS.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(SESSION_MODELS)
    with serving(folder) as found:
        yield found


@pytest.fixture
def browser(chromium: str) -> Iterator[Any]:
    """A real Chromium."""
    from playwright.sync_api import expect, sync_playwright

    from tests.screenshots import PATIENCE

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, url: str) -> Any:
    """The app in a window of 1440 pixels; `faults` are its console's."""
    from tests.screenshots import opened

    return opened(browser, url, viewport={"width": 1440, "height": 900})
