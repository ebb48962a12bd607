"""Whether a request is let in: it names this server, no page elsewhere asks, and who asks may do what he asks for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aiohttp import web

from bridge.web.audit import printable
from bridge.web.errors import Problem
from bridge.web.gate import Gate, Identity
from bridge.web.hosts import is_foreign, is_own_host
from bridge.web.routes import Route, is_enough

SAFE: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""
_OF_PROXIES: Final = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP")


def check_host(request: web.BaseRequest, names: Collection[str], *, behind: str | None = None) -> None:
    """The Host header is ours, and no page elsewhere asks. Raises Problem 421 or 403.

    `behind`: the name that a trusted proxy was called by. It has to be ours as well as that in the Host header: a page
    elsewhere that reaches the proxy by a name of its own could write either of them.
    """
    hosts = request.headers.getall("Host", [])
    # HTTP/1.0 knows no Host, and no browser leaves it out; some probes do.
    called = [*hosts, *([behind] if behind is not None else [])]
    if len(hosts) > 1 or not all(is_own_host(host, names) for host in called):
        raise Problem(
            421,
            "This machine is not known by the name in the Host header. Use its address, or add it to api.hosts.",
        )
    if is_foreign(
        method=request.method,
        hosts=called,
        origin=request.headers.get("Origin"),
        fetch_site=request.headers.get("Sec-Fetch-Site"),
        fetch_mode=request.headers.get("Sec-Fetch-Mode"),
        fetch_dest=request.headers.get("Sec-Fetch-Dest"),
    ):
        raise Problem(403, "A page of another origin asks for this, and is not answered.")


def check_nearness(request: web.BaseRequest, gate: Gate) -> None:
    """Where nobody is asked who he is, it is no proxy that asks: whoever reaches it would be the operator here.

    Raises Problem 403.
    """
    if not gate.asks_who and any(name in request.headers for name in _OF_PROXIES):
        raise Problem(
            403,
            "A proxy asks for somebody who may be anywhere, and nobody is asked here who he is. Write "
            "api.password_file or api.token_file, and the proxy's address as api.trusted_proxies.",
        )


def check_rights(request: web.BaseRequest, route: Route, identity: Identity | None, gate: Gate) -> None:
    """The caller is known, and may; a browser that acts shows that a page of ours asks. Raises Problem 401 or 403."""
    if not is_enough(identity.role if identity is not None else None, route.role):
        if identity is None:
            raise Problem(
                401,
                "Log in first, or show a token that is valid.",
                headers={"WWW-Authenticate": 'Bearer realm="fieldgate"'},
            )
        raise Problem(403, f"{printable(identity.user)} may look, and not act: that needs an operator.")
    is_browser = any(name in request.headers for name in ("Cookie", "Origin", "Sec-Fetch-Site"))
    if request.method in SAFE or not is_browser:
        return
    if not gate.is_csrf_token(identity, request.headers.get("X-CSRF-Token")):
        raise Problem(
            403, "The header X-CSRF-Token is missing, or of another session. Read it anew from GET /api/v1/session."
        )
