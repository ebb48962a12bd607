"""The HTTP server that the gateway and the receiver share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.web.audit import OnAudit
from bridge.web.gate import Gate
from bridge.web.routes import Route
from config.settings import Address, Api


class WebServer:
    """Serves routes and pages at `api.bind`. `start` once, `close` any number of times."""

    def __init__(
        self,
        api: Api,
        *,
        program: str,
        name: str,
        version: str,
        routes: Sequence[Route],
        pages: Sequence[str],
        gate: Gate,
        on_ready: Callable[[Address], None] | None = None,
        on_audit: OnAudit | None = None,
        tick_s: float = 1.0,
    ) -> None:
        self._api = api
        self._program = program
        self._name = name
        self._version = version
        self._routes = tuple(routes)
        self._pages = tuple(pages)
        self._gate = gate
        self._on_ready = on_ready
        self._on_audit = on_audit
        self._tick_s = tick_s

    @property
    def address(self) -> Address:
        """Where it really listens (port 0 became a free one). Only between `start` and `close`."""
        raise RuntimeError("The HTTP interface has not been started.")

    async def start(self) -> None:
        """Listen. Raises CannotServe with the half of a sentence when the address can't be had."""

    async def close(self) -> None:
        """Stop listening, end streams and open requests; idempotent."""
