"""The sending half of a connection: what is written to the client, and the messages of its session on their way to it.

Nothing is written before CONNACK is. Deliveries go out as far as the client's window and its connection let them; the
rest waits in the session (`gateway.broker.outgoing`), which is bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from gateway.broker.aliases import TopicAliases
from gateway.broker.commons import Party
from gateway.broker.fanout import Run
from gateway.broker.flight import Flight, Parcel, Step
from gateway.broker.in_flight import Answer
from gateway.broker.ports import Channel
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import Connect, PubAck, PubAcks, PubComp, PubRec
from gateway.mqtt.reason_codes import ReasonCode

logger = logging.getLogger(__name__)

AT_ONCE_BYTES: Final = 64 * 1024
"""So much of what waits is written before the connection is asked again whether it has room: what was written takes
memory that no bound of the queues knows of."""
MAX_HELD_BYTES: Final = 16 * 1024
"""Of answers to what a client sent before its CONNACK: it may do that (§3.1.4), but a commit may hang."""


class Sending:
    """One connection's way out. `is_settling`: a commit's answers are being gathered; deliveries come after them."""

    __slots__ = (
        "_aliases",
        "_channel",
        "_client",
        "_commons",
        "_counters",
        "_held",
        "_max_packet_size_bytes",
        "_receive_maximum",
        "_session",
        "_version",
        "is_settling",
        "is_welcome",
    )

    def __init__(self, client: Party, channel: Channel, connect: Connect) -> None:
        self._client = client
        self._channel = channel
        self._session = client.session
        self._commons = client.commons
        self._counters = client.commons.counters
        self._version = connect.version
        self._held = bytearray()
        self._receive_maximum = connect.receive_maximum
        self._max_packet_size_bytes = connect.maximum_packet_size_bytes
        self._aliases = TopicAliases(connect.topic_alias_maximum) if connect.topic_alias_maximum else None
        self.is_welcome = False
        self.is_settling = False

    # ---- bytes ----------------------------------------------------------------------------------------------------

    def welcome(self, connack: bytes) -> None:
        """Write CONNACK, and behind it what was answered before it."""
        self.is_welcome = True
        self._counters.others_sent += 1
        self._counters.other_bytes_sent += len(connack) + len(self._held)
        self._channel.write(connack + self._held)
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        """Write at once; before CONNACK, behind it."""
        if self.is_welcome:
            self._counters.other_bytes_sent += len(data)
            self._channel.write(data)
        else:
            self._hold(data)

    def reply(self, data: bytes) -> None:
        """Answer one packet, in one write with the other answers of this turn: they may be a hundred thousand."""
        self._counters.others_sent += 1
        if self.is_welcome:
            self._counters.other_bytes_sent += len(data)
            self._channel.write_soon(data)
        else:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        if self._client.is_open:
            self._held += data
            if len(self._held) > MAX_HELD_BYTES:
                self._client.close(ReasonCode.QUOTA_EXCEEDED)

    # ---- messages -------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what waits, as far as the window and the connection let it."""
        if not self._may_send:
            return
        outgoing = self._session.outgoing
        commons = self._commons
        now_s = commons.clock.monotonic_s()
        counters = commons.counters
        delivered = counters.delivered
        while self._may_send and (entries := outgoing.take(self._receive_maximum, now_s, AT_ONCE_BYTES)):
            for entry in entries:
                if isinstance(entry, Parcel):
                    self._channel.write_soon(entry.data)
                    counters.delivered += entry.count
                    counters.publish_bytes_sent += len(entry.data)
                    continue
                data = self._encode(entry, now_s)
                if self._max_packet_size_bytes is not None and len(data) > self._max_packet_size_bytes:
                    outgoing.discard(entry)  # [MQTT-3.1.2-25]
                    if self._aliases is not None:
                        self._aliases.forget(entry.message.topic)
                else:
                    self._channel.write_soon(data)
                    counters.delivered += 1
                    counters.publish_bytes_sent += len(data)
        self._session.activity.delivered += counters.delivered - delivered
        if outgoing.ended:
            commons.delivery.account(self._session)
        if outgoing.is_mark_due:
            commons.delivery.mark(self._session)

    def send_run(self, run: Run) -> bool:
        """Send a run of QoS 0, or queue it; false when this client has to get its messages one by one."""
        if self._aliases is not None:
            return False
        parcel = run.parcel(self._version)
        limit = self._max_packet_size_bytes
        if limit is not None and parcel.longest_bytes > limit:
            return False
        commons = self._commons
        outgoing = self._session.outgoing
        if self._may_send and outgoing.is_clear:
            try:
                self._channel.write_soon(parcel.data)
            except Exception:  # noqa: BLE001 - logged there; whatever is wrong with it, the publisher gets its answer
                self._give_up()
            else:
                self._session.activity.delivered += parcel.count
                commons.counters.delivered += parcel.count
                commons.counters.publish_bytes_sent += len(parcel.data)
            return True
        start, stop = outgoing.fitting(parcel.count)
        if stop - start < parcel.count:
            commons.counters.dropped["queue_full"] += parcel.count - (stop - start)
            if start == stop:
                return True
            parcel = run.part(self._version, start, stop)
        outgoing.offer(parcel)
        if outgoing.ended:
            commons.delivery.account(self._session)
        return True

    def send_promised(self, run: Run, qos: int) -> int:
        """Send the first of a run's messages with QoS 1 or 2, where nothing waits and nothing but packet ids is this
        client's own; returns how many: the others go through the queue."""
        outgoing = self._session.outgoing
        if self._aliases is not None or self._max_packet_size_bytes is not None:
            return 0
        if not self._may_send or not outgoing.is_idle:
            return 0
        packet_ids: Sequence[int]
        if qos == 1 and not self._session.is_durable:
            packet_ids = outgoing.launch_once(len(run), self._receive_maximum)
        elif qos == 2:
            packet_ids = outgoing.launch(run.messages(), self._receive_maximum)
        else:
            return 0
        if packet_ids:
            data = run.numbered(self._version, qos, packet_ids)
            try:
                self._channel.write_soon(data)
            except Exception:  # noqa: BLE001 - logged there; whatever is wrong with it, the publisher gets its answer
                self._give_up()
            counters = self._counters
            self._session.activity.delivered += len(packet_ids)
            counters.delivered += len(packet_ids)
            counters.publish_bytes_sent += len(data)
        return len(packet_ids)

    @property
    def _may_send(self) -> bool:
        return self.is_welcome and self._client.is_open and self._channel.is_writable and not self.is_settling

    def pump_safely(self) -> None:
        """`pump`, when it is another client's message that is sent."""
        try:
            self._client.pump()
        except Exception:  # noqa: BLE001 - the same holds here
            self._give_up()

    def _give_up(self) -> None:
        client = self._client
        logger.exception(  # noqa: LOG004 - called where one is handled
            "The connection of client %r from %s is closed after an error.", client.client_id, client.peer
        )
        client.close(ReasonCode.UNSPECIFIED_ERROR)

    def _encode(self, flight: Flight, now_s: float) -> bytes:
        if flight.step is Step.PUBCOMP:
            return writer.pubrel(flight.packet_id, version=self._version)
        message = flight.message
        left_s: int | None = None
        if message.expires_at_s is not None:
            left_s = max(1, int(message.expires_at_s - now_s))  # [MQTT-3.3.2-6]
        topic, alias = (message.topic, None) if self._aliases is None else self._aliases.encode(message.topic)
        return writer.publish(
            topic,
            message.payload,
            version=self._version,
            qos=flight.qos,
            retain=flight.retain,
            dup=flight.is_resent and flight.qos > 0,
            packet_id=flight.packet_id,
            properties=message.properties,
            subscription_identifiers=flight.identifiers,
            message_expiry_interval_s=left_s,
            topic_alias=alias,
        )

    # ---- acknowledgements -----------------------------------------------------------------------------------------

    def on_puback(self, packet: PubAck) -> None:
        """PUBACK from the subscriber. Raises ProtocolError, as the next two do."""
        self._answered(self._session.outgoing.on_puback(packet.packet_id), "PUBACK", packet.packet_id)

    def on_pubacks(self, packet: PubAcks) -> None:
        """A run of them."""
        self._counters.others_received += len(packet.packet_ids) - 1
        found, packet_id = self._session.outgoing.on_pubacks(packet.packet_ids)
        self._answered(found, "PUBACK", packet_id)

    def on_pubcomp(self, packet: PubComp) -> None:
        """PUBCOMP from the subscriber."""
        self._answered(self._session.outgoing.on_pubcomp(packet.packet_id), "PUBCOMP", packet.packet_id)

    def on_pubrec(self, packet: PubRec) -> None:
        """PUBREC from the subscriber: PUBREL answers it."""
        outgoing = self._session.outgoing
        found = outgoing.on_pubrec(packet.packet_id, packet.reason_code)
        if found is Answer.CONTINUE:
            self._commons.delivery.note_received(self._session, self._client, outgoing.in_flight[packet.packet_id])
        elif found is Answer.UNKNOWN and packet.reason_code < 0x80:
            # An exchange of which nothing is known here: PUBREL lets the client finish it.
            self.reply(writer.pubrel(packet.packet_id, version=self._version))
        else:
            self._answered(found, "PUBREC", packet.packet_id)

    def _answered(self, found: Answer, name: str, packet_id: int) -> None:
        if self._session.outgoing.ended:
            self._commons.delivery.account(self._session)
        if found is Answer.WRONG:
            raise ProtocolError(f"{name} came for packet identifier {packet_id}, which waits for another packet.")
        if found is Answer.DONE and (not self._session.outgoing.is_idle or self._session.feed is not None):
            self._client.pump()
