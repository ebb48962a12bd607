"""How long a device waits for its PUBACK when little is going on: 100 publishes a second over 20 connections."""

from __future__ import annotations

from simulators.load import edge, mosquitto
from simulators.load.options import LoadOptions
from simulators.load.processes import Child
from simulators.load.run import run_against
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side

_RATE_PER_S = 100.0


def ours(context: Context) -> Figures:
    """The gateway alone; each publish waits for its own fsync."""
    gateway = edge.start(context.folder)
    with gateway.child:
        return _measure(context, gateway.child, gateway.port)


def in_memory(context: Context) -> Figures:
    """Mosquitto with no subscriber."""
    broker = mosquitto.start(context.folder)
    with broker.child:
        return _measure(context, broker.child, broker.port)


def _measure(context: Context, child: Child, port: int) -> Figures:
    messages = max(300, int(1500 * context.scale))
    result = run_against(child, LoadOptions(port=port, messages=messages, rate_per_s=_RATE_PER_S), timeout_s=60)
    latency = result.latency_ms
    return {"median ms": latency["median"], "p99 ms": latency["p99"], "max ms": latency["max"]}


def cases() -> list[Case]:
    """One case."""
    return [
        Case(
            name="latency",
            title="PUBACK latency at 100 publishes a second, 20 connections",
            says="From the moment a publish was due until its PUBACK was read. Ours includes an fsync.",
            sides=(Side(name=OURS, measure=ours), Side(name=PEER, measure=in_memory)),
            figures={"median ms": "ms", "p99 ms": "ms", "max ms": "ms"},
        )
    ]
