"""The process of a forecast: a child of the app, which gets settings and token as JSON on standard input and writes the forecast
to standard output, or a worker of ZeroGPU.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

STAGES = "stages.txt"  # in its home: how many are done, of how many


def main() -> int:
    given = json.load(sys.stdin)
    from prompts.errors import AppError, UserError
    from prompts.words import dumps

    try:
        document = measured_apart(given)
    except AppError as error:
        print(dumps({"error": error.sentence(), "user": isinstance(error, UserError)}))
        return 0
    print(dumps(document))
    return 0


def measured_apart(given: dict[str, Any]) -> dict[str, Any]:
    """The forecast, in a process that does nothing else: its home is `given["home"]`, of which nothing is kept.

    Raises UserError while a training has the device: the figures would be wrong.
    """
    os.environ["PROMPT_OR_TUNE_HOME"] = given["home"]
    from filelock import FileLock, Timeout

    from prompts.errors import UserError
    from prompts.home import LOCAL, write_whole
    from prompts.rows import stored
    from prompts.settings import build
    from tuning import run as runs
    from tuning.data.columns import Columns
    from tuning.execute import explained
    from tuning.forecast import steps_measured
    from tuning.recipe import Recipe

    stages = Path(given["home"]) / STAGES
    table = stored(Path(given["home"]), given["name"], given["columns_of_rows"])
    run = runs.create(LOCAL, table, build(Recipe, given["recipe"]), build(Columns, given["columns"]))
    try:
        with FileLock(given["lock"]).acquire(timeout=0.5):  # who looks whether it is free has it for a moment
            return steps_measured(run, given["token"], lambda done, of: write_whole(stages, f"{done} {of}"))
    except Timeout:
        raise UserError(
            "a training is at work on this device; forecast when it is done, or the figures would be wrong"
        ) from None
    except (RuntimeError, OSError, MemoryError) as error:
        raise explained(error) from error


if __name__ == "__main__":
    sys.exit(main())
