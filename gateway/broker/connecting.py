"""How a CONNECT is taken or turned away: the session is found or made, and CONNACK waits for the disk where it has to.

Who may come in is decided before (`gateway.access`); here it is what he asks for: his will, his session, room for both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.access.ports import Granted, Refusal, Refused
from gateway.broker.client import Client
from gateway.broker.commons import Commons
from gateway.broker.connack import Connack, Terms
from gateway.broker.outcomes import REASONS
from gateway.broker.ports import Channel
from gateway.broker.session import Session
from gateway.broker.will_watch import WillWatch
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.packets import Connect, Will
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome

logger = logging.getLogger(__name__)

ANYBODY: Final = Granted()
"""Where nobody asks who comes."""

_REFUSALS: Final = {
    Refusal.BAD_USERNAME_OR_PASSWORD: ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    Refusal.NOT_AUTHORIZED: ReasonCode.NOT_AUTHORIZED,
    Refusal.CLIENT_ID_NOT_VALID: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    Refusal.SERVER_BUSY: ReasonCode.SERVER_BUSY,
    Refusal.SERVER_UNAVAILABLE: ReasonCode.SERVER_UNAVAILABLE,
}

_WHY: Final = {
    ReasonCode.NOT_AUTHORIZED: "It may not publish its will.",
    ReasonCode.TOPIC_NAME_INVALID: "Nothing can be published to the topic of its will.",
    ReasonCode.QUOTA_EXCEEDED: "There is no room for its session, or for its will (see the section sessions).",
    ReasonCode.BAD_AUTHENTICATION_METHOD: "It asks for enhanced authentication, which is not offered.",
    ReasonCode.SERVER_SHUTTING_DOWN: "The gateway is stopping.",
}


class Connecting:
    """The broker's CONNECT half. `new_client_id` makes a fresh, unguessable client id for a client that has none."""

    __slots__ = ("_commons", "_new_client_id", "_on_end", "_wills", "is_accepting", "is_draining")

    def __init__(self, commons: Commons, *, wills: WillWatch, new_client_id: Callable[[], str]) -> None:
        self._commons = commons
        self._wills = wills
        self._new_client_id = new_client_id
        self._on_end = self._ended  # one for all clients: each has a reference to it
        self.is_accepting = True
        """False: every CONNECT is refused."""
        self.is_draining = False
        """Whether the gateway stops: connections that end now are not lost, and their wills wait."""

    def connect(self, channel: Channel, packet: Connect, terms: Terms, granted: Granted = ANYBODY) -> Client | None:
        """Take a CONNECT that was let in: find or make the session, and answer, once the disk has what CONNACK says.

        None when the connection is refused all the same; the refusal is written and the channel closed.
        """
        commons = self._commons
        assigned = None if packet.client_id else self._new_client_id()
        client_id = packet.client_id or str(assigned)
        refusal = self._refusal(packet, client_id, granted)
        if refusal is not None:
            self._turn_away(channel, packet, terms, refusal, _WHY[refusal], username=granted.username)
            return None
        asked_s = packet.session_expiry_interval_s or 0
        connack = Connack(
            connect=packet,
            terms=terms,
            assigned_client_id=assigned,
            expiry_interval_s=commons.sessions.expiry_interval_s(asked_s),
        )
        if packet.maximum_packet_size_bytes is not None and not connack(ReasonCode.SUCCESS):
            # Even CONNACK is longer than the client's Maximum Packet Size [MQTT-3.1.2-24].
            commons.turned_away(
                "maximum_packet_size",
                "Even CONNACK is longer than its Maximum Packet Size.",
                address=channel.peer,
                client=client_id,
                username=granted.username,
            )
            channel.close()
            return None
        old = commons.sessions.get(client_id)
        expiry_before_s = 0 if old is None else old.expiry_interval_s
        session, is_present = commons.sessions.take(packet, client_id, granted)
        will_before = self._wills.connected(session, packet.will)
        if is_present:
            connack = replace(connack, session_present=True)
        client = Client(commons, channel, packet, session, terms=terms, connack=connack, on_end=self._on_end)
        session.client = client
        commons.subscribing.arrived(session)
        counters = commons.counters
        counters.connected_now += 1
        counters.connected_most = max(counters.connected_most, counters.connected_now)
        if granted.valid_for_s is not None:
            end = partial(client.close, ReasonCode.MAXIMUM_CONNECT_TIME)
            commons.later(("valid", client_id), granted.valid_for_s, end)
        if not session.is_stored if session.is_durable else session.on_disk:
            if session.undo is None:
                session.undo = partial(self._take_back, session, expiry_before_s if is_present else 0, *will_before)
            welcome = Welcome(session)
            welcome.change = commons.sessions.remember(session)
            commons.store.after_commit(client, welcome)
        else:
            client.welcome()
        return client

    def _take_back(self, session: Session, expiry_interval_s: int, will: Will | None, due_s: float | None) -> None:
        """The disk did not take a CONNECT: its session is again what it was, or is not, if there was none before."""
        commons = self._commons
        session.undo = None
        if commons.sessions.get(session.client_id) is session:
            session.expiry_interval_s = expiry_interval_s
            session.change += 1  # a commit that another connection did not live to see may have changed the disk
            self._wills.put_back(session, will, due_s)
            commons.sessions.left(session)

    def _ended(self, client: Client, with_will: bool) -> None:
        """A connection has ended; called once for each client."""
        commons = self._commons
        commons.counters.connected_now -= 1
        session = client.session
        if session.client is client:
            session.client = None
            commons.agenda.cancel(("valid", client.client_id))
            if not with_will:
                self._wills.delete(session)
            elif not self.is_draining:
                self._wills.lost(session)
        session.outgoing.keep_only_promised()
        if not session.rights.is_unlimited:  # a right may have been withdrawn while it was connected
            session.outgoing.hold_back(session.rights.may_read)
        commons.delivery.account(session)
        commons.sessions.left(session)

    def refuse(self, channel: Channel, packet: Connect, terms: Terms, refused: Refused) -> None:
        """Answer a CONNECT that was not let in, and close the channel."""
        reason = _REFUSALS[refused.reason]
        self._turn_away(channel, packet, terms, reason, refused.detail, username=packet.username)

    def _turn_away(
        self, channel: Channel, packet: Connect, terms: Terms, reason: ReasonCode, why: str, *, username: str | None
    ) -> None:
        logger.info(
            "Client %.100r of user %.100r from %s is not let in (%s). %.300s",
            packet.client_id,
            username,
            channel.peer,
            reason.name.lower(),
            why,
        )
        self._commons.turned_away(
            reason.name.lower(), why, address=channel.peer, client=packet.client_id, username=username
        )
        channel.write(Connack(connect=packet, terms=terms)(reason))
        channel.close()

    def _refusal(self, packet: Connect, client_id: str, granted: Granted) -> ReasonCode | None:
        commons = self._commons
        if not self.is_accepting:
            return ReasonCode.SERVER_SHUTTING_DOWN
        if packet.authentication_method is not None:
            return ReasonCode.BAD_AUTHENTICATION_METHOD  # [MQTT-4.12.0-1]
        if packet.will is not None:
            try:
                is_refused = commons.routes.refuses(packet.will.topic.encode())
            except TopicNameInvalid:
                return ReasonCode.TOPIC_NAME_INVALID
            rights = commons.sessions.entitlements.rights(granted.access, client_id, granted.username)
            if is_refused or not rights.may_publish(packet.will.topic):
                return ReasonCode.NOT_AUTHORIZED
            if not self._wills.has_room_for(packet.will):
                return ReasonCode.QUOTA_EXCEEDED
        if commons.sessions.lacks_room_for(client_id, granted):
            return ReasonCode.QUOTA_EXCEEDED
        return None


class Welcome:
    """A CONNECT whose session has to be on disk, or gone from it, before CONNACK says so."""

    __slots__ = ("change", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.change = 0

    def settle(self, client: Client, outcome: Outcome) -> bytes:
        """CONNACK; a session that could not be stored is refused, and is what it was before."""
        session = self.session
        if outcome is Outcome.DURABLE:
            session.saved = max(session.saved, self.change)
            if session.client in {client, None}:
                session.undo = None
            client.welcome()
        else:
            if session.client is client:
                session.client = None  # as if it had never come
            if session.client is None and session.undo is not None:
                session.undo()
            client.refuse(REASONS[outcome])
        return b""
