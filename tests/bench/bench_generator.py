"""How fast the load generator could go: against a peer that does nothing but answer."""

from __future__ import annotations

import sys
from pathlib import Path

from simulators.load.fanout import FanoutOptions
from simulators.load.options import LoadOptions
from simulators.load.processes import Child
from simulators.load.rings import ring_count
from simulators.load.run import run_in_process
from tests.bench import bench_fanout
from tests.bench.case import Case, Context, Figures, Side


def _measure(context: Context, *, connections: int, window: int, messages: int) -> Figures:
    count = ring_count(connections=connections, window=window, payload_bytes=160)
    log = context.folder / "acker.log"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "simulators.load.acker", str(count)]
    with Child(command, name="the acker", log=log, cwd=root) as acker:
        acker.wait_until(lambda: log.read_bytes().endswith(b"\n"), timeout_s=10, what="its port")
        options = LoadOptions(
            port=int(log.read_text().split()[0]),
            messages=context.messages(messages),
            connections=connections,
            window=window,
        )
        result = run_in_process(options, timeout_s=60)
    return {"messages/s": result.rate_per_s, "messages per CPU second": result.acknowledged / max(1e-9, result.cpu_s)}


def wide(context: Context) -> Figures:
    """As in most cases."""
    return _measure(context, connections=20, window=500, messages=2_000_000)


def narrow(context: Context) -> Figures:
    """As in the cases with 500 connections."""
    return _measure(context, connections=500, window=1, messages=100_000)


def fan_out(context: Context) -> Figures:
    """The two ends of the fan-out, against a server that hands on bytes."""
    log = context.folder / "reflector.log"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "simulators.load.reflector"]
    with Child(command, name="the reflector", log=log, cwd=root) as reflector:
        reflector.wait_until(lambda: log.read_bytes().endswith(b"\n"), timeout_s=10, what="its port")
        port = int(log.read_text().split()[0])
        result = bench_fanout.run_in_process(
            FanoutOptions(port=port, subscribers=10, messages=context.messages(1_000_000))
        )
    return {"messages/s": result.rate_per_s, "messages per CPU second": result.delivered / max(1e-9, result.cpu_s)}


def cases() -> list[Case]:
    """One case."""
    return [
        Case(
            name="generator",
            title="The load generator's own ceiling",
            says=(
                "Against a peer that only answers, on the other core. With a window of 1 that peer, and the kernel's "
                "loopback, are part of the figure: each message is a packet and a wake-up of its own on either side. "
                "Fan-out: deliveries, counted from bytes that a server hands on as they come."
            ),
            sides=(
                Side(name="20 connections, window 500", measure=wide),
                Side(name="500 connections, window 1", measure=narrow),
                Side(name="fan-out to 10 subscribers, QoS 0", measure=fan_out),
            ),
            figures={"messages/s": "/s", "messages per CPU second": "/s of its own processor time"},
        )
    ]
