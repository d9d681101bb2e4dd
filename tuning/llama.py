"""llama.cpp in this process, by way of its package xllamacpp where that is installed: an OpenAI-compatible server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prompts.backends import Sampling
from prompts.backends.remote import RemoteBackend
from prompts.errors import WorldError
from prompts.messages import Prompt

WINDOW = 4096


@contextmanager
def llama_server(file: Path, key: str, **more: Any) -> Iterator[str]:
    """Serves `file` on loopback; yields the base URL, ending in /v1. Raises WorldError where llama.cpp cannot read it."""
    import xllamacpp  # type: ignore[import-untyped]

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.api_keys = [key]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = WINDOW
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.verbosity = -1
    for name, value in more.items():
        setattr(parameters, name, value)
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError:
        raise WorldError("llama.cpp cannot read {name}; take the merged form of this base", name=file.name) from None
    yield f"{server.listening_address}/v1"
    del server


def asked(file: Path, prompts: list[Prompt], tokens: int) -> Iterator[str]:
    """The greedy answer to each prompt, one at a time."""
    key = "sk-loopback"
    with llama_server(file, key) as url:
        backend = RemoteBackend(url, "model", key)
        for prompt in prompts:
            yield next(backend.batch([prompt], Sampling(max_new_tokens=tokens), threading.Event()))[1].text
