"""The running gateway as the HTTP interface sees it (`gateway.api.view.GatewayView`): all from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.json_lines import parse_rfc3339
from bridge.ports import Clock
from bridge.uplink import Uplink
from bridge.version import VERSION
from config.settings import GatewaySettings
from config.settings import Uplink as UplinkSettings
from gateway.api.status import (
    BrokerStatus,
    DeadLetterStatus,
    GatewayStatus,
    ListenerStatus,
    RateStatus,
    Recovery,
    SpoolStatus,
    StreamStatus,
)
from gateway.api.view import Check
from gateway.broker.broker import Broker
from gateway.configuration import Configuration
from gateway.figures import Figures, UplinkFigures
from gateway.forecast import drained_in_s, full_in_s
from gateway.history import Totals
from gateway.listener.listener import MqttListener
from gateway.meters import Meters
from gateway.room import Room, disk_free_bytes
from gateway.spool.lane import Lane
from gateway.spool.spool import Spool
from gateway.verdict import verdict

SETTLED_S: Final = 5.0


class Overview:
    """Reads the parts of one gateway; `feed` is to be called about once a second, for the rates."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        spool: Spool,
        broker: Broker,
        listeners: Sequence[MqttListener],
        uplinks: Mapping[str, Uplink],
        clock: Clock,
    ) -> None:
        self._configuration = configuration
        self._spool = spool
        self._broker = broker
        self._listeners = listeners
        self._uplinks = uplinks
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self.began_s: Callable[[str], float | None] = lambda _uplink: None
        """When an uplink's present state began, for those who remember that (`gateway.segments`)."""
        self.meters = Meters(spool.lanes, uplinks)
        self.meters.feed(self._started_s)

    @property
    def settings(self) -> GatewaySettings:
        """What is in force."""
        return self._configuration.settings

    def uplink_settings(self, name: str) -> UplinkSettings:
        """Those of an uplink that is there."""
        return self._uplinks[name].settings

    def since_s(self, name: str) -> float:
        """Since when an uplink is in its state, as people see it: an outage is one, however often it tried.

        Seconds since 1970.
        """
        began_s = self.began_s(name)
        return parse_rfc3339(self._uplinks[name].status.since) / 1e6 if began_s is None else began_s

    def feed(self) -> None:
        """Take a reading of what came in and what went out."""
        self.meters.feed(self._clock.monotonic_s())

    def status(self) -> GatewayStatus:
        """Everything, now."""
        figures = self.figures()
        now_s = self._clock.monotonic_s()
        return GatewayStatus(
            version=VERSION,
            gateway=self.settings.gateway.id,
            uptime_s=now_s - self._started_s,
            listeners=tuple(
                ListenerStatus(
                    name=item.name,
                    transport=item.settings.transport.value,
                    bind=item.address,
                    connections=item.connections,
                    certificate_expires_at=item.certificate_expires_at,
                )
                for item in self._listeners
            ),
            broker=self._local(),
            streams={lane.name: self.stream(lane) for lane in self._spool.lanes.values()},
            uplinks={name: uplink.status for name, uplink in self._uplinks.items()},
            spool=SpoolStatus(
                size_bytes=self._spool.size_bytes(),
                limit_bytes=self.settings.spool.max_size_bytes,
                commits=self._spool.counters.commits,
                recovery=self._recovery(),
                is_refusing=figures.is_refusing,
                disk_free_bytes=disk_free_bytes(self.settings.gateway.data_dir),
                full_in_s=figures.full_in_s,
                drained_in_s=figures.drained_in_s,
            ),
            rates=RateStatus(
                in_per_s=self.meters.into.per_second(now_s),
                out_per_s=self.meters.out.per_second(now_s),
            ),
            dead_letters=DeadLetterStatus(
                letters=self._spool.dead_letters.letters, records=self._spool.dead_letters.records
            ),
            verdict=verdict(figures),
            paused={name: uplink.paused_by for name, uplink in self._uplinks.items() if uplink.paused_by is not None},
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

    def figures(self) -> Figures:
        """What the verdict is made from; feeds first."""
        self.feed()
        now_s = self._clock.monotonic_s()
        lanes = list(self._spool.lanes.values())
        records = sum(lane.waiting_records for lane in lanes)
        into, out, bytes_in, bytes_out = self.meters.forecast_rates(now_s)
        # The first moments of a process say nothing about the rate: everything has just connected.
        is_settled = now_s - self._started_s >= SETTLED_S or not records
        room = self.room()
        oldest_us = min(filter(None, map(self._oldest_us, lanes)), default=None)
        salvage = self._spool.salvage
        return Figures(
            records=records,
            oldest_age_s=self._age_s(oldest_us),
            had_records=any(lane.next_seq > 1 for lane in lanes),
            in_per_s=into,
            out_per_s=out,
            full_in_s=full_in_s(free_bytes=room.free_bytes, in_bytes_per_s=bytes_in, out_bytes_per_s=bytes_out)
            if is_settled
            else None,
            drained_in_s=drained_in_s(records=records, in_per_s=into, out_per_s=out) if is_settled else None,
            when_full=self.settings.spool.when_full.value,
            is_refusing=self._spool.is_refusing,
            is_disk_full=self._spool.is_refusing and self._spool.disk_is_full,
            failure=self._spool.failure,
            uplinks=tuple(
                UplinkFigures(
                    name=name,
                    state=uplink.status.state,
                    for_s=max(0.0, self._clock.now_us() / 1e6 - self.since_s(name)),
                    paused_by=uplink.paused_by,
                )
                for name, uplink in self._uplinks.items()
            ),
            dropped=self.meters.dropped_lately(now_s),
            dead_letters=self._spool.dead_letters.letters,
            set_aside=None if salvage is None else str(salvage.set_aside),
        )

    def room(self) -> Room:
        """What the spool may still take."""
        return Room(
            ceiling_bytes=self._spool.ceiling_bytes,
            used_bytes=self._spool.used_bytes,
            size_bytes=self._spool.size_bytes(),
            stored_bytes=sum(lane.stored_bytes for lane in self._spool.lanes.values()),
            disk_free_bytes=disk_free_bytes(self.settings.gateway.data_dir),
        )

    def totals(self) -> Totals:
        """What the history is fed with."""
        uplinks = [uplink.status for uplink in self._uplinks.values()]
        lanes = list(self._spool.lanes.values())
        return Totals(
            accepted=sum(lane.accepted for lane in lanes),
            delivered=sum(status.records for status in uplinks),
            dropped=sum(sum(lane.dropped.values()) for lane in lanes),
            raw_bytes=sum(status.raw_bytes for status in uplinks),
            wire_bytes=sum(status.wire_bytes for status in uplinks),
            records=sum(lane.waiting_records for lane in lanes),
            bytes=sum(lane.stored_bytes for lane in lanes),
        )

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

    def waiting_for(self, uplink: str, lane: Lane) -> int:
        """Records of a stream that one uplink has not delivered yet; 0 where it does not carry it."""
        if uplink not in lane.watermarks:
            return 0
        start = max(lane.watermarks[uplink], lane.first_seq)
        gone = sum(gap.count for gap in lane.gaps.between(start, lane.next_seq, uplink))
        return max(0, lane.next_seq - start - gone)

    def stream(self, lane: Lane) -> StreamStatus:
        """One stream."""
        return StreamStatus(
            records=lane.waiting_records,
            bytes=lane.stored_bytes,
            oldest_age_s=self._age_s(self._oldest_us(lane)),
            first_seq=_first_seq(lane),
            next_seq=lane.next_seq,
            accepted=lane.accepted,
            dropped=lane.dropped,
        )

    @staticmethod
    def _oldest_us(lane: Lane) -> int | None:
        first_seq = _first_seq(lane)
        if first_seq >= lane.next_seq:
            return None
        return lane.tail.received_at_us(first_seq) or lane.first_received_at_us

    def _age_s(self, at_us: int | None) -> float | None:
        return None if at_us is None else max(0.0, (self._clock.now_us() - at_us) / 1e6)

    def _recovery(self) -> Recovery | None:
        salvage = self._spool.salvage
        if salvage is None:
            return None
        return Recovery(
            set_aside=str(salvage.set_aside),
            reason="the database was damaged",
            records_saved=salvage.records,
        )


def _first_seq(lane: Lane) -> int:
    first_seq = lane.released_seq if lane.watermarks else lane.first_seq
    return max(first_seq, lane.first_seq)
