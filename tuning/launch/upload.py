"""The process that writes a folder to a repository of the Hub."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prompts.following import Progress


def uploaded(given: dict[str, Any], tell: Progress) -> dict[str, Any]:
    """{"revision"} of the one commit that adds the files of "folder" to "repo" and deletes "gone" from it; `tell` is told bytes.

    A file after the other, so that it is known how far the one at work is. Raises as `hub_refusals`.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    from tuning.hub import hub_refusals

    api, folder = HfApi(endpoint=given["endpoint"], token=given["token"]), Path(given["folder"])
    to = {"repo_id": given["repo"], "repo_type": given["kind"]}
    operations: list[Any] = [CommitOperationDelete(name) for name in given["gone"]]
    of, sent = sum(given["files"].values()), 0
    with hub_refusals(given["repo"]):
        for name, size in given["files"].items():
            file = CommitOperationAdd(name, folder / name)
            with _counted(lambda count, size=size, sent=sent: tell(sent + min(count, size), of)):  # type: ignore[misc]
                api.preupload_lfs_files(additions=[file], **to)
            sent += size
            tell(sent, of)
            operations.append(file)
        return {"revision": api.create_commit(operations=operations, commit_message=given["message"], **to).oid}


@contextmanager
def _counted(tell: Callable[[int], None]) -> Iterator[None]:
    """Tells what the Hub client's progress bars count within: an upload takes no class of bars as a download does, so the client's
    own is changed, which is for this process alone.
    """
    from huggingface_hub.utils.tqdm import tqdm

    before, most = tqdm.update, 0

    def update(bar: Any, n: float | None = 1) -> None:
        nonlocal most
        bar.n += n or 0
        most = max(most, int(bar.n))  # of a file there may be one for what is read and one for what travels
        tell(most)

    tqdm.update = update
    try:
        yield
    finally:
        tqdm.update = before
