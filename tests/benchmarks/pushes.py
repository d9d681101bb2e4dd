"""Every fault at every request of a push: nothing lost, no false "published", no second repository.

python -m tests.benchmarks.pushes
"""

import json
import os
import tempfile
import time
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {
            "PROMPT_OR_TUNE_HOME": scratch,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_VERBOSITY": "error",
            "HF_HOME": f"{scratch}/hf",
        }
        print(json.dumps(measured(Path(scratch)), indent=1))


def measured(scratch: Path) -> dict[str, object]:
    """{"requests", "faults", "pushes", "refused", "lost", "false_published", "repositories"}."""
    from tests.hub_server import Server
    from tests.tiny import tiny_llama
    from tests.tuning.test_publish import FAULTS, in_this_process, pushed_with
    from tests.tuning.test_train import COLUMNS, executed, recipe, table
    from tuning import run as runs
    from tuning.launch import apart
    from tuning.publish import Publish, publish

    apart.apart = in_this_process  # type: ignore[assignment]  # which saves hours
    time.sleep = lambda seconds: None  # the client waits before it tries again
    run = executed(runs.create("local", table(), recipe(str(tiny_llama(scratch / "llama"))), COLUMNS))
    weights = run.folder / "adapter" / "adapter_model.safetensors"
    before, settings = weights.read_bytes(), Publish(repo_id="x", data=True)
    found = {"pushes": 0, "refused": 0, "lost": 0, "false_published": 0}
    with Server() as hub:
        os.environ["HF_ENDPOINT"] = hub.url
        requests = pushed_with(run, hub, settings, -1, 0)
        for at in range(requests):
            for status in FAULTS:
                try:
                    found["refused"] += pushed_with(run, hub, settings, at, status) < 0
                except AssertionError:
                    found["false_published"] += 1
                found["pushes"] += 1
                found["lost"] += weights.read_bytes() != before
        hub.fault = lambda line: None
        publish(run, settings, token="hf_writer")
        return {
            "requests": requests,
            "faults": [status or "dropped" for status in FAULTS],
            **found,
            "repositories": sorted(hub.repos),
        }


if __name__ == "__main__":
    main()
