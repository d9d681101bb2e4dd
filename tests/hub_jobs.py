"""The Hub's Jobs on loopback: each Job is a process of this machine, in a folder of its own, with the environment it was given."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

HARDWARE = [
    {"name": name, "prettyName": pretty, "cpu": "4 vCPU", "ram": "15 GB", "ephemeralStorage": "50 GB", "accelerator": None,
     "unitCostMicroUSD": round(cost * 1e6), "unitCostUSD": cost, "unitLabel": "minute"}
    for name, pretty, cost in (("cpu-basic", "CPU Basic", 0.000167), ("t4-small", "Nvidia T4 - small", 0.006667))
]  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Job:
    id: str
    owner: str
    asked: dict[str, Any]
    process: Any
    created: str = field(default_factory=_now)
    began: float = field(default_factory=time.time)
    lines: list[str] = field(default_factory=list)
    stage: str = "RUNNING"
    ended: float = 0.0

    def document(self) -> dict[str, Any]:
        seconds = int((self.ended or time.time()) - self.began)
        return {
            "id": self.id, "createdAt": self.created, "command": self.asked["command"],
            "arguments": [], "environment": self.asked["environment"], "secrets": dict.fromkeys(self.asked.get("secrets", {}), ""),
            "flavor": self.asked["flavor"], "labels": self.asked.get("labels"), "status": {"stage": self.stage, "message": None},
            "durations": {"schedulingSecs": 1, "runningSecs": seconds, "totalSecs": seconds + 1},
            "owner": {"id": "1", "name": self.owner, "type": "user"},
        }  # fmt: skip


class Jobs:
    """`keep` finishes with the server."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    async def hardware(self, _: Request) -> Response:
        return JSONResponse(HARDWARE)

    def start(self, owner: str, asked: dict[str, Any]) -> Job:
        folder = tempfile.mkdtemp(prefix="job-")
        bin_folder = str(Path(sys.executable).parent)
        environment = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": folder, "HF_HOME": f"{folder}/hf", "HF_HUB_DISABLE_XET": "1",
            "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1", **asked["environment"], **asked.get("secrets", {}),
        }  # fmt: skip
        process = subprocess.Popen(asked["command"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        job = Job(f"{len(self.jobs) + 1:024x}", owner, asked, process)
        self.jobs[job.id] = job
        threading.Thread(target=self._watch, args=(job,), daemon=True).start()
        return job

    def _watch(self, job: Job) -> None:
        timer = threading.Timer(job.asked.get("timeoutSeconds", 1800), self.kill, (job, "ERROR"))
        timer.daemon = True
        timer.start()
        for line in job.process.stdout:
            job.lines.append(line.rstrip("\n"))
        code = job.process.wait()
        timer.cancel()
        if job.stage == "RUNNING":
            job.stage = "COMPLETED" if code == 0 else "ERROR"
        job.ended = time.time()

    def kill(self, job: Job, stage: str) -> None:
        job.stage = stage
        os.killpg(job.process.pid, 9)

    def logs(self, job: Job) -> Response:
        def lines() -> Iterator[str]:
            told = 0
            while not job.ended or told < len(job.lines):
                for line in job.lines[told:]:
                    yield f"data: {json.dumps({'data': line, 'timestamp': _now()})}\n\n"
                    told += 1
                time.sleep(0.05)

        return StreamingResponse(lines(), media_type="text/event-stream")
