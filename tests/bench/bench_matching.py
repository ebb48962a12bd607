"""What it costs to find who gets a message, among 5 000 filters with wildcards, and what is retained, among 100 000."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from simulators.load import edge, mosquitto
from simulators.load.options import LoadOptions
from simulators.load.packets import V311, decode_length, encode_connect, encode_subscribe
from simulators.load.processes import Child
from simulators.load.run import run_against
from tests.bench import bench_ingest
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side

_FILTERS = 5_000
_HOLDERS = 50
_TOPICS = 100_000
_TIMEOUT_S = 120.0
_DISTINCT = "plant/line-{n}/{device}/telemetry"
_RETAINED = "retained/{device}/sensor-{n}/value"


_Measure = Callable[[Context, Child, int], Figures]


class _Client:
    """A connection that subscribes and reads."""

    def __init__(self, port: int, name: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60.0)
        self._socket.sendall(encode_connect(name, version=V311))
        self._data = b""
        self.packets(1)

    def subscribe(self, *filters: str) -> None:
        """Subscribe with QoS 0; does not wait."""
        self._socket.sendall(encode_subscribe(filters, qos=0, version=V311))

    def packets(self, count: int, *, but: int = 0) -> int:
        """Read so many packets, not counting those whose first byte is `but`; returns their bytes."""
        seen = size = 0
        while True:
            data, at = self._data, 0
            while seen < count and (length := decode_length(data, at + 1) if at < len(data) else None) is not None:
                stop = length[0] + length[1]
                if stop > len(data):
                    break
                seen += data[at] != but
                size += stop - at
                at = stop
            self._data = data[at:]
            if seen >= count:
                return size
            more = self._socket.recv(1 << 20)
            if not more:
                raise OSError("The broker closed the connection of a subscriber.")
            self._data += more

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _filters(context: Context, child: Child, port: int) -> Figures:
    """Publish to topics that nobody has met before, each matched by one of the filters or by none."""
    holders = []
    each = max(1, int(_FILTERS * context.scale) // _HOLDERS)
    for holder in range(_HOLDERS):
        client = _Client(port, f"holder-{holder}")
        holders.append(client)
        numbers = range(holder * each, (holder + 1) * each)
        client.subscribe(*(f"plant/+/dev-{n:04d}/+/x/#" if n % 2 else f"+/line-{n:06d}/never/#" for n in numbers))
        client.packets(1)
    messages = context.messages(_TOPICS)
    connections = 20
    options = LoadOptions(
        port=port,
        messages=messages,
        connections=connections,
        window=messages // connections // 2,
        topic=_DISTINCT,
        payload_bytes=20,
    )
    try:
        cpu_before_s = child.cpu_s()
        result = run_against(child, options, timeout_s=_TIMEOUT_S)
        return bench_ingest.figures(result, child.cpu_s() - cpu_before_s)
    finally:
        for client in holders:
            client.close()


def _retained(context: Context, child: Child, port: int) -> Figures:
    """Retain on 100 000 topics, then look for one of them, and for all."""
    topics = context.messages(_TOPICS) // 20 * 20
    options = LoadOptions(
        port=port,
        messages=topics,
        connections=20,
        window=topics // 40,  # a ring is two windows long, and no topic comes twice in a ring
        topic=_RETAINED,
        payload_bytes=20,
        retain=True,
    )
    before = child.rss_bytes()
    result = run_against(child, options, timeout_s=_TIMEOUT_S)
    held = child.rss_bytes() - before
    reader = _Client(port, "reader")
    try:
        one_s = []
        for number in range(20):
            began_s = time.perf_counter()
            reader.subscribe(f"retained/+/sensor-{number:06d}/+")
            reader.packets(21)  # a SUBACK, and what each of the 20 devices retained
            one_s.append(time.perf_counter() - began_s)
        began_s = time.perf_counter()
        reader.subscribe("retained/#")
        reader.packets(1 + topics)
        all_s = time.perf_counter() - began_s
    finally:
        reader.close()
    return {
        "retained/s": result.rate_per_s,
        "one of them ms": 1000 * sorted(one_s)[len(one_s) // 2],
        "all of them/s": topics / all_s,
        "bytes each": held / topics,
    }


def _ours(measure: _Measure) -> Side:
    def run(context: Context) -> Figures:
        sections = {"retained": {"max_messages": 200_000, "max_bytes": "256MiB"}, "limits": {"sys_interval": "never"}}
        gateway = edge.start(context.folder, sections=sections)
        with gateway.child:
            return measure(context, gateway.child, gateway.port)

    return Side(name=OURS, measure=run)


def _peer(measure: _Measure) -> Side:
    def run(context: Context) -> Figures:
        broker = mosquitto.start(context.folder)
        with broker.child:
            return measure(context, broker.child, broker.port)

    return Side(name=PEER, measure=run)


def cases() -> list[Case]:
    """Filters, and what is retained."""
    return [
        Case(
            name="filters",
            title="5 000 subscriptions with wildcards, and 100 000 topics that were not met before",
            says="50 clients with 100 filters each; no message is for any of them, and each has to be looked up.",
            sides=(_ours(_filters), _peer(_filters)),
            figures=bench_ingest.FIGURES,
        ),
        Case(
            name="retained",
            title="100 000 retained topics",
            says=(
                "Retained from 20 connections; ours are on disk before PUBACK. Then one client subscribes to "
                "`retained/+/sensor-…/+`, which finds 20 of them, and at last to all of them."
            ),
            sides=(_ours(_retained), _peer(_retained)),
            figures={
                "retained/s": "/s",
                "one of them ms": "ms from SUBSCRIBE to the last of 20 messages",
                "all of them/s": "messages/s after SUBSCRIBE to all",
                "bytes each": "bytes of resident memory for each topic",
            },
        ),
    ]
