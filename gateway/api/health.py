"""Health, readiness, metrics and status: for those who watch over the gateway. All from memory."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final

from bridge.web.meter import Meter
from bridge.web.operation import Operation
from bridge.web.routes import Answer, Call, Route
from gateway.api import schemas as s
from gateway.api.heartbeat import Heartbeat
from gateway.api.view import Check, GatewayView

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MAX_LAG_S: Final = 10.0
"""A loop that is later than this is not working for anyone; well above what a slow disk or a full CPU does to it."""

_VERDICT: Final = s.thing(
    {
        "status": s.words("ok", "failed"),
        "checks": s.mapped(s.thing({"ok": s.FLAG, "message": s.maybe(s.TEXT)}), "Not for strangers."),
    },
    optional=("checks",),
)
_FAILED: Final = {503: "Something is wrong; the checks say what."}


def routes(view: GatewayView, heartbeat: Heartbeat, *, http: Meter, max_lag_s: float) -> list[Route]:
    """/healthz, /readyz, /metrics and /api/v1/status."""
    registry: CollectorRegistry | None = None

    async def health(call: Call) -> Answer:
        lag_s = heartbeat.worst_lag_s
        loop = Check(
            name="event_loop",
            ok=lag_s <= max_lag_s,
            message="" if lag_s <= max_lag_s else f"The event loop stood still for {lag_s:.1f} s.",
        )
        return _verdict(call, [*view.health(), loop])

    async def ready(call: Call) -> Answer:
        return _verdict(call, view.readiness())

    async def metrics(call: Call) -> Answer:
        nonlocal registry
        if registry is None:
            # Imported by the first who asks, in a thread: neither a start nor the devices should wait for it.
            await asyncio.to_thread(importlib.import_module, "gateway.api.metrics")
            from gateway.api.metrics import registry_of

            registry = registry_of(view.status, lambda: heartbeat.worst_lag_s, http)
        from bridge.web.metrics import exposition

        return exposition(registry, call.headers.get("Accept", ""))

    async def status(_call: Call) -> dict[str, Any]:
        return view.status().to_dict()

    return [
        Route(
            method="GET",
            path="/healthz",
            handler=health,
            role="open",
            operation=Operation(
                summary="Is the process worth keeping? The cloud is not asked",
                tag="health",
                answer=_VERDICT,
                statuses=_FAILED,
                bodies={503: _VERDICT},
            ),
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=ready,
            role="open",
            operation=Operation(
                summary="May devices be sent here?",
                tag="health",
                answer=_VERDICT,
                statuses=_FAILED,
                bodies={503: _VERDICT},
            ),
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=metrics,
            operation=Operation(summary="For Prometheus", tag="health", answer_type="text/plain"),
        ),
        Route(
            method="GET",
            path="/api/v1/status",
            handler=status,
            is_live=True,
            operation=Operation(summary="All counters at once", tag="health", answer={"type": "object"}),
        ),
    ]


def _verdict(call: Call, checks: list[Check]) -> Answer:
    is_ok = all(check.ok for check in checks)
    body: dict[str, Any] = {"status": "ok" if is_ok else "failed"}
    if call.is_known:
        body["checks"] = {check.name: {"ok": check.ok, "message": check.message or None} for check in checks}
    return Answer(body=body, status=200 if is_ok else 503)
