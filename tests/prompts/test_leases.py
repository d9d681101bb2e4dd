"""A lent device, in one process: the platform's contract without its workers, which tests/test_zerogpu.py has."""

import pickle
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import NotFound, UserError, WorldError
from prompts.leases import Leases, LostLease, Size
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.slices import SIZES, lease_seconds


class Refusal(Exception):
    """As the platform refuses: a title and a message."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title, self.message = title, message


class Platform:
    """`lend` as spaces.GPU: what goes in and out is pickled, and every grant is noted."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.refusal: Exception | None = None
        self.lose = 0  # so many calls are cut off after their first value

    def lend(self, duration: Callable[..., float]) -> Any:
        def around(function: Callable[..., Any]) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                self.asked.append(duration(*args, **more))
                if self.refusal:
                    raise self.refusal
                return function(*pickle.loads(pickle.dumps(args)), **more)

            def stream(*args: Any, **more: Any) -> Iterator[Any]:
                cut, self.lose = self.lose > 0, max(0, self.lose - 1)
                for value in call(*args, **more):
                    yield pickle.loads(pickle.dumps(value))
                    if cut:
                        raise Refusal("ZeroGPU worker error", "GPU task aborted")

            return stream if "generator" in str(function) or "streaming" in function.__code__.co_name else call

        return around


def answers(model: str, batches: list[list[int]]) -> Iterator[int]:
    for batch in batches:
        time.sleep(0.02)
        yield from batch


def length(model: str, text: str) -> int:
    if model == "wrong":
        raise UserError("shorten it", field="text")
    if model == "absent":
        raise NotFound("there is no run")
    if model == "world":
        raise WorldError("the Hub refused")
    if model == "bug":
        raise KeyError("x")
    return len(text)


def lent(longest: float = 60) -> tuple[Platform, Leases]:
    platform = Platform()
    sizes: dict[Any, Size] = {answers: Size(lambda model, batches: len(batches), parts_at=1), length: Size(), **SIZES}
    return platform, Leases(platform.lend, sizes, longest)


def test_a_call_asks_for_what_it_took_before_and_is_cut_into_what_fits() -> None:
    platform, on_device = lent()
    assert list(on_device(answers)("a", [[1, 2], [3], [4], [5, 6]])) == [1, 2, 3, 4, 5, 6], "nothing lost, in order"
    assert platform.asked == [60, 10], "what was never measured is tried with one batch; then the rest fits"
    platform.asked.clear()
    on_device._known[answers, "slow"] = (5.0, 15.0)  # seconds to begin, seconds a batch
    assert list(on_device(answers)("slow", [[n] for n in range(5)])) == [0, 1, 2, 3, 4]
    assert platform.asked == [52, 10], "two of 15 s fit into a minute with a half to spare; afterwards it knows better"
    assert lease_seconds(on_device) == 60
    platform.lose = 2
    assert list(on_device(answers)("a", [[1, 2], [3]])) == [1, 2, 3], (
        "a part whose grant is lost is asked again, and told once"
    )
    platform.lose = 9
    with pytest.raises(LostLease):
        list(on_device(answers)("a", [[1, 2], [3]]))


@pytest.mark.parametrize(("model", "kind", "text"), [
    ("wrong", UserError, "^text: shorten it$"), ("absent", NotFound, "^there is no run$"),
    ("world", WorldError, "^the Hub refused$"), ("bug", RuntimeError, "KeyError"),
])  # fmt: skip
def test_a_failure_crosses_as_itself(model: str, kind: type[Exception], text: str) -> None:
    _, on_device = lent()
    assert on_device(length)("fine", "abc") == 3
    with pytest.raises(kind, match=text) as found:
        on_device(length)(model, "abc")
    assert type(found.value) is kind and getattr(found.value, "field", "") == ("text" if model == "wrong" else "")


@pytest.mark.parametrize(("title", "message", "kind", "text"), [
    ("ZeroGPU worker error", "GPU task aborted", LostLease, "taken away in the middle"),
    ("ZeroGPU quota exceeded", "You have 3s left.", WorldError, "You have 3s left. Go on when there is more"),
    ("ZeroGPU queue timeout", "No GPU", WorldError, "no GPU was free within a minute"),
    ("ZeroGPU illegal duration", "(90s) is larger than the maximum", WorldError, "PROMPT_OR_TUNE_LEASE_SECONDS"),
    ("ZeroGPU client error", "Expired ZeroGPU proxy token", WorldError, "reload the page, then go on"),
    ("ZeroGPU worker error", "PicklingError", WorldError, "the GPU cannot be had: PicklingError"),
])  # fmt: skip
def test_what_the_platform_refuses_is_a_sentence(title: str, message: str, kind: Any, text: str) -> None:
    platform, on_device = lent()
    platform.refusal = Refusal(title, message)
    with pytest.raises(kind, match=text.replace("(", r"\(")):
        on_device(length)("a", "abc")
    platform.refusal = ValueError("not the platform's")
    with pytest.raises(ValueError, match="not the platform's"):
        on_device(length)("a", "abc")


@pytest.mark.slow
def test_slices_end_as_one_piece_and_grants_lost_without_a_step_end_it(tiny: str) -> None:
    settings = recipe(tiny, num_train_epochs=2, per_device_train_batch_size=1, gradient_accumulation_steps=1)
    whole = executed(runs.create("local", table(), settings, COLUMNS))
    platform, on_device = lent(longest=6.6)  # of which 6 are for the platform and a checkpoint
    run = runs.create("local", table(), settings, COLUMNS)
    platform.lose = 2
    executed(run, on_device=on_device)
    told = [event["event"] for event in run.events()]
    assert told.count("lease_lost") == 2 and told.count("slice") >= 1 and told[-1] == "finished"
    name = "adapter/adapter_model.safetensors"
    assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    last = [event for event in run.events() if event["event"] == "step"]
    assert all(a["elapsed"] <= b["elapsed"] for a, b in pairwise(last)), "one clock for all slices"
    unlucky = runs.create("local", table(), settings, COLUMNS)
    platform.refusal = Refusal("ZeroGPU worker error", "GPU task aborted")
    with pytest.raises(WorldError, match="3 grants of the GPU were lost at step 0.*take a smaller batch"):
        executed(unlucky, on_device=on_device)
    platform.refusal = None
    assert executed(runs.find("local", unlucky.id).make_ready(), on_device=on_device).status()["state"] == "finished"


def test_who_cancels_between_two_slices_pays_for_no_third(tiny: str, tmp_path: Path) -> None:
    platform, on_device = lent(longest=6.6)
    run = runs.create("local", table(), recipe(tiny, num_train_epochs=9, per_device_train_batch_size=1), COLUMNS)
    from tuning.execute import execute

    for event in execute(run, on_device=on_device):
        if event["event"] == "slice":
            (run.folder / "cancel").touch()
    assert run.status()["state"] == "cancelled" and len(platform.asked) == 1
