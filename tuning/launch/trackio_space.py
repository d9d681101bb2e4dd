"""The child process that brings a project of Trackio to a Space of the visitor's own; settings and token come as JSON on
standard input. trackio takes the token from huggingface_hub's one place for it, which in this process alone is the visitor's.
"""

import json
import os
import sys
from typing import Any


def main() -> int:
    given = json.load(sys.stdin)
    os.environ["TRACKIO_DIR"] = given["folder"]
    from huggingface_hub.utils import _auth

    _auth._get_token_from_environment = lambda: given["token"]
    import trackio

    try:
        print(sent(trackio, given))
    except BaseException as error:
        print(f"{type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        return 1
    return 0


def sent(trackio: Any, given: dict[str, str]) -> str:
    """The Space's address. A new Space is private."""
    space = trackio.sync(given["project"], space_id=given["space"], private=True)
    return f"https://huggingface.co/spaces/{space}"


if __name__ == "__main__":
    sys.exit(main())
