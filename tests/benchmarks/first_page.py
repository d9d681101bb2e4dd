"""Time to the first page: the app against a bare Gradio "hello", both with the MCP server, in pairs.

python -m tests.benchmarks.first_page
"""

import statistics
import tempfile
import time
from pathlib import Path

from tests.serving import serving

HELLO = """
import gradio as gr

with gr.Blocks() as demo:
    gr.Textbox(label="Hello")

demo.launch(mcp_server=True)
"""
PAIRS = 5


def seconds(script: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with serving(Path(folder), script):
            return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder) / "hello.py"
        hello.write_text(HELLO)
        seconds(str(hello)), seconds("app.py")  # warm the file cache
        pairs = [(seconds("app.py"), seconds(str(hello))) for _ in range(PAIRS)]
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"first page: {ours:.2f} s, bare Gradio {bare:.2f} s, ratio {ratio:.2f} (median of {PAIRS} pairs)")


if __name__ == "__main__":
    main()
