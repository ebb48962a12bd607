"""What the broker says of itself below `$SYS/broker/`, under the names that Mosquitto 2 uses.

Every interval all values are read, and those that changed are published, with RETAIN: in memory only, never to the
disk, and into no stream whose filters do not name `$SYS`. A subscriber is sent QoS 0, because a value that is old when
it comes is worth nothing. `$SYS` is the server's own: what clients publish there is refused (`gateway.broker.routes`).
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.broker.counters import Counters
from gateway.broker.load_average import LoadAverage
from gateway.broker.message import Message

PREFIX: Final = "$SYS/broker/"

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = resource.getpagesize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many there are of what, now. `heap_bytes` is None where the system does not say."""

    clients_connected: int
    clients_total: int
    """Those with a session, connected or not."""
    subscriptions: int
    shared_subscriptions: int
    retained: int
    stored: int
    """Messages that are kept: those that wait for subscribers, and retained ones."""
    stored_bytes: int
    heap_bytes: int | None = None


class SysTopics:
    """Publishes the values; `report` is called once in each interval.

    `version` is what `$SYS/broker/version` says. `census` and `publish` are asked at each report. Times are monotonic.
    """

    __slots__ = ("_census", "_counters", "_loads", "_maximum", "_publish", "_said", "_seen_s", "_started_s", "_version")

    def __init__(
        self,
        *,
        version: str,
        counters: Counters,
        census: Callable[[], Census],
        publish: Callable[[list[Message]], None],
        now_s: float,
    ) -> None:
        self._version = version
        self._counters = counters
        self._census = census
        self._publish = publish
        self._started_s = self._seen_s = now_s
        self._maximum = 0
        self._said: dict[str, str] = {}
        self._loads = {name: LoadAverage(count) for name, count in _loads(counters).items()}

    def report(self, now_s: float) -> None:
        """Publish what has changed since the last report."""
        values = self._values(now_s)
        changed = [(name, value) for name, value in values.items() if self._said.get(name) != value]
        self._said = values
        self._publish(
            [
                Message(topic=PREFIX + name, payload=value.encode(), qos=0, retain=True, origin="")
                for name, value in changed
            ]
        )

    def _values(self, now_s: float) -> dict[str, str]:
        counters, census = self._counters, self._census()
        self._maximum = max(self._maximum, census.clients_connected)
        away = census.clients_total - census.clients_connected
        numbers = {
            "clients/total": census.clients_total,
            "clients/connected": census.clients_connected,
            "clients/active": census.clients_connected,
            "clients/disconnected": away,
            "clients/inactive": away,
            "clients/maximum": max(self._maximum, counters.connected_most),
            "clients/expired": counters.expired,
            "messages/received": counters.packets_received,
            "messages/sent": counters.packets_sent,
            "messages/stored": census.stored,
            "publish/messages/received": counters.publishes,
            "publish/messages/sent": counters.delivered,
            "publish/messages/dropped": counters.dropped.total(),
            "publish/bytes/received": counters.publish_bytes_received,
            "publish/bytes/sent": counters.publish_bytes_sent,
            "bytes/received": counters.bytes_received,
            "bytes/sent": counters.bytes_sent,
            "subscriptions/count": census.subscriptions,
            "shared_subscriptions/count": census.shared_subscriptions,
            "retained messages/count": census.retained,
            "store/messages/count": census.stored,
            "store/messages/bytes": census.stored_bytes,
        }
        if census.heap_bytes is not None:
            numbers["heap/current"] = census.heap_bytes
        values = {"version": self._version, "uptime": f"{int(now_s - self._started_s)} seconds"}
        values.update((name, str(number)) for name, number in numbers.items())
        interval_s, self._seen_s = now_s - self._seen_s, now_s
        for name, count in _loads(counters).items():
            load = self._loads[name]
            if interval_s > 0:
                load.add(count, interval_s)
            values.update((f"load/{name}/{span}", reading) for span, reading in load.readings().items())
        return values


def _loads(counters: Counters) -> dict[str, int]:
    return {
        "messages/received": counters.packets_received,
        "messages/sent": counters.packets_sent,
        "publish/received": counters.publishes,
        "publish/sent": counters.delivered,
        "publish/dropped": counters.dropped.total(),
        "bytes/received": counters.bytes_received,
        "bytes/sent": counters.bytes_sent,
        "sockets": counters.connections + counters.refused_connects.total(),
        "connections": counters.connections,
    }


def heap_bytes() -> int | None:
    """What the process has in memory; None where there is no /proc."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
