"""How many publishes a second are acknowledged at the edge: ours on disk before each PUBACK, Mosquitto in memory."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.load import edge, mosquitto
from simulators.load.options import LoadOptions, LoadResult
from simulators.load.processes import Child
from simulators.load.run import run_against
from tests.bench.case import OURS, PEER, PEER_ON_DISK, Case, Context, Figures, Side, Target
from tests.bench.loads import USUAL, VARIATIONS, Load

_TIMEOUT_S = 90.0
FIGURES = {"acknowledged/s": "/s", "edge µs CPU": "µs of processor a message", "generator CPU": "share of a core"}


def ours(load: Load) -> Side:
    """The gateway alone: its cloud is away, so all stays in the spool."""

    def measure(context: Context) -> Figures:
        gateway = edge.start(context.folder)
        with gateway.child:
            return _load(gateway.child, load.options(port=gateway.port, messages=context.messages(load.messages)))

    return Side(name=OURS, measure=measure)


def in_memory(load: Load) -> Side:
    """Mosquitto with no subscriber: it acknowledges and forgets."""

    def measure(context: Context) -> Figures:
        broker = mosquitto.start(context.folder)
        with broker.child:
            return _load(broker.child, load.options(port=broker.port, messages=context.messages(load.messages)))

    return Side(name=PEER, measure=measure)


def on_disk(load: Load) -> Side:
    """Mosquitto keeping all for a persistent session that is away, its database written every second."""

    def measure(context: Context) -> Figures:
        broker = mosquitto.start(context.folder, on_disk=True)
        with broker.child:
            _leave_a_session(broker.port)
            return _load(broker.child, load.options(port=broker.port, messages=context.messages(load.messages)))

    return Side(name=PEER_ON_DISK, measure=measure)


def on_disk_each(context: Context) -> Figures:
    """The same with its database written after every change: as near to durable as Mosquitto 2.0 comes."""
    broker = mosquitto.start(context.folder, save_each=True)
    with broker.child:
        _leave_a_session(broker.port)
        return _load(broker.child, LoadOptions(port=broker.port, duration_s=3.0, window=20, stall_s=20.0))


def _leave_a_session(port: int) -> None:
    """A persistent session subscribed to everything with QoS 1, and gone."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-away", clean_session=False)

    def leave(*_: object) -> None:
        client.disconnect()

    client.on_subscribe = leave
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_forever(retry_first_connection=False)


def _load(child: Child, options: LoadOptions) -> Figures:
    cpu_before = child.cpu_s()
    result = run_against(child, options, timeout_s=_TIMEOUT_S)
    child.check()
    return figures(result, child.cpu_s() - cpu_before)


def figures(result: LoadResult, cpu_s: float) -> Figures:
    """What a load says about the edge."""
    if result.refused:
        raise ValueError(f"{result.refused} of {result.sent} publishes were refused.")
    elapsed_s = result.ended_s - result.started_s
    return {
        "acknowledged/s": result.rate_per_s,
        "edge µs CPU": 1e6 * cpu_s / result.acknowledged,
        "generator CPU": result.cpu_s / elapsed_s,
    }


def cases() -> list[Case]:
    """Durable ingest, and its variations."""
    each = Side(name="Mosquitto, queue on disk after every change", measure=on_disk_each)
    return [
        Case(
            name=f"ingest-{load.name}" if load.name else "ingest",
            title=f"Durable ingest: {load.title}",
            says="Fieldgate answers after an fsync; Mosquitto in memory has no subscriber and stores nothing.",
            sides=(ours(load), in_memory(load), on_disk(load), *([] if load.name else [each])),
            figures=FIGURES,
            targets=() if load.name else (Target(figure="acknowledged/s", value=2.0, of_ratio=True),),
        )
        for load in (USUAL, *VARIATIONS)
    ]
