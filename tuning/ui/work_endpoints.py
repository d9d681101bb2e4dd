"""The endpoints that runs, sweeps and ladders have alike: where one stands, and to stop it, go on with it and remove it."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from prompts.ui.forms import endpoint
from prompts.ui.visitor import Caller
from tuning.work import Work


@dataclass(frozen=True)
class Kind:
    """`what` it is called; how it is found, shown and begun; and what the API page says of the id and of each endpoint."""

    what: str
    find: Callable[[str, str], Work]
    snapshot: Callable[[Any], dict[str, Any]]
    begin: Callable[[Caller, Any], Any]
    id: str
    status: str
    cancel: str
    resume: str
    delete: str

    @property
    def given(self) -> dict[str, tuple[Any, Any, str]]:
        """The parameter that names one."""
        return {self.what: (str, Parameter.empty, self.id)}


def work_endpoints(kind: Kind) -> None:
    """Adds /<what>_status, /cancel_<what>, /resume_<what> and /delete_<what> to the current Blocks."""

    def found(who: Caller, given: dict[str, str]) -> Work:
        return kind.find(who.owner, given[kind.what])

    def status(who: Caller, **given: str) -> dict[str, Any]:
        return kind.snapshot(found(who, given))

    def cancel(who: Caller, **given: str) -> dict[str, Any]:
        work = found(who, given)
        work.ask_to_stop()
        return kind.snapshot(work)

    def resume(who: Caller, **given: str) -> dict[str, Any]:
        work = found(who, given).make_ready()
        kind.begin(who, work)
        return kind.snapshot(work)

    def delete(who: Caller, **given: str) -> dict[str, Any]:
        found(who, given).delete()
        return {**given, "status": "deleted"}

    for name, run, text in (
        (f"{kind.what}_status", status, kind.status), (f"cancel_{kind.what}", cancel, kind.cancel),
        (f"resume_{kind.what}", resume, kind.resume), (f"delete_{kind.what}", delete, kind.delete),
    ):  # fmt: skip
        endpoint(None, run, name=name, personal=True, extra=kind.given, text=text)
