"""What the broker says of itself below `$SYS/broker/`, under the names that Mosquitto 2 uses.

Every interval all values are read, and those that changed are published, with RETAIN: in memory only, and into no
stream whose filters do not name `$SYS`. A subscriber is sent QoS 0, because a value that is old when it comes is worth
nothing. `$SYS` is the server's own: what clients publish there is refused (`gateway.broker.routes`).
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.version import VERSION
from gateway.broker.commons import Commons
from gateway.broker.counters import Counters
from gateway.broker.load_average import LoadAverage
from gateway.broker.message import Message
from gateway.broker.queue_limits import Total

PREFIX: Final = "$SYS/broker/"

_FIXED_BYTES: Final = 4
"""What a short PUBLISH has on the wire beside topic and payload."""
_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = resource.getpagesize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many there are of what, now. `heap_bytes` is None where the system does not say."""

    clients_connected: int
    clients_total: int
    """Those with a session, connected or not."""
    clients_expired: int
    """Since the start."""
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

    __slots__ = (
        "_census",
        "_counters",
        "_heap_most_bytes",
        "_loads",
        "_publish",
        "_said",
        "_seen_s",
        "_started_s",
        "_version",
    )

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
        self._heap_most_bytes = 0
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
        away = census.clients_total - census.clients_connected
        numbers = {
            "clients/total": census.clients_total,
            "clients/connected": census.clients_connected,
            "clients/active": census.clients_connected,
            "clients/disconnected": away,
            "clients/inactive": away,
            "clients/maximum": counters.connected_most,
            "clients/expired": census.clients_expired,
            "messages/received": counters.packets_received,
            "messages/sent": counters.packets_sent,
            "messages/stored": census.stored,
            "publish/messages/received": counters.publishes,
            "publish/messages/sent": counters.delivered,
            "publish/messages/dropped": _dropped(counters),
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
            self._heap_most_bytes = max(self._heap_most_bytes, census.heap_bytes)
            numbers["heap/maximum"] = self._heap_most_bytes
        values = {"version": self._version, "uptime": f"{int(now_s - self._started_s)} seconds"}
        values.update((name, str(number)) for name, number in numbers.items())
        interval_s, self._seen_s = now_s - self._seen_s, now_s
        for name, count in _loads(counters).items():
            load = self._loads[name]
            if interval_s > 0:
                load.add(count, interval_s)
            values.update((f"load/{name}/{span}", reading) for span, reading in load.readings().items())
        return values


def _dropped(counters: Counters) -> int:
    """Without what had QoS 0 and came while its subscriber was away: that was never to be kept, and to each who is
    away and subscribed to these topics, a report would be a change of itself."""
    return counters.dropped.total() - counters.dropped["offline"]


def _loads(counters: Counters) -> dict[str, int]:
    return {
        "messages/received": counters.packets_received,
        "messages/sent": counters.packets_sent,
        "publish/received": counters.publishes,
        "publish/sent": counters.delivered,
        "publish/dropped": _dropped(counters),
        "bytes/received": counters.bytes_received,
        "bytes/sent": counters.bytes_sent,
        "sockets": counters.connections + counters.refused_connects.total(),
        "connections": counters.connections,
    }


def sys_topics(commons: Commons, *, subscriptions: Sized, queues: Total) -> SysTopics:
    """What the broker says of itself. `queues` is what all its queues hold."""
    sessions, retained = commons.sessions, commons.retained

    def census() -> Census:
        shared = sum(len(group.members) for group in commons.subscribing.groups.values())
        return Census(
            clients_connected=commons.counters.connected_now,
            clients_total=len(sessions),
            clients_expired=sessions.expired,
            subscriptions=len(subscriptions),
            shared_subscriptions=shared,
            retained=len(retained),
            stored=len(retained) + queues.entries,
            stored_bytes=retained.size_bytes + queues.held_bytes,
            heap_bytes=heap_bytes(),
        )

    def publish(messages: list[Message]) -> None:
        commons.delivery.publish_own(messages)
        for message in messages:
            raw = message.topic.encode()
            stream = commons.routes[raw].stream
            if stream is not None and commons.store.has_room:
                commons.store.append(
                    stream,
                    client="",
                    now_us=commons.clock.now_us(),
                    topics=[raw],
                    payloads=[message.payload],
                    flags=bytes([message.retain]),
                    plain_size_bytes=len(raw) + len(message.payload) + _FIXED_BYTES,
                )

    return SysTopics(
        version=f"fieldgate version {VERSION}",
        counters=commons.counters,
        census=census,
        publish=publish,
        now_s=commons.clock.monotonic_s(),
    )


def heap_bytes() -> int | None:
    """What the process has in memory; None where there is no /proc."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
