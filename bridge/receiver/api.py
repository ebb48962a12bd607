"""The receiver's HTTP interface: health, readiness, metrics and status. Read-only; it answers from memory."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from bridge.receiver.errors import AddressTaken, StateUnusable
from bridge.receiver.metrics import registry_of
from config.settings import Address

log = logging.getLogger(__name__)


class View(Protocol):
    """What is shown."""

    def status(self) -> dict[str, Any]:
        """Everything."""

    def problems(self) -> list[str]:
        """Why it is not ready, as sentences."""


class Api:
    """Serves one receiver's view. `start` once, `close` any number of times."""

    def __init__(self, bind: Address, view: View, check_state: Callable[[], Awaitable[None]]) -> None:
        """`check_state` raises StateUnusable when the state file cannot be read."""
        self._bind = bind
        self._view = view
        self._check_state = check_state
        self._registry = registry_of(view.status)
        self._runner: web.AppRunner | None = None
        self.address = bind
        """Where it listens; after `start` with the real port."""

    async def start(self) -> None:
        """Listen. Raises AddressTaken."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/status", self._status)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._bind.host, self._bind.port).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            reason = getattr(error, "strerror", None) or str(error)
            raise AddressTaken(
                f"The receiver's HTTP interface cannot listen on {self._bind}: {reason}. Is another receiver running? "
                "Stop it, or choose another address (api.bind)."
            ) from error
        self._runner = runner
        self.address = Address(host=self._bind.host, port=runner.addresses[0][1])
        log.info("HTTP interface at http://%s", self.address)

    async def close(self) -> None:
        """Stop listening; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        try:
            await self._check_state()
        except StateUnusable as error:
            return _json({"status": "failing", "problems": [str(error)]}, status=503)
        return _json({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        problems = self._view.problems()
        if problems:
            return _json({"status": "not ready", "problems": problems}, status=503)
        return _json({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._view.status())


def _json(value: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
