"""How many records a second get from the device to the cloud broker: ours, and a Mosquitto-to-Mosquitto bridge.

The clock runs from the first publish until the last record is acknowledged by the cloud broker: ours when the status
says that all are acknowledged and the spool is empty, the bridge's when the message sent after all others has arrived.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from simulators.load import edge, mosquitto
from simulators.load.options import LoadResult
from simulators.load.processes import Child, ProcessFailed, accepts, free_port
from simulators.load.run import run_against
from tests.bench.case import OURS, Case, Context, Figures, Side, Target
from tests.bench.cloud import Eye, publish_sentinel
from tests.bench.loads import USUAL, VARIATIONS, Load

BRIDGE = "Mosquitto bridge, in memory"
BRIDGE_ON_DISK = "Mosquitto bridge, queue on disk every second"
LINK = ("--delay", "50ms", "--rate", "10Mbit")
FIGURES = {
    "records/s": "/s",
    "bytes/record": "bytes the cloud broker received",
    "acknowledged/s": "/s at the edge",
    "generator CPU": "share of a core",
}
_TIMEOUT_S = 120.0


@contextlib.contextmanager
def cloud(context: Context, *, subscribed: str | None, link: tuple[str, ...]) -> Iterator[tuple[int, Eye]]:
    """A cloud broker: the port that leads to it (through the link, if there is one), and an eye on it."""
    with contextlib.ExitStack() as stack:
        broker = mosquitto.start(context.folder / "cloud", name="cloud")
        stack.enter_context(broker.child)
        port = broker.port
        if subscribed is not None:
            stack.enter_context(_subscriber(context.folder, broker.port, subscribed))
        if link:
            port = free_port()
            stack.enter_context(_link(context.folder, port=port, to=broker.port, options=link))
        yield port, stack.enter_context(Eye(broker.port))


def _subscriber(folder: Path, port: int, topics: str) -> Child:
    program = shutil.which("mosquitto_sub")
    if program is None:
        raise FileNotFoundError("mosquitto_sub is not installed.")
    command = [program, "-h", "127.0.0.1", "-p", str(port), "-t", topics, "-q", "1", "-i", "bench-consumer"]
    return Child(command, name="the consumer", log=folder / "consumer.log", quiet=True)


def _link(folder: Path, *, port: int, to: int, options: tuple[str, ...]) -> Child:
    addresses = ["--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{to}"]
    command = [sys.executable, "-m", "gateway", "simulate", "link", *addresses, *options]
    root = Path(__file__).resolve().parents[2]
    child = Child(command, name="the link", log=folder / "link.log", cwd=root)
    try:
        child.wait_until(lambda: accepts(port), timeout_s=15, what="its listener")
    except ProcessFailed:
        child.stop()
        raise
    return child


def ours(load: Load, *, consumed: bool = False, link: tuple[str, ...] = ()) -> Side:
    """The gateway with its defaults; MQTT 3.1.1 to the cloud where nobody consumes there, 5 where somebody does."""

    def measure(context: Context) -> Figures:
        messages = context.messages(load.messages)
        with cloud(context, subscribed="fieldgate/#" if consumed else None, link=link) as (port, eye):
            gateway = edge.start(context.folder / "edge", cloud_port=port, protocol="5" if consumed else "3.1.1")
            with gateway.child:
                gateway.child.wait_until(
                    lambda: gateway.status()["uplinks"][edge.UPLINK]["state"] == "online",
                    timeout_s=20,
                    what="the uplink",
                )
                before = eye.settled_counters()
                result = run_against(
                    gateway.child, load.options(port=gateway.port, messages=messages), timeout_s=_TIMEOUT_S
                )
                ended_s = gateway.wait_until_delivered(messages, timeout_s=_TIMEOUT_S)
                received = eye.settled_counters()
        return figures(result, ended_s, wire_bytes=received[1] - before[1])

    return Side(name=OURS, measure=measure)


def bridge(load: Load, *, on_disk: bool = False, consumed: bool = False, link: tuple[str, ...] = ()) -> Side:
    """Mosquitto at the edge, bridging all topics to Mosquitto in the cloud with QoS 1 over a persistent session."""

    def measure(context: Context) -> Figures:
        messages = context.messages(load.messages)
        with cloud(context, subscribed="plant/#" if consumed else None, link=link) as (port, eye):
            broker = mosquitto.start(
                context.folder / "edge", bridge_to=port, on_disk=on_disk, max_inflight=context.bridge_inflight
            )
            with broker.child:
                eye.wait_for_bridge(broker.port)
                before = eye.settled_counters()
                result = run_against(
                    broker.child, load.options(port=broker.port, messages=messages), timeout_s=_TIMEOUT_S
                )
                publish_sentinel(broker.port)
                ended_s = eye.wait_for_sentinel(timeout_s=_TIMEOUT_S)
                received = eye.settled_counters()
        arrived = received[0] - before[0] - 1
        if arrived < messages:
            raise ValueError(f"the bridge lost {messages - arrived} of {messages} acknowledged messages")
        return figures(result, ended_s, wire_bytes=received[1] - before[1])

    return Side(name=BRIDGE_ON_DISK if on_disk else BRIDGE, measure=measure)


def figures(result: LoadResult, ended_s: float, *, wire_bytes: int) -> Figures:
    if result.refused:
        raise ValueError(f"{result.refused} of {result.sent} publishes were refused.")
    return {
        "records/s": result.acknowledged / (ended_s - result.started_s),
        "bytes/record": wire_bytes / result.acknowledged,
        "acknowledged/s": result.rate_per_s,
        "generator CPU": result.cpu_s / (result.ended_s - result.started_s),
    }


def best_inflight(disk: Path, *, scale: float) -> tuple[int, dict[int, float]]:
    """Which `max_inflight_messages` lets the bridge forward most, tried here and now, and what each of them gave."""
    load = Load(name="", title="", messages=100_000)
    rates = {}
    for inflight in (20, 100, 1000, 0):
        with tempfile.TemporaryDirectory(prefix="fieldgate-bench-", dir=disk, ignore_cleanup_errors=True) as folder:
            context = Context(folder=Path(folder), scale=scale, bridge_inflight=inflight)
            try:
                rates[inflight] = bridge(load).measure(context)["records/s"]
            except (ProcessFailed, ValueError):
                rates[inflight] = 0.0
    return max(rates, key=lambda inflight: rates[inflight]), rates


def cases() -> list[Case]:
    """End to end, its variations, with a consumer in the cloud, and over a slow and distant link."""
    found = [
        Case(
            name=f"end-to-end-{load.name}" if load.name else "end-to-end",
            title=f"End to end: {load.title}",
            says="Nobody consumes at the cloud broker, on either side; MQTT 3.1.1 on the link, on either side.",
            sides=(ours(load), bridge(load), bridge(load, on_disk=True)),
            figures=FIGURES,
            targets=() if load.name else (Target(figure="records/s", value=3.0, of_ratio=True),),
        )
        for load in (USUAL, *VARIATIONS)
    ]
    slow = Load(name="link", title=USUAL.title, messages=100_000)
    return [
        *found,
        Case(
            name="end-to-end-consumed",
            title=f"End to end with a consumer in the cloud: {USUAL.title}",
            says="mosquitto_sub takes all with QoS 1 at the cloud broker; MQTT 5 on our link, 3.1.1 on the bridge's.",
            sides=(ours(USUAL, consumed=True), bridge(USUAL, consumed=True)),
            figures=FIGURES,
        ),
        Case(
            name="link",
            title="Over a link of 10 Mbit/s with a delay of 50 ms",
            says="`fieldgate simulate link --delay 50ms --rate 10Mbit` stands between the edge and the cloud broker.",
            sides=(ours(slow, link=LINK), bridge(slow, link=LINK)),
            figures=FIGURES,
            targets=(Target(figure="records/s", value=10.0, of_ratio=True),),
        ),
    ]
