"""The process that brings a project of Trackio to a Space of the visitor's own."""

import os
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.following import Progress
from tuning.launch.apart import Died, apart
from tuning.launch.process import environment


def send_to_space(project: str, folder: str, space: str, token: str | None) -> str:
    """The address of a Space that shows the project kept in a folder. Raises UserError without a token, WorldError as Trackio
    says.
    """
    if not token:
        raise UserError(
            "your token is needed to send figures to a Space: sign in, or give it", field="trackio_space_id"
        )
    given = {"project": project, "folder": folder, "space": space, "token": token}
    outside = {name: value for name, value in environment().items() if not name.startswith(("SPACE_", "SYSTEM"))}
    try:
        return str(apart(sent, given, env=outside)["url"])
    except Died as died:
        raise _refused(space, str(died)) from None


def sent(given: dict[str, Any], _tell: Progress) -> dict[str, Any]:
    """{"url"} of the "space", which is made private if it is new, that shows the "project" kept in "folder". Raises WorldError as
    Trackio says.

    trackio takes the token from huggingface_hub's one place for it, which in this process alone is the visitor's.
    """
    os.environ["TRACKIO_DIR"] = given["folder"]
    from huggingface_hub.utils import _auth

    _auth._get_token_from_environment = lambda: given["token"]
    import trackio

    try:
        space = trackio.sync(given["project"], space_id=given["space"], private=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        raise _refused(given["space"], reason) from error
    return {"url": f"https://huggingface.co/spaces/{space}"}


def _refused(space: str, reason: str) -> WorldError:
    return WorldError("Trackio could not send the figures to {space}: {reason}", space=space, reason=reason)
