"""The running gateway as the HTTP interface sees it (`gateway.api.view.GatewayView`): all from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.ports import Clock
from bridge.uplink import Uplink
from bridge.version import VERSION
from config.settings import GatewaySettings
from gateway.api.status import (
    BrokerStatus,
    GatewayStatus,
    ListenerStatus,
    RateStatus,
    Recovery,
    SpoolStatus,
    StreamStatus,
)
from gateway.api.view import Check
from gateway.broker.broker import Broker
from gateway.listener.listener import MqttListener
from gateway.rates import SlidingRate
from gateway.spool.lane import Lane
from gateway.spool.spool import Spool


class Overview:
    """Reads the parts of one gateway; `feed` is to be called about once a second, for the rates."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        spool: Spool,
        broker: Broker,
        listeners: Sequence[MqttListener],
        uplinks: Mapping[str, Uplink],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._broker = broker
        self._listeners = listeners
        self._uplinks = uplinks
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._rate_in = SlidingRate()
        self._rate_out = SlidingRate()

    def feed(self) -> None:
        """Take a reading of what came in and what went out."""
        now_s = self._clock.monotonic_s()
        self._rate_in.feed(now_s, sum(lane.accepted for lane in self._spool.lanes.values()))
        self._rate_out.feed(now_s, sum(uplink.status.records for uplink in self._uplinks.values()))

    def status(self) -> GatewayStatus:
        """Everything, now."""
        self.feed()
        now_s = self._clock.monotonic_s()
        return GatewayStatus(
            version=VERSION,
            gateway=self._settings.gateway.id,
            uptime_s=now_s - self._started_s,
            listeners=tuple(
                ListenerStatus(
                    name=item.name,
                    transport=written.transport.value,
                    bind=item.address,
                    connections=item.connections,
                    certificate_expires_at=item.certificate_expires_at,
                )
                for item, written in zip(self._listeners, self._settings.listeners, strict=True)
            ),
            broker=self._local(),
            streams={lane.name: self._stream(lane) for lane in self._spool.lanes.values()},
            uplinks={name: uplink.status for name, uplink in self._uplinks.items()},
            spool=SpoolStatus(
                size_bytes=self._spool.size_bytes(),
                limit_bytes=self._settings.spool.max_size_bytes,
                commits=self._spool.counters.commits,
                recovery=self._recovery(),
            ),
            rates=RateStatus(
                in_per_s=self._rate_in.per_second(now_s),
                out_per_s=self._rate_out.per_second(now_s),
            ),
        )

    def health(self) -> list[Check]:
        """The store; the event loop is looked at by the API itself."""
        error = self._spool.failure
        return [Check(name="store", ok=error is None, message=error or "")]

    def readiness(self) -> list[Check]:
        """The listeners and the spool's room."""
        checks = [
            Check(
                name=f"listener {item.name}",
                ok=item.is_listening,
                message="" if item.is_listening else f"Listener {item.name} does not take connections.",
            )
            for item in self._listeners
        ]
        room = not self._spool.is_refusing
        checks.append(
            Check(name="spool", ok=room, message="" if room else "The spool is full and refuses new records.")
        )
        return checks

    def _local(self) -> BrokerStatus:
        broker, counters = self._broker, self._broker.counters
        queues = [session.outgoing for session in broker.sessions.values()]
        return BrokerStatus(
            connected=counters.connected_now,
            absent=len(queues) - counters.connected_now,
            subscriptions=len(broker.subscriptions),
            shared_subscriptions=len(broker.shared),
            queued_messages=sum(queue.queued for queue in queues),
            queued_bytes=sum(queue.queued_bytes for queue in queues),
            in_flight_messages=sum(len(queue.in_flight) + len(queue.sent_once) for queue in queues),
            retained_messages=broker.retained.from_clients,
            retained_bytes=broker.retained.size_bytes,
            retained_refused=broker.retained.refused,
            connects=counters.connections,
            refused_connects=dict(counters.refused_connects),
            disconnects=dict(counters.disconnects),
            refused_publishes=dict(counters.refused),
            delivered=counters.delivered,
            dropped=dict(counters.dropped),
            throttled=counters.throttled,
        )

    def _stream(self, lane: Lane) -> StreamStatus:
        first_seq = lane.released_seq if lane.watermarks else lane.first_seq
        first_seq = max(first_seq, lane.first_seq)
        oldest_us = lane.first_received_at_us if first_seq < lane.next_seq else None
        if oldest_us is not None:
            oldest_us = lane.tail.received_at_us(first_seq) or oldest_us
        return StreamStatus(
            records=lane.waiting_records,
            bytes=lane.stored_bytes,
            oldest_age_s=None if oldest_us is None else max(0.0, (self._clock.now_us() - oldest_us) / 1e6),
            first_seq=first_seq,
            next_seq=lane.next_seq,
            accepted=lane.accepted,
            dropped=lane.dropped,
        )

    def _recovery(self) -> Recovery | None:
        salvage = self._spool.salvage
        if salvage is None:
            return None
        return Recovery(
            set_aside=str(salvage.set_aside),
            reason="the database was damaged",
            records_saved=salvage.records,
        )
