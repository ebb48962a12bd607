"""Ten thousand connections that do nothing: how fast they come in, and what each of them costs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from simulators.load import edge, mosquitto
from simulators.load.idle import IdleResult
from simulators.load.options import LoadFailed
from simulators.load.processes import Child
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side, Target

ROOT = Path(__file__).resolve().parents[2]
_CONNECTIONS = 10_000
_SETTLE_S = 2.0


def ours(context: Context) -> Figures:
    """The gateway, with room for one more than there are by default."""
    _raise_limit()
    gateway = edge.start(context.folder, listener={"max_connections": 20_000, "max_connect_rate": "unlimited"})
    with gateway.child:
        return _measure(context, gateway.child, gateway.port)


def in_memory(context: Context) -> Figures:
    """Mosquitto."""
    _raise_limit()
    broker = mosquitto.start(context.folder)
    with broker.child:
        return _measure(context, broker.child, broker.port)


def _raise_limit() -> None:
    """File descriptors: what is started here inherits the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _measure(context: Context, child: Child, port: int) -> Figures:
    connections = max(500, int(_CONNECTIONS * context.scale))
    before, cpu_before_s = child.rss_bytes(), child.cpu_s()
    command = [sys.executable, "-m", "simulators.load.idle", "--port", str(port), "--connections", str(connections)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as idle:
        assert idle.stdin is not None
        assert idle.stdout is not None
        values = json.loads(idle.stdout.readline())
        if "error" in values:
            raise LoadFailed(values["error"])
        cpu_s = child.cpu_s() - cpu_before_s
        time.sleep(_SETTLE_S)
        child.check()
        held = child.rss_bytes() - before
        settled_cpu_s = child.cpu_s()
        time.sleep(_SETTLE_S)
        busy = (child.cpu_s() - settled_cpu_s) / _SETTLE_S
        idle.stdin.close()
    result = IdleResult(**values)
    return {
        "KB each": held / connections / 1000,
        "connections/s": result.rate_per_s,
        "edge µs CPU": 1e6 * cpu_s / connections,
        "idle CPU": busy,
        "generator CPU": result.cpu_s / max(1e-9, result.ended_s - result.started_s),
    }


def cases() -> list[Case]:
    """One case."""
    return [
        Case(
            name="idle-connections",
            title="10 000 idle connections",
            says=(
                "MQTT 3.1.1, no keep alive; some hundred on their way at a time. KB each: what the process's resident "
                "memory grew by, without the kernel's buffers."
            ),
            sides=(Side(name=OURS, measure=ours), Side(name=PEER, measure=in_memory)),
            figures={
                "KB each": "KB of resident memory",
                "connections/s": "/s",
                "edge µs CPU": "µs of processor a connection",
                "idle CPU": "share of a core while they idle",
                "generator CPU": "share of a core",
            },
            targets=(
                Target(figure="KB each", value=15.0, at_most=True),
                Target(figure="connections/s", value=2000.0),
            ),
        )
    ]
