"""A process that has imported what a training needs and waits for one, as lines on standard input: command, token, a server's key.

It ends when the process that started it does, unless it was given something to do by then.
"""

import json
import os
import sys


def main() -> int:
    import peft  # noqa: F401
    from transformers import Trainer  # noqa: F401

    import tuning.samples
    import tuning.trainer  # noqa: F401
    from prompts.commands import main as command
    from tuning.__main__ import COMMANDS

    if not (line := sys.stdin.readline()):
        return 0
    given = json.loads(line)
    log = os.open(given["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return command("tuning", COMMANDS, given["words"])


if __name__ == "__main__":
    sys.exit(main())
