"""Many visitors at once: python -m tests.benchmarks.visitors [visitors] [seconds]

The app as a Space on this machine, with the embedded model. Three trainings begin, which take turns; then every visitor (50, for
300 s) asks in every tab, looks at runs, compares prompts, inspects and previews data over HTTP, with pauses of about a second.
Prints what was answered, refused and wrong, how long calls took, the app's memory, and how the trainings ended.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.conftest import SESSION_MODELS
from tests.serving import serving
from tuning.work import ACTIVE

ASK = {"task": "Say hello.", "max_new_tokens": 8}
SAMPLE = {"data": "sample:word_problems"}
VARIANTS = {"variants": [{"name": "a", "technique": "few_shot", "settings": {**ASK, "task": "{{ question }}"}}]}
COMPARED = {**VARIANTS, "sample": "word_problems", "most_rows": 2}
RENDERED = {"name": "a", "technique": "few_shot", "settings": ASK}
MIX = (
    ("list_runs", {}, 16), ("my_data", {}, 4), ("list_prompts", {}, 4),
    ("few_shot", ASK, 4), ("contextual", {**ASK, "role": "A clock."}, 4), ("chain_of_thought", ASK, 2),
    ("iterative_refinement", ASK, 2), ("render_prompt", RENDERED, 4), ("compare_prompts", COMPARED, 1),
    ("inspect_data", SAMPLE, 2), ("preview_tokens", {**SAMPLE, "max_length": 128}, 1),
)  # fmt: skip
ASKING = {"few_shot", "contextual", "chain_of_thought", "iterative_refinement"}
STATUS = {"list_runs", "my_data", "list_prompts"}
TRAINERS = 3
PATIENCE = 120.0  # seconds for one answer


def call(client: httpx.Client, url: str, info: Any, name: str, given: dict[str, Any], visitor: str) -> dict[str, Any]:
    """The last document of a call; {"error": sentence} where it was refused."""
    values = [given.get(p["parameter_name"], p.get("parameter_default")) for p in info[f"/{name}"]["parameters"]]
    begun = client.post(f"{url}/gradio_api/call/{name}", json={"data": values, "session_hash": visitor})
    begun.raise_for_status()
    event, last = "", ""
    with client.stream("GET", f"{url}/gradio_api/call/{name}/{begun.json()['event_id']}") as reply:
        for line in reply.iter_lines():
            kind, _, text = line.partition(": ")
            event = text if kind == "event" else event
            last = text if kind == "data" and event in ("complete", "error", "generating") else last
    return {"error": last} if event == "error" else {"answer": json.loads(last)}


class Crowd:
    def __init__(self, url: str, seconds: float) -> None:
        self.url, self.until = url, time.monotonic() + seconds
        self.info = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"]
        self.took: dict[str, list[float]] = {name: [] for name, *_ in MIX}
        self.counts: Counter[str] = Counter()
        self.answered: Counter[int] = Counter()
        self.wrong: list[str] = []

    def visit(self, number: int) -> None:
        rng = random.Random(number)
        with httpx.Client(timeout=PATIENCE) as client:
            while time.monotonic() < self.until:
                name, given, _ = rng.choices(MIX, [weight for *_, weight in MIX])[0]
                started = time.perf_counter()
                try:
                    found = call(client, self.url, self.info, name, given, f"visitor{number}")
                except Exception as error:
                    self.counts["failed"] += 1
                    self.wrong.append(f"{name}: {type(error).__name__} {str(error)[:120]}")
                    continue
                self.took[name].append(time.perf_counter() - started)
                refused = "error" in found
                self.counts["refused" if refused else "answered"] += 1
                if refused and ("null" in found["error"] or "Traceback" in found["error"]):
                    self.wrong.append(f"{name}: no clear refusal: {found['error'][:120]}")
                self.answered[number] += not refused and name in ASKING
                time.sleep(rng.uniform(0.5, 1.5))


def app_process(url: str) -> psutil.Process:
    """The process that listens at an address of this machine."""
    port = int(url.rsplit(":", 1)[1])
    pid = next(
        c.pid for c in psutil.net_connections() if c.laddr and c.laddr.port == port and c.status == "LISTEN" and c.pid
    )
    return psutil.Process(pid)


def memory(url: str) -> float:
    """GB of the app's process and its children."""
    app = app_process(url)
    return sum(one.memory_info().rss for one in (app, *app.children(recursive=True))) / 1e9


def main(visitors: int = 50, seconds: float = 300) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "models").symlink_to(SESSION_MODELS)
        with serving(Path(folder), SYSTEM="spaces", SPACE_ID="ana/app", HF_HUB_OFFLINE="1") as url:
            crowd = Crowd(url, seconds)
            with httpx.Client(timeout=PATIENCE) as client:
                run = {**SAMPLE, "num_train_epochs": 1, "max_length": 128}
                begun = [call(client, url, crowd.info, "start_run", run, f"trainer{n}") for n in range(TRAINERS)]
                threads = [threading.Thread(target=crowd.visit, args=(number,)) for number in range(visitors)]
                for thread in threads:
                    thread.start()
                peak = 0.0
                while any(thread.is_alive() for thread in threads):
                    peak = max(peak, memory(url))
                    time.sleep(2)
                ends = [ended(client, crowd, one["answer"][0]["run"], f"trainer{n}") for n, one in enumerate(begun)]
    told(crowd, visitors, peak, ", ".join(ends))


def ended(client: httpx.Client, crowd: Crowd, run: str, visitor: str) -> str:
    """The last state of a run, for which ten minutes are waited."""
    for _ in range(600):
        state = call(client, crowd.url, crowd.info, "run_status", {"run": run}, visitor)["answer"][0]["status"]
        if state not in ACTIVE:
            break
        time.sleep(1)
    return str(state)


def told(crowd: Crowd, visitors: int, peak: float, training: str) -> None:
    total = sum(crowd.counts.values())
    print(f"{visitors} visitors: {total} requests, {dict(crowd.counts)}; refused {crowd.counts['refused'] / total:.1%}")
    status = [seconds for name in STATUS for seconds in crowd.took[name]]
    for name, took in {"status calls together": status, **crowd.took}.items():
        if len(took) > 1:
            p95 = statistics.quantiles(took, n=20)[-1]
            print(f"  {name}: {len(took)} calls, median {statistics.median(took):.2f} s, p95 {p95:.2f} s")
    print(
        f"  without any answer: {sum(not crowd.answered[n] for n in range(visitors))} visitors; peak memory {peak:.1f} GB"
    )
    print(f"  the trainings: {training}; wrong: {len(crowd.wrong)} {crowd.wrong[:5]}")


if __name__ == "__main__":
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    main(*(int(word) for word in sys.argv[1:3]))
