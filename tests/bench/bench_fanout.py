"""One publisher to 1, 10 and 100 subscribers: deliveries a second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from simulators.load import edge, mosquitto
from simulators.load.fanout import FanoutOptions, FanoutResult
from simulators.load.options import LoadFailed
from simulators.load.processes import Child
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side, Target

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {"deliveries/s": "/s", "edge µs CPU": "µs of processor a delivery", "generator CPU": "share of a core"}
_DELIVERIES = 400_000
_TIMEOUT_S = 120.0


def run_in_process(options: FanoutOptions) -> FanoutResult:
    """The fan-out in a process of its own. Raises LoadFailed, also when a broker owes deliveries."""
    line = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in options.__dataclass_fields__]
    command = [sys.executable, "-m", "simulators.load.fanout", *line]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=ROOT, check=False)
        values = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"The fan-out did not end within {_TIMEOUT_S:g} s.") from error
    except ValueError as error:
        raise LoadFailed(f"The fan-out ended with code {done.returncode}: {done.stderr[-500:]}") from error
    if "error" in values:
        raise LoadFailed(values["error"])
    result = FanoutResult(**values)
    if result.delivered < result.expected:
        raise LoadFailed(f"{result.expected - result.delivered} of {result.expected} deliveries did not come.")
    return result


def figures(result: FanoutResult, cpu_s: float) -> Figures:
    """What a fan-out says about the broker."""
    return {
        "deliveries/s": result.rate_per_s,
        "edge µs CPU": 1e6 * cpu_s / result.delivered,
        "generator CPU": result.cpu_s / max(1e-9, result.ended_s - result.started_s),
    }


def ours(*, subscribers: int, qos: int) -> Side:
    """The gateway; what it delivers is in its spool as well, for a cloud that is away."""

    def measure(context: Context) -> Figures:
        gateway = edge.start(context.folder)
        with gateway.child:
            return _measure(context, gateway.child, gateway.port, subscribers=subscribers, qos=qos)

    return Side(name=OURS, measure=measure)


def in_memory(*, subscribers: int, qos: int) -> Side:
    """Mosquitto, which stores nothing."""

    def measure(context: Context) -> Figures:
        broker = mosquitto.start(context.folder)
        with broker.child:
            return _measure(context, broker.child, broker.port, subscribers=subscribers, qos=qos)

    return Side(name=PEER, measure=measure)


def _measure(context: Context, child: Child, port: int, *, subscribers: int, qos: int) -> Figures:
    messages = max(1000, int(_DELIVERIES * context.scale) // subscribers)
    cpu_before_s = child.cpu_s()
    result = run_in_process(FanoutOptions(port=port, subscribers=subscribers, qos=qos, messages=messages))
    child.check()
    return figures(result, child.cpu_s() - cpu_before_s)


def cases() -> list[Case]:
    """QoS 0 and 1, to 1, 10 and 100."""
    return [
        Case(
            name=f"fan-out-{subscribers}-qos{qos}",
            title=f"Fan-out: one publisher to {subscribers} subscriber{'s' if subscribers > 1 else ''}, QoS {qos}",
            says=(
                "160-byte JSON, MQTT 3.1.1; the publisher is at most 1000 messages ahead of the slowest subscriber, so "
                "nobody has to drop. Ours writes each message to its spool as well"
                + ("." if not qos else ", before it is delivered.")
            ),
            sides=(ours(subscribers=subscribers, qos=qos), in_memory(subscribers=subscribers, qos=qos)),
            figures=FIGURES,
            targets=(Target(figure="deliveries/s", value=1.0, of_ratio=True),) if (subscribers, qos) == (10, 0) else (),
        )
        for qos in (0, 1)
        for subscribers in (1, 10, 100)
    ]
