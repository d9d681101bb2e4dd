"""`python -m tuning`, with FSDP on a CPU: accelerate switches it on for GPUs alone, torch has it for both. For tests.

accelerate launch --use_fsdp --fsdp_version 2 ... -m tests.fsdp_on_cpu train FILE ...
"""

import sys
from typing import Any

from accelerate.state import AcceleratorState, DistributedType

_init = AcceleratorState.__init__


def init(self: Any, *args: Any, fsdp_plugin: Any = None, **more: Any) -> None:
    _init(self, *args, fsdp_plugin=fsdp_plugin, **more)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin


if __name__ == "__main__":
    AcceleratorState.__init__ = init  # type: ignore[method-assign]
    from prompts.commands import main
    from tuning.__main__ import COMMANDS

    sys.exit(main("tuning", COMMANDS, sys.argv[1:]))
