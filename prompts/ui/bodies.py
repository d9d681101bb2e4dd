"""What a caller sends is taken only so large and so slowly, so that nobody holds the app's memory or connections."""

import asyncio
import json
from typing import Any

MOST = 20_000_000  # bytes of a call; files are uploaded, and have a limit of their own
SECONDS = 60.0  # for the whole of a call's body
IDLE = 30.0  # seconds between two pieces of a file


class BoundedBodies:
    """ASGI middleware: 413 for a body too large, 408 for one too slow; an upload that stalls is dropped."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
        elif scope["path"].endswith("/upload"):
            await self.app(scope, _impatient(receive), send)
        else:
            try:
                body = await asyncio.wait_for(_whole(receive), SECONDS)
            except TimeoutError:
                await _refuse(send, 408, f"the request took longer than {SECONDS:.0f} seconds to arrive")
                return
            if body is None:
                await _refuse(send, 413, f"a call may have {MOST // 1_000_000} MB; upload larger data as a file")
            else:
                await self.app(scope, _again(body, receive), send)


async def _whole(receive: Any) -> bytes | None:
    """The body; None for one that is too large. A caller who leaves in the middle has sent what came."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body first."""
    given = False

    async def receiving() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _impatient(receive: Any) -> Any:
    """A `receive` that takes a sender who says nothing for long as gone, until all has come."""
    ended = False

    async def receiving() -> Any:
        nonlocal ended
        if ended:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), IDLE)
        except TimeoutError:
            return {"type": "http.disconnect"}
        ended = not message.get("more_body", False)
        return message

    return receiving


async def _refuse(send: Any, status: int, why: str) -> None:
    body = json.dumps({"error": why, "detail": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
