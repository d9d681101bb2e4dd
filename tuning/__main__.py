"""python -m tuning: the fine-tuning side from the shell."""

import sys

from prompts.commands import main
from tuning.cli import data, proof, training

COMMANDS = data.COMMANDS | training.COMMANDS | proof.COMMANDS

if __name__ == "__main__":
    sys.exit(main("tuning", COMMANDS, sys.argv[1:]))
