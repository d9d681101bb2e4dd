"""Who is calling: one's own machine, a signed-in Hub account, or a secret in the browser."""

import hashlib
from dataclasses import dataclass
from typing import Any

from prompts.home import LOCAL, account_owner, shared_here

_MOCK = "mock-oauth-token-for-local-dev"  # what Gradio hands out where there is no sign-in


@dataclass(frozen=True)
class Caller:
    """`token` and `key` live for one call and are never stored."""

    owner: str
    token: str | None = None  # the caller's own Hub token
    key: str | None = None  # a model server's key
    shared: bool = False  # one of many that cannot be told apart: what belongs to one of them is shown to none


def caller(request: Any, oauth: Any, profile: Any = None, secret: str = "") -> Caller:
    """The caller of an event. On a Space: the account of its token or sign-in, else the browser's secret, else its session."""
    token = oauth.token if oauth and oauth.token != _MOCK else None
    headers = request.headers if request else {}
    token = token or headers.get("x-hf-token") or None
    key = headers.get("x-model-key") or None
    if not shared_here():
        return Caller(LOCAL, token, key)
    if name := (profile.username if profile else _account(token)):
        return Caller(account_owner(name), token, key)
    if headers.get("x-gradio-user") == "mcp":  # Gradio serves all MCP callers from one session
        return Caller("anon-mcp", token, key, shared=True)
    seed = secret or str(getattr(request, "session_hash", "") or "")
    if not seed:
        return Caller("anon-nobody", token, key, shared=True)
    return Caller("anon-" + hashlib.sha256(seed.encode()).hexdigest()[:40], token, key)


def _account(token: str | None) -> str | None:
    """The name behind a token. Raises WorldError or UserError where the Hub does not know it."""
    if not token:
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    from prompts.errors import UserError, WorldError

    if not token.isascii():
        raise UserError("the Hub does not know this token", field="token")
    try:
        return str(HfApi(token=token).whoami(cache=True)["name"])
    except HfHubHTTPError:
        raise UserError("the Hub does not know this token", field="token") from None
    except Exception as error:
        if "httpx" not in type(error).__module__:
            raise
        raise WorldError("the Hub cannot be asked whose token this is; try again later") from None
