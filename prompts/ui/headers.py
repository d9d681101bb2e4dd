"""Headers that tell a browser to be careful with what this app serves, and that it serves."""

from typing import Any

HEADERS = (
    (b"x-content-type-options", b"nosniff"),  # a file is what its type says
    (b"referrer-policy", b"same-origin"),  # no address of this app goes elsewhere
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
    # No plug-ins, no other base address; the Hub shows a Space in a frame of its own pages.
    (b"content-security-policy", b"object-src 'none'; base-uri 'self'; frame-ancestors 'self' https://huggingface.co https://*.hf.space"),
)  # fmt: skip
ALIVE = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html; charset=utf-8")]}


class SafeHeaders:
    """ASGI middleware that adds HEADERS to every answer; streams pass untouched.

    Whether the page is there (HEAD) is said without making it: Gradio asks so when it has started, and ends the app
    where the answer takes three seconds, as it may on a busy machine.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(h for h in HEADERS if h[0] not in known)]}
            await send(message)

        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("HEAD", "/"):
            await sending(ALIVE)
            await sending({"type": "http.response.body"})
        else:
            await self.app(scope, receive, sending if scope["type"] == "http" else send)
