"""The status as Prometheus reads it.

Every scrape reads the status once, so `/metrics` and `/api/v1/status` never disagree. Labels are names that the
operator wrote (stream, uplink, listener) or a fixed list of words (reason): never a client or a topic, whose number
has no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.metric_entry import MetricEntry, entries_of
from bridge.uplink_status import UplinkStatus
from bridge.web import metrics as http_metrics
from bridge.web.meter import Meter
from gateway.api.status import (
    UPLINK_ONLINE,
    BrokerStatus,
    GatewayStatus,
    ListenerStatus,
    RateStatus,
    SpoolStatus,
    StreamStatus,
)
from gateway.verdict import Verdict

_DROPPED: Final = "fieldgate_stream_dropped_records"
LASTING: Final = frozenset({f"{_DROPPED}_total"})
"""Counters that the spool keeps: they go on where they were when the gateway starts again."""
_STREAM_GAUGES: tuple[tuple[str, str, Callable[[StreamStatus], float | None]], ...] = (
    ("fieldgate_stream_records", "Records that wait in the spool.", lambda item: item.records),
    ("fieldgate_stream_bytes", "Bytes that wait in the spool.", lambda item: item.bytes),
    ("fieldgate_stream_oldest_age_seconds", "Age of the oldest waiting record.", lambda item: item.oldest_age_s),
    ("fieldgate_stream_next_sequence", "The next record's sequence number.", lambda item: item.next_seq),
)
_LISTENER_GAUGES: tuple[tuple[str, str, Callable[[ListenerStatus], float | None]], ...] = (
    ("fieldgate_listener_connections", "Open connections.", lambda item: item.connections),
    (
        "fieldgate_listener_certificate_expiry_timestamp_seconds",
        "When the listener's certificate ends.",
        lambda item: None if item.certificate_expires_at is None else item.certificate_expires_at.timestamp(),
    ),
)
_BROKER_GAUGES: tuple[tuple[str, str, Callable[[BrokerStatus], int]], ...] = (
    ("fieldgate_subscriptions", "Subscriptions of all sessions.", lambda item: item.subscriptions),
    ("fieldgate_shared_subscriptions", "Shared subscriptions, each counted once.", lambda i: i.shared_subscriptions),
    ("fieldgate_session_queued_messages", "Messages that wait for subscribers.", lambda item: item.queued_messages),
    ("fieldgate_session_queued_bytes", "Bytes that wait for subscribers.", lambda item: item.queued_bytes),
    ("fieldgate_session_in_flight_messages", "Sent and not acknowledged yet.", lambda item: item.in_flight_messages),
    ("fieldgate_retained_messages", "Topics with a retained message.", lambda item: item.retained_messages),
    ("fieldgate_retained_bytes", "Bytes of all retained messages.", lambda item: item.retained_bytes),
)
_BROKER_COUNTERS: tuple[tuple[str, str, Callable[[BrokerStatus], int]], ...] = (
    ("fieldgate_connects", "Clients that were let in.", lambda item: item.connects),
    ("fieldgate_delivered_messages", "Messages sent to local subscribers.", lambda item: item.delivered),
    ("fieldgate_retained_refused", "Messages not retained for want of room.", lambda item: item.retained_refused),
    ("fieldgate_throttled", "Times that a client was faster than its rate.", lambda item: item.throttled),
)
_BROKER_REASONS: tuple[tuple[str, str, Callable[[BrokerStatus], Mapping[str, int]]], ...] = (
    ("fieldgate_refused_connects", "Clients that were not let in.", lambda item: item.refused_connects),
    ("fieldgate_disconnects", "Connections that the gateway ended.", lambda item: item.disconnects),
    ("fieldgate_refused_publishes", "Publishes that were not taken.", lambda item: item.refused_publishes),
    ("fieldgate_dropped_messages", "Messages that a subscriber did not get.", lambda item: item.dropped),
)
_SPOOL_GAUGES: tuple[tuple[str, str, Callable[[SpoolStatus], float | None]], ...] = (
    ("fieldgate_spool_size_bytes", "The database and its WAL.", lambda item: item.size_bytes),
    ("fieldgate_spool_limit_bytes", "The configured max_size.", lambda item: item.limit_bytes),
    ("fieldgate_spool_refusing", "1 while new records are refused for lack of room.", lambda item: item.is_refusing),
    ("fieldgate_spool_disk_free_bytes", "What the disk has left for the gateway.", lambda item: item.disk_free_bytes),
    (
        "fieldgate_spool_full_in_seconds",
        "Until it is full at the present rates; absent where it does not fill up.",
        lambda item: item.full_in_s,
    ),
    (
        "fieldgate_spool_drained_in_seconds",
        "Until all is delivered at the present rates; absent where there is no saying.",
        lambda item: item.drained_in_s,
    ),
)
_UPLINK_GAUGES: tuple[tuple[str, str, Callable[[UplinkStatus], float]], ...] = (
    ("fieldgate_uplink_online", "1 while frames can leave, else 0.", lambda item: item.state == UPLINK_ONLINE),
    ("fieldgate_uplink_in_flight_frames", "Frames sent and not yet acknowledged.", lambda item: item.in_flight),
)
_UPLINK_COUNTERS: tuple[tuple[str, str, Callable[[UplinkStatus], int]], ...] = (
    ("fieldgate_uplink_retries", "Attempts to connect or to send that were made again.", lambda item: item.retries),
    ("fieldgate_uplink_frames", "Frames acknowledged by the cloud.", lambda item: item.frames),
    ("fieldgate_uplink_records", "Records acknowledged by the cloud.", lambda item: item.records),
    ("fieldgate_uplink_raw_bytes", "What the same records are as plain MQTT.", lambda item: item.raw_bytes),
    ("fieldgate_uplink_wire_bytes", "Bytes of the frames sent, those sent again too.", lambda item: item.wire_bytes),
    ("fieldgate_uplink_dead_letters", "Records moved into the dead letters.", lambda item: item.dead_letters),
)


class StatusCollector(Collector):
    """Turns one status into metric families; `read` and `lag_s` are called at each scrape."""

    def __init__(self, read: Callable[[], GatewayStatus], lag_s: Callable[[], float]) -> None:
        self._read = read
        self._lag_s = lag_s

    def describe(self) -> list[Metric]:
        """Nothing: the registry must not ask for a status when the collector is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families of one scrape."""
        status = self._read()
        yield InfoMetricFamily(
            "fieldgate_build",
            "The running gateway.",
            value={"version": status.version, "gateway": status.gateway},
        )
        yield GaugeMetricFamily("fieldgate_uptime_seconds", "Since the process started.", value=status.uptime_s)
        yield GaugeMetricFamily(
            "fieldgate_event_loop_lag_seconds", "Worst lateness of the last 30 seconds.", value=self._lag_s()
        )
        yield from _gauges(_LISTENER_GAUGES, {item.name: item for item in status.listeners}, "listener")
        yield from _local(status.broker)
        yield from _gauges(_STREAM_GAUGES, status.streams, "stream")
        yield from _stream_counters(status.streams)
        yield from _gauges(_UPLINK_GAUGES, status.uplinks, "uplink")
        paused = GaugeMetricFamily("fieldgate_uplink_paused", "1 while an operator has paused it.", labels=["uplink"])
        for uplink in status.uplinks:
            paused.add_metric([uplink], uplink in status.paused)
        yield paused
        for name, text, value in _UPLINK_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["uplink"])
            for uplink, item in status.uplinks.items():
                counter.add_metric([uplink], value(item))
            yield counter
        yield from _spool(status.spool)
        letters = status.dead_letters
        yield GaugeMetricFamily("fieldgate_dead_letters", "That wait for a decision.", value=letters.letters)
        yield GaugeMetricFamily("fieldgate_dead_letter_records", "Records in them.", value=letters.records)


def _spool(spool: SpoolStatus) -> Iterable[Metric]:
    yield CounterMetricFamily("fieldgate_spool_commits", "Group commits.", value=spool.commits)
    for name, text, value in _SPOOL_GAUGES:
        gauge = GaugeMetricFamily(name, text)
        if (number := value(spool)) is not None:
            gauge.add_metric([], float(number))
        yield gauge


def _local(status: BrokerStatus) -> Iterable[Metric]:
    sessions = GaugeMetricFamily("fieldgate_sessions", "Sessions, by whether the client is here.", labels=["state"])
    sessions.add_metric(["connected"], status.connected)
    sessions.add_metric(["absent"], status.absent)
    yield sessions
    for name, text, value in _BROKER_GAUGES:
        yield GaugeMetricFamily(name, text, value=value(status))
    for name, text, value in _BROKER_COUNTERS:
        yield CounterMetricFamily(name, text, value=value(status))
    for name, text, by_reason in _BROKER_REASONS:
        counter = CounterMetricFamily(name, text, labels=["reason"])
        for reason, count in sorted(by_reason(status).items()):
            counter.add_metric([reason], count)
        yield counter


def _gauges(
    families: tuple[tuple[str, str, Callable[[Any], float | None]], ...], items: Mapping[str, Any], label: str
) -> Iterable[Metric]:
    for name, text, value in families:
        gauge = GaugeMetricFamily(name, text, labels=[label])
        for key, item in items.items():
            if (number := value(item)) is not None:
                gauge.add_metric([key], float(number))
        yield gauge


def _stream_counters(streams: Mapping[str, StreamStatus]) -> Iterable[Metric]:
    accepted = CounterMetricFamily("fieldgate_stream_accepted_records", "Records committed.", labels=["stream"])
    dropped = CounterMetricFamily(_DROPPED, "Records removed by a policy.", labels=["stream", "reason"])
    for name, item in streams.items():
        accepted.add_metric([name], item.accepted)
        for reason, count in item.all_dropped.items():
            dropped.add_metric([name, reason], count)
    yield accepted
    yield dropped


def describe() -> list[MetricEntry]:
    """Every metric of the gateway itself (the process's memory and CPU come with the library)."""
    empty = GatewayStatus(
        version="",
        gateway="",
        uptime_s=0.0,
        listeners=(),
        broker=BrokerStatus(),
        streams={},
        uplinks={},
        spool=SpoolStatus(size_bytes=0, limit_bytes=0, commits=0),
        rates=RateStatus(in_per_s=0.0, out_per_s=0.0),
        verdict=Verdict(level="ok", word="", sentence=""),
    )
    return [*entries_of(StatusCollector(lambda: empty, lambda: 0.0).collect()), *http_metrics.describe()]


def registry_of(read: Callable[[], GatewayStatus], lag_s: Callable[[], float], http: Meter) -> CollectorRegistry:
    """A registry of its own (two gateways in one process do not mix): the status, the requests to the HTTP interface,
    and the process's memory and CPU."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(read, lag_s))
    registry.register(http_metrics.HttpCollector(http))
    ProcessCollector(registry=registry)
    return registry
