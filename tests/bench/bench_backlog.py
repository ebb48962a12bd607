"""Memory when idle and with a million records queued while the cloud is away, and how soon it is back with them."""

from __future__ import annotations

import time

from simulators.load import edge, mosquitto
from simulators.load.options import LoadOptions
from simulators.load.processes import accepts, free_port
from simulators.load.run import run_against
from tests.bench.case import OURS, Case, Context, Figures, Side, Target

_RECORDS = 1_000_000
_MB = 1e6
_IDLE_S = 2.0


def ours(context: Context) -> Figures:
    """The gateway: idle, filled, and started again with what it holds."""
    records = context.messages(_RECORDS)
    gateway = edge.start(context.folder)
    empty_start_s = gateway.start_s
    with gateway.child:
        time.sleep(_IDLE_S)
        idle = gateway.child.rss_bytes()
        run_against(gateway.child, LoadOptions(port=gateway.port, messages=records), timeout_s=120)
        gateway.child.wait_until(lambda: gateway.waiting() >= records, timeout_s=30, what="the backlog")
        time.sleep(_IDLE_S)
        full = gateway.child.rss_bytes()
        peak = gateway.child.peak_rss_bytes()
    again = edge.start(context.folder)
    with again.child:
        held = again.waiting()
        if held < records:
            raise ValueError(f"{records - held} of {records} acknowledged records were not there after the restart.")
        return {
            "idle MB": idle / _MB,
            "backlog MB": full / _MB,
            "peak MB": peak / _MB,
            "start empty s": empty_start_s,
            "start with backlog s": again.start_s,
        }


def bridge(context: Context) -> Figures:
    """Mosquitto, its queue on disk every second, bridging to a cloud that is away."""
    records = context.messages(_RECORDS)
    away = free_port()
    began_s = time.monotonic()
    broker = mosquitto.start(context.folder, bridge_to=away, on_disk=True)
    empty_start_s = time.monotonic() - began_s
    with broker.child:
        time.sleep(_IDLE_S)
        idle = broker.child.rss_bytes()
        run_against(broker.child, LoadOptions(port=broker.port, messages=records), timeout_s=120)
        time.sleep(_IDLE_S)
        full = broker.child.rss_bytes()
        peak = broker.child.peak_rss_bytes()
        broker.child.stop(grace_s=60)
    began_s = time.monotonic()
    again = mosquitto.start(context.folder, bridge_to=away, on_disk=True)
    with again.child:
        assert accepts(again.port)
        return {
            "idle MB": idle / _MB,
            "backlog MB": full / _MB,
            "peak MB": peak / _MB,
            "start empty s": empty_start_s,
            "start with backlog s": time.monotonic() - began_s,
        }


def cases() -> list[Case]:
    """One case; a million records take a while, so it is run once unless more rounds are asked for by name."""
    return [
        Case(
            name="backlog",
            title="Memory and start-up with 1 000 000 records queued and the cloud away",
            says="Resident memory of the process; start-up until /readyz answers 200 (Mosquitto: until it accepts).",
            sides=(
                Side(name=OURS, measure=ours),
                Side(name="Mosquitto bridge, queue on disk every second", measure=bridge),
            ),
            figures={
                "idle MB": "MB",
                "backlog MB": "MB",
                "peak MB": "MB while filling",
                "start empty s": "s",
                "start with backlog s": "s",
            },
            targets=(
                Target(figure="idle MB", value=80, at_most=True),
                Target(figure="backlog MB", value=150, at_most=True),
                Target(figure="start with backlog s", value=1.0, at_most=True),
            ),
            rounds=1,
        )
    ]
