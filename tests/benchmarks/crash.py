"""The app killed in the middle of everything: python -m tests.benchmarks.crash

The app as on one's own machine, with the embedded model. A training works, another waits in line, a ladder waits behind them, data
was uploaded, a prompt saved, and questions are being answered when the app is killed (SIGKILL) and started again. Prints what of
that was there afterwards, and how the works ended: all of them have to finish without being asked to.
"""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

from tests.benchmarks.visitors import app_process
from tests.conftest import SESSION_MODELS
from tests.serving import serving
from tuning.work import ACTIVE

RUN = {"num_train_epochs": 1, "max_length": 128, "sample_rows": 0}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to(SESSION_MODELS)
        rows = home / "mine.csv"
        rows.write_text("text,label\n" + "".join(f"row {n},{'red' if n % 2 else 'blue'}\n" for n in range(60)))
        with serving(home) as url:
            found = begun(Client(url, verbose=False), rows)
            process = app_process(url)
            os.kill(process.pid, signal.SIGKILL)
        with serving(home) as url:
            app = Client(url, verbose=False)
            runs = {run["run"] for run in app.predict(api_name="/list_runs")}
            print(f"after the crash: {len(runs & set(found['runs']))} of {len(found['runs'])} runs, upload "
                  f"{'there' if is_there(app, found['data']) else 'LOST'}, prompt "
                  f"{'there' if app.predict(name='mine', api_name='/load_prompt') else 'LOST'}")  # fmt: skip
            for run in found["runs"]:
                print(f"  run {run}: {wait(lambda r=run: app.predict(run=r, api_name='/run_status'))}")
            print(f"  ladder: {wait(lambda: app.predict(ladder=found['ladder'], api_name='/ladder_status'))}")


def begun(app: Client, rows: Path) -> dict[str, Any]:
    """Everything that the app has accepted when it is killed."""
    first = app.predict(file=handle_file(rows), api_name="/start_run", **RUN)
    wait(lambda: app.predict(run=first["run"], api_name="/run_status"))
    data = app.predict(file=handle_file(rows), api_name="/inspect_data")["source"]
    runs = [app.predict(data=data, api_name="/start_run", **RUN)["run"] for _ in range(2)]
    ladder = app.predict(run=first["run"], rungs=["zero_shot", "lora_short"], api_name="/ladder")["ladder"]
    app.predict(name="mine", technique_name="few_shot", settings={"task": "x"}, api_name="/save_prompt")
    for _ in range(4):
        threading.Thread(target=quietly, args=(app,), daemon=True).start()
    while app.predict(run=runs[0], api_name="/run_status")["status"] != "training":
        time.sleep(0.2)
    return {"runs": [first["run"], *runs], "ladder": ladder, "data": data}


def quietly(app: Client) -> None:
    """Asks until the app is gone."""
    while True:
        try:
            app.predict(task="Count to twenty.", max_new_tokens=64, api_name="/few_shot")
        except Exception:
            return


def is_there(app: Client, data: str) -> bool:
    return bool(app.predict(data=data, api_name="/inspect_data")["rows"])


def wait(state: Any) -> str:
    until = time.monotonic() + 300
    while (found := state())["status"] in ACTIVE and time.monotonic() < until:
        time.sleep(0.5)
    return str(found["status"])


if __name__ == "__main__":
    main()
