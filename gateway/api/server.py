"""The HTTP interface: health, readiness, metrics and status.

Read-only, JSON but for the metrics, errors included. It answers from memory: a request never waits for the disk or the
cloud. Nothing here is a secret, but nothing asks for a password either: bind it to the loopback or to a trusted
network.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from config.settings import Address
from gateway.api.heartbeat import Heartbeat
from gateway.api.metrics import registry_of
from gateway.api.view import Check, GatewayView
from gateway.errors import CannotListen

logger = logging.getLogger(__name__)

MAX_LAG_S = 10.0
"""A loop that is later than this is not working for anyone; well above what a slow disk or a full CPU does to it."""

PATHS = ("/healthz", "/readyz", "/metrics", "/api/v1/status")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """Serves one gateway's view at `bind`. `start` once, `close` any number of times."""

    def __init__(self, bind: Address, view: GatewayView, *, max_lag_s: float = MAX_LAG_S) -> None:
        self._bind = bind
        self._view = view
        self._max_lag_s = max_lag_s
        self._heartbeat = Heartbeat()
        self._registry = registry_of(view.status, lambda: self._heartbeat.worst_lag_s)
        self._runner: web.AppRunner | None = None
        self._address: Address | None = None

    @property
    def address(self) -> Address:
        """Where it really listens (port 0 became a free one). Only between `start` and `close`."""
        if self._address is None:
            raise RuntimeError("The HTTP interface has not been started.")
        return self._address

    async def start(self) -> None:
        """Listen. Raises CannotListen with a sentence when the address can't be had."""
        app = web.Application(middlewares=[_errors_as_json], client_max_size=64 * 1024)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/status", self._status)
        app.on_response_prepare.append(_plain_headers)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, self._bind.host, self._bind.port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            raise CannotListen("api.bind", self._bind, error) from error
        self._runner = runner
        self._address = Address(host=self._bind.host, port=runner.addresses[0][1])
        self._heartbeat.start()
        logger.info("HTTP interface at http://%s", self._address)

    async def close(self) -> None:
        """Stop listening and end open requests; idempotent."""
        self._heartbeat.close()
        runner, self._runner, self._address = self._runner, None, None
        if runner is not None:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        return _verdict([*self._view.health(), self._loop_check()])

    async def _ready(self, _request: web.Request) -> web.Response:
        return _verdict(self._view.readiness())

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._view.status().to_dict())

    def _loop_check(self) -> Check:
        lag_s = self._heartbeat.worst_lag_s
        return Check(
            name="event_loop",
            ok=lag_s <= self._max_lag_s,
            message="" if lag_s <= self._max_lag_s else f"The event loop stood still for {lag_s:.1f} s.",
        )


def _verdict(checks: list[Check]) -> web.Response:
    ok = all(check.ok for check in checks)
    body = {
        "status": "ok" if ok else "failed",
        "checks": {check.name: {"ok": check.ok, "message": check.message or None} for check in checks},
    }
    return _json(body, status=200 if ok else 503)


def _json(body: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body) + b"\n", status=status, content_type="application/json")


async def _plain_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "fieldgate"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every answer that is not a success is a JSON object with a sentence."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = _error(405, f"{request.path} is read with GET; {request.method} is not possible here.")
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        return _error(404, f"There is nothing at {request.path}. Try one of {', '.join(PATHS)}.")
    except web.HTTPException as error:
        return _error(error.status, f"The request could not be answered: {error.reason}.")
    except Exception:  # whatever broke, the caller gets a sentence and the log gets the rest
        logger.exception("The request for %s failed", request.path)
        return _error(500, f"The gateway failed to answer {request.path}; its log says why.")


def _error(status: int, message: str) -> web.Response:
    return _json({"error": {"status": status, "message": message}}, status=status)
