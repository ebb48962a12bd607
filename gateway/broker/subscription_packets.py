"""SUBSCRIBE and UNSUBSCRIBE of one client: what they are answered, and when (MQTT 5 §3.8 to §3.11).

The subscriptions of a durable session are on disk before SUBACK says so, and are taken back when the disk does not take
them. Retained messages come behind the commit that is open then, whatever the session: one that was published just
before, and whose commit has not ended yet, would be missed otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.broker.agenda import TRY_AGAIN_AFTER_S
from gateway.broker.commons import Party
from gateway.broker.outcomes import REASONS
from gateway.broker.refilling import send_retained
from gateway.broker.session import Session
from gateway.broker.subscribing import Granting
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import Subscribe, Unsubscribe
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import parse_shared
from gateway.spool.ports import Outcome


def subscribe(client: Party, packet: Subscribe) -> None:
    """Do what a SUBSCRIBE asks for. Raises ProtocolError, before anything of it is done."""
    for subscription in packet.subscriptions:
        if subscription.no_local and parse_shared(subscription.topic_filter) is not None:
            raise ProtocolError("A shared subscription has No Local set (§3.8.3.1).")  # [MQTT-3.8.3-4]
    session, commons = client.session, client.commons
    granting = commons.subscribing.subscribe(session, packet)
    item = Subscribed(session, packet, granting, arrivals=commons.delivery.arrivals)
    if session.is_durable and granting.before:
        item.change = commons.sessions.remember(session)
    else:
        item.is_answered = True
        client.reply(_whole(client, item.packet_for(client, granting.codes)))
        if not granting.retained:
            return
    commons.store.after_commit(client, item, held_bytes=_weight_bytes(granting.before))


def unsubscribe(client: Party, packet: Unsubscribe) -> None:
    """Do what an UNSUBSCRIBE asks for."""
    session, commons = client.session, client.commons
    codes = commons.subscribing.unsubscribe(session, packet.topic_filters)
    item = Unsubscribed(session, packet, codes)
    if session.is_durable and ReasonCode.SUCCESS in codes:
        item.change = commons.sessions.remember(session)
        commons.store.after_commit(client, item, held_bytes=_weight_bytes(packet.topic_filters))
    else:
        client.reply(_whole(client, item.packet_for(client)))


def _whole(client: Party, data: bytes) -> bytes:
    """An answer; empty where it is longer than the client takes, and the connection is closed for it."""
    if not data:
        client.close(ReasonCode.PACKET_TOO_LARGE)  # [MQTT-3.1.2-24]
    return data


def _weight_bytes(topic_filters: Collection[str]) -> int:
    """What a packet takes in memory while it waits for its commit, roughly."""
    return 512 + 256 * len(topic_filters) + sum(map(len, topic_filters))


class Subscribed:
    """A SUBSCRIBE that waits for a commit; `arrivals` is how many messages had come that may be retained."""

    __slots__ = ("arrivals", "change", "granting", "is_answered", "packet", "session")

    def __init__(self, session: Session, packet: Subscribe, granting: Granting, *, arrivals: int) -> None:
        self.session = session
        self.packet = packet
        self.granting = granting
        self.arrivals = arrivals
        self.change = 0
        self.is_answered = False
        """Whether SUBACK went out at once: nothing of the session has to be on disk."""

    def packet_for(self, client: Party, codes: Sequence[int]) -> bytes:
        """SUBACK; empty when it is longer than the client takes."""
        return writer.suback(
            self.packet.packet_id,
            codes,
            version=client.version,
            max_packet_size_bytes=client.max_packet_size_bytes,
        )

    def settle(self, client: Party, outcome: Outcome) -> bytes:
        """SUBACK, then the retained messages."""
        granting = self.granting
        if self.is_answered:
            send_retained(client, granting.retained, self.arrivals)
            return b""
        codes = granting.codes
        if outcome is Outcome.DURABLE:
            self.session.saved = max(self.session.saved, self.change)
            send_retained(client, granting.retained, self.arrivals)
        else:
            client.commons.subscribing.put_back(self.session, self.packet, granting.before)
            codes = [REASONS[outcome] if code < 0x80 else code for code in codes]
        return _whole(client, self.packet_for(client, codes))


class Unsubscribed:
    """An UNSUBSCRIBE that waits for a commit."""

    __slots__ = ("change", "codes", "packet", "session")

    def __init__(self, session: Session, packet: Unsubscribe, codes: Sequence[int]) -> None:
        self.session = session
        self.packet = packet
        self.codes = codes
        self.change = 0

    def packet_for(self, client: Party) -> bytes:
        """UNSUBACK; empty when it is longer than the client takes."""
        return writer.unsuback(
            self.packet.packet_id,
            self.codes,
            version=client.version,
            max_packet_size_bytes=client.max_packet_size_bytes,
        )

    def settle(self, client: Party, outcome: Outcome) -> bytes:
        """UNSUBACK; without the disk's word, the removal is taken to it again a little later."""
        if outcome is not Outcome.DURABLE:
            self._try_again(client)
            return b""
        self.session.saved = max(self.session.saved, self.change)
        return _whole(client, self.packet_for(client))

    def _try_again(self, client: Party) -> None:
        """The disk did not take it: in a while, ask again. A client that is gone by then asks itself."""
        commons = client.commons

        def again() -> None:
            if client.is_open:
                self.change = commons.sessions.remember(self.session)
                commons.store.after_commit(client, self)

        commons.later((client, self), TRY_AGAIN_AFTER_S, again)
