"""Sharing the processor with a training: who answers takes one core while a training or a ladder works on this machine.

Two libraries that each spin on all cores, waiting for threads that the other keeps from running, are twenty times slower together.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from filelock import FileLock, Timeout

from prompts.home import device_lock

YIELDING = {"GOMP_SPINCOUNT": "1000"}  # for a training where others ask meanwhile: its threads sleep sooner


def at_work() -> bool:
    """Does another process have this machine's device?"""
    try:
        with FileLock(device_lock()).acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def giving_way(function: Callable[..., Any]) -> Callable[..., Any]:
    """An `on_device` wrapper (prompts/backends/__init__.py) for the process that answers beside trainings."""
    if inspect.isgeneratorfunction(function):

        def streaming(*args: Any, **more: Any) -> Iterator[Any]:
            _take_cores()
            yield from function(*args, **more)

        return functools.wraps(function)(streaming)

    def plain(*args: Any, **more: Any) -> Any:
        _take_cores()
        return function(*args, **more)

    return functools.wraps(function)(plain)


@functools.cache
def _all_cores() -> int:
    import torch

    return torch.get_num_threads()


def _take_cores() -> None:
    """One core where a training is at work, else as many as torch took at first."""
    import torch

    cores = _all_cores()
    torch.set_num_threads(1 if at_work() else cores)
