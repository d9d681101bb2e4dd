"""The Hub: whose token may do what, and its refusals as sentences."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.home import shared_here
from prompts.words import later


def hub_api(token: str | None) -> Any:
    """The Hub's client for the caller. Raises UserError where a Space's visitor gave no token, or a token that cannot be one."""
    from huggingface_hub import HfApi

    if token is None and shared_here():
        raise UserError("sign in with Hugging Face, or give a token with write access", field="token")
    if token is not None and not token.isascii():
        raise UserError("a token has no such characters; copy it again", field="token")
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)


_STATUS = later({
    401: "the Hub does not know the token; sign in again, or make a new token with write access",
    403: "the token may not write to {repo}; use a token with write access to that owner",
    404: "the Hub does not find {repo}: it was removed or renamed meanwhile, or the token may not see it; nothing is lost",
    409: "{repo} is being changed by another push; nothing is lost, try again",
    412: "{repo} changed meanwhile; nothing is lost, try again",
    429: "the Hub asks to wait (too many requests); try again in some minutes",
})  # fmt: skip


@contextmanager
def hub_refusals(repo: str) -> Iterator[None]:
    """Turns the Hub's refusals into sentences."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HFValidationError as error:
        raise UserError(
            "{repo!r} is not a valid name: {reason}", repo=repo, reason=str(error).splitlines()[0], field="repo_id"
        ) from None
    except LocalTokenNotFoundError:
        raise UserError("no token: run `hf auth login`, set HF_TOKEN, or give one", field="token") from None
    except HfHubHTTPError as error:
        raise _refusal(repo, error) from None
    except (json.JSONDecodeError, KeyError) as error:
        raise WorldError(
            "the Hub's answer cannot be read ({value}); nothing is lost, try again", value=str(error)[:80]
        ) from None
    except (OfflineModeIsEnabled, OSError) as error:
        raise WorldError(
            "the Hub cannot be reached: {value}; nothing is lost, try again later", value=str(error)[:200]
        ) from None
    except Exception as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) else error  # how the client wraps a broken upload
        if isinstance(cause, HfHubHTTPError):
            raise _refusal(repo, cause) from None
        if "httpx" not in type(cause).__module__:
            raise
        raise WorldError(
            "the connection to the Hub broke: {value}; nothing is lost, try again", value=str(cause)[:200]
        ) from None


def _refusal(repo: str, error: Any) -> UserError | WorldError:
    status = error.response.status_code if error.response is not None else 0
    if status in (401, 403):
        return UserError(_STATUS[status], repo=repo, field="token")
    if status in _STATUS:
        return WorldError(_STATUS[status], repo=repo)
    if status >= 500 or status == 0:
        return WorldError("the Hub failed (status {status}); nothing is lost, try again later", status=status)
    return WorldError(
        "the Hub refused (status {status}): {value}", status=status, value=error.server_message or str(error)[:200]
    )
