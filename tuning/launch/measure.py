"""The process of a forecast: a child of the app, or a worker of ZeroGPU."""

import os
from pathlib import Path
from typing import Any

from prompts.following import Progress, told_to_nobody


def measured_apart(given: dict[str, Any], tell: Progress = told_to_nobody) -> dict[str, Any]:
    """The forecast, in a process that does nothing else: its home is `given["home"]`, of which nothing is kept.

    Raises UserError while a training has the device: the figures would be wrong.
    """
    os.environ["PROMPT_OR_TUNE_HOME"] = given["home"]
    from filelock import FileLock, Timeout

    from prompts.errors import UserError
    from prompts.home import LOCAL
    from prompts.rows import stored
    from prompts.settings import build
    from tuning import run as runs
    from tuning.data.columns import Columns
    from tuning.execute import explained
    from tuning.forecast import steps_measured
    from tuning.recipe import Recipe

    table = stored(Path(given["home"]), given["name"], given["columns_of_rows"])
    run = runs.create(LOCAL, table, build(Recipe, given["recipe"]), build(Columns, given["columns"]))
    try:
        with FileLock(given["lock"]).acquire(timeout=0.5):  # who looks whether it is free has it for a moment
            return steps_measured(run, given["token"], tell)
    except Timeout:
        raise UserError(
            "a training is at work on this device; forecast when it is done, or the figures would be wrong"
        ) from None
    except (RuntimeError, OSError, MemoryError) as error:
        raise explained(error) from error
