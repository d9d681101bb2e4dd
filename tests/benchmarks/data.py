"""Inspecting many rows: seconds, peak memory, and what was found of the near duplicates that were planted.

    python -m tests.benchmarks.data [rows]

100,000 rows by default, in a process of its own each: the whole inspection, and creating a run's split. One row in twenty
is a copy of an earlier one with a word changed, a word less, or another case.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tuning.test_doctor import edited, sentences

WORK = {
    "inspect": """
from tuning.data.inspect import examined
document = examined(read_table(path), Columns(input=("text",), output="label"))
found = {one["finding"]: one for one in document["findings"]}
print("rows", document["rows"], {kind: one["count"] for kind, one in found.items()})
""",
    "near duplicates": """
import json
from tuning.data.doctor import examine
planted = set(json.loads(path.with_name("planted.json").read_text()))
found = examine(read_table(path), Columns(input=("text",), output="label"))
rows = {row for one in found if one.kind in ("near_duplicates", "duplicates") for row in one.rows}
print(f"recall {len(rows & planted) / len(planted):.3f}, precision {len(rows & planted) / len(rows):.3f}")
""",
    "split": """
from tuning.data.columns import conversations
from tuning.data.split import split_table
table, columns = read_table(path), Columns(input=("text",), output="label")
parts = split_table(table, conversations(table.rows, columns), columns, 0.2, 0.1, 0)
print({name: len(numbers) for name, numbers in parts.document().items()})
""",
}
HEAD = """
import sys, time
from pathlib import Path
from prompts.rows import read_table
from tuning.data.columns import Columns
path, started = Path(sys.argv[1]), time.perf_counter()
"""
TAIL = """
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(f"{time.perf_counter() - started:.1f} s, peak {int(peak.split()[1]) / 1e6:.2f} GB")
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write(path, count)
        for name, work in WORK.items():
            done = subprocess.run(
                [sys.executable, "-c", HEAD + work + TAIL, path], capture_output=True, text=True, check=True
            )
            print(f"{name}: {' '.join(done.stdout.split())}")


def write(path: Path, count: int) -> None:
    rng = random.Random(0)
    texts = sentences(count)
    planted = [at + 11 for at in range(0, count - 20, 20)]
    for at in planted:
        texts[at] = edited(texts[at - 11], rng)
    with path.open("w") as file:
        file.writelines(json.dumps({"text": text, "label": "abcd"[at % 4]}) + "\n" for at, text in enumerate(texts))
    path.with_name("planted.json").write_text(json.dumps(planted))


if __name__ == "__main__":
    main()
