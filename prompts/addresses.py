"""Where an app that others reach may connect to: public addresses only, looked up once and then kept to.

A name can be looked up twice with two answers, and a public server can send its caller on to a private one: both are closed by
checking every request, redirects too, and connecting to the very address that was checked.
"""

import importlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from prompts.errors import UserError, WorldError

LONGEST, MOST = 600.0, 50_000_000  # seconds and bytes of one answer of a server that a visitor names
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Also of an IPv4 address that an IPv6 one holds."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def public_address(host: str) -> str:
    """An address of the host. Raises UserError where one of its addresses is private, WorldError where it has none."""
    try:
        found = sorted({str(item[4][0]) for item in socket.getaddrinfo(host, None)})
    except OSError:
        raise WorldError("the server {host} cannot be found", host=host) from None
    if not all(map(is_public, found)):
        raise UserError("{host} is a private address; a Space asks public servers only", host=host, field="model")
    return found[0]


def guard() -> None:
    """From now on every request of the Hub's client, which asks model servers too, goes to public addresses alone.

    The Hub's own address (HF_ENDPOINT) is its owner's choice. Behind a proxy it is the proxy that connects, and has to be careful.
    """
    from huggingface_hub import constants, get_session, set_client_factory

    usual = get_session()
    http: Any = importlib.import_module(type(usual).__module__.partition(".")[0])  # httpx, or what followed it
    hub = urlsplit(constants.ENDPOINT).hostname

    class PublicOnly(http.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            if (host := request.url.host) == hub:
                return super().handle_request(request)
            asked = http.Request(  # a copy: redirects are relative to what was asked
                request.method, request.url.copy_with(host=public_address(host)), headers=request.headers, stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )  # fmt: skip
            answer = super().handle_request(asked)
            answer.stream = bounded(answer.stream)
            return answer

    class Bounded(http.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            until, size = time.monotonic() + LONGEST, 0
            for piece in self._stream:
                size += len(piece)
                if size > MOST or time.monotonic() > until:
                    raise WorldError(
                        "the server sent more than {most} MB, or for more than {longest:.0f} minutes",
                        most=MOST // 1_000_000,
                        longest=LONGEST / 60,
                    )
                yield piece

        def close(self) -> None:
            self._stream.close()

    bounded = Bounded

    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return
    hooks = usual.event_hooks
    set_client_factory(
        lambda: http.Client(transport=PublicOnly(), event_hooks=hooks, follow_redirects=True, timeout=None)
    )
