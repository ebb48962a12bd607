"""One connected client: what its packets do, and what is written back.

The core of a connection: packets come in as values, bytes go out through a `Channel`; no sockets, tasks or timers here.

What the client was promised waits for commits: `on_commit` writes everything that one commit decided for it at once.
Nothing is written before CONNACK is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from gateway.broker.commons import Commons
from gateway.broker.connack import Terms
from gateway.broker.exchanges import Receipt
from gateway.broker.incoming import Incoming
from gateway.broker.outcomes import REASONS, WORDS, answer
from gateway.broker.ports import Channel
from gateway.broker.refilling import refill
from gateway.broker.sending import Sending
from gateway.broker.session import Session
from gateway.broker.subscription_packets import subscribe, unsubscribe
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError, ProtocolViolation
from gateway.mqtt.packets import (
    Auth,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubAcks,
    PubComp,
    PublishBatch,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
    Version,
)
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome

logger = logging.getLogger(__name__)

MAX_EXPLANATION_BYTES: Final = 100
"""Of a Reason String: what it cites may have 65 535."""


class Client:
    """A client between its CONNECT and its end. Waits for commits (`gateway.spool.ports.Waiter`)."""

    __slots__ = (
        "_asked_to_last",
        "_channel",
        "_connack",
        "_incoming",
        "_on_end",
        "_wants_explanations",
        "client_id",
        "commons",
        "is_open",
        "keep_alive_s",
        "listener",
        "max_packet_size_bytes",
        "sending",
        "session",
        "since_us",
        "version",
    )

    def __init__(
        self,
        commons: Commons,
        channel: Channel,
        connect: Connect,
        session: Session,
        *,
        terms: Terms,
        connack: Callable[[ReasonCode], bytes],
        on_end: Callable[[Client, bool], None],
    ) -> None:
        """`on_end` is called once, at the end of it, with whether its will is to be published."""
        self.commons = commons
        self.session = session
        self.client_id = session.client_id
        self.version = connect.version
        self._wants_explanations = connect.request_problem_information
        self._asked_to_last = bool(connect.session_expiry_interval_s)
        self.max_packet_size_bytes = connect.maximum_packet_size_bytes
        self.is_open = True
        self.since_us = commons.clock.now_us()
        self.listener = terms.listener
        self.keep_alive_s = terms.keep_alive_s(connect)
        self._channel = channel
        self._connack = connack
        self._on_end = on_end
        self._incoming = Incoming(self, terms.receive_maximum)
        self.sending = Sending(self, channel, connect)

    @property
    def peer(self) -> str:
        """Where the client is."""
        return self._channel.peer

    # ---- the connection -------------------------------------------------------------------------------------------

    def handle(self, packet: Packet) -> None:
        """Do what one packet asks for. Raises ProtocolViolation; the caller then calls `fail`."""
        if self.is_open:
            kind = type(packet)
            if kind is not PublishBatch:
                self.commons.counters.others_received += 1
            _HANDLERS[kind](self, packet)

    def welcome(self) -> None:
        """Write CONNACK; from now on the client gets what waits for it."""
        if not self.is_open:
            return
        self.sending.welcome(self._connack(ReasonCode.SUCCESS))
        self.commons.counters.connections += 1
        self.session.outgoing.resume()
        self.pump()

    def refuse(self, reason: ReasonCode) -> None:
        """Write a CONNACK that says no, and end."""
        if not self.is_open:
            return
        self.commons.turned_away(
            reason.name.lower(),
            "Its session could not be stored.",
            address=self.peer,
            client=self.client_id,
            username=self.session.username,
        )
        self._channel.write(self._connack(reason))
        self._end(with_will=False)

    def fail(self, violation: ProtocolViolation) -> None:
        """The client broke the protocol: tell it (MQTT 5) and end the connection [MQTT-4.13.1-1]."""
        logger.info("The connection of client %.100r from %s is closed. %.300s", self.client_id, self.peer, violation)
        self.close(violation.reason_code, explanation=str(violation))

    def close(self, reason: ReasonCode, *, explanation: str | None = None) -> None:
        """End the connection from this side, and say why as far as the client can be told; idempotent.

        A client that has no CONNACK yet gets one that says so, for DISCONNECT comes only after it [MQTT-3.14.0-1].
        """
        if not self.is_open:
            return
        self.commons.counters.disconnects[reason.name.lower()] += 1
        if not self.sending.is_welcome:
            self._channel.write(self._connack(reason))
        elif self.version is Version.V5:
            if explanation is not None and self._wants_explanations:  # [MQTT-3.1.2-29]
                explanation = explanation.encode(errors="replace")[:MAX_EXPLANATION_BYTES].decode(errors="ignore")
            else:
                explanation = None
            data = writer.disconnect(
                reason,
                reason_string=explanation,
                max_packet_size_bytes=self.max_packet_size_bytes,
            )
            if self.max_packet_size_bytes is None or len(data) <= self.max_packet_size_bytes:  # [MQTT-3.1.2-24]
                self._channel.write(data)
        self._end(with_will=True)

    def lost(self) -> None:
        """The connection is gone; idempotent."""
        self._end(with_will=True)

    def rights_changed(self) -> None:
        """What its session may do has changed: ask again before the next publish."""
        self._incoming.forget_rights()

    def stop_reading(self) -> None:
        """Take nothing more from the client; what it was promised is still written."""
        self._channel.stop_reading()

    def _end(self, *, with_will: bool) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._channel.close()
        self._on_end(self, with_will)

    def _on_connect(self, _packet: Connect) -> None:
        raise ProtocolError("A second CONNECT came on one connection.")  # [MQTT-3.1.0-2]

    def _on_auth(self, _packet: Auth) -> None:
        raise ProtocolError("AUTH came, but CONNECT named no authentication method.")  # [MQTT-4.12.0-6]

    def _on_pingreq(self, _packet: PingReq) -> None:
        self.reply(writer.PINGRESP)

    def _on_disconnect(self, packet: Disconnect) -> None:
        session = self.session
        expiry_interval_s = packet.session_expiry_interval_s
        if expiry_interval_s is not None and expiry_interval_s != session.expiry_interval_s:
            if not self._asked_to_last:
                raise ProtocolError("DISCONNECT sets a session expiry interval, but CONNECT had none (§3.14.2.2.2).")
            if session.is_durable:  # else CONNACK has said that it does not outlive its connection
                session.expiry_interval_s = self.commons.sessions.expiry_interval_s(expiry_interval_s)
            if session.is_durable:
                self.commons.sessions.remember(session)
        self._end(with_will=packet.reason_code != ReasonCode.SUCCESS)  # only 0x00 deletes it [MQTT-3.1.2-8], [-10]

    def _on_publish(self, batch: PublishBatch) -> None:
        self._incoming.publish(batch)

    def _on_pubrel(self, packet: PubRel) -> None:
        self.commons.counters.others_received += len(packet.packet_ids) - 1
        self._incoming.releasing.release(packet)

    # ---- what commits decide --------------------------------------------------------------------------------------

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        """Write everything that this commit decided, in the order in which it was asked for, in one write."""
        try:
            data = self._settle(items, outcome)
            if self.is_open:
                if data:
                    self.sending.write(data)
                self.pump()
        except Exception:  # Whatever is wrong with this client, the others wait for the same commit.
            logger.exception(
                "The connection of client %.100r from %s is closed after an error.", self.client_id, self.peer
            )
            self.close(ReasonCode.UNSPECIFIED_ERROR)

    def _settle(self, items: list[Any], outcome: Outcome) -> bytes:
        reason = REASONS[outcome]
        out: list[bytes] = []
        pubacks: list[bytes] = []
        fault: Exception | None = None
        self.sending.is_settling = True
        for item in items:
            kind = type(item)
            if kind is list:
                pubacks += item
                continue
            if kind is int:
                self.count_publishes(item, WORDS.get(reason))
                continue
            if pubacks:
                out.append(self._acknowledge(pubacks, reason))
                pubacks = []
            if kind is Receipt and item.qos == 1:
                self._incoming.unanswered -= item.size
            try:
                data = item.settle(self, outcome)
                if data:
                    self.commons.counters.others_sent += item.size if kind is Receipt else 1
                    out.append(data)
            except Exception as error:  # noqa: BLE001 - told by the caller; others wait for what the next items bring
                fault = fault or error
        if pubacks:
            out.append(self._acknowledge(pubacks, reason))
        self.sending.is_settling = False
        if fault is not None:
            raise fault
        return out[0] if len(out) == 1 else b"".join(out)

    def _acknowledge(self, packet_ids: list[bytes], reason: ReasonCode) -> bytes:
        n = len(packet_ids)
        self._incoming.unanswered -= n
        self.count_publishes(n, WORDS.get(reason))
        self.commons.counters.others_sent += n
        return answer(self.version, 1, packet_ids, reason)

    def count_publishes(self, number: int, refusal: str | None) -> None:
        """Count publishes of which it is known now what became of them."""
        self.commons.counters.count_publishes(number, refusal)
        if refusal is not None:
            self.session.activity.refuse(refusal, number)

    # ---- subscriptions --------------------------------------------------------------------------------------------

    def _on_subscribe(self, packet: Subscribe) -> None:
        subscribe(self, packet)

    def _on_unsubscribe(self, packet: Unsubscribe) -> None:
        unsubscribe(self, packet)

    def refill(self) -> None:
        """Put more of what is retained into the queue, where something of it is left."""
        feed = self.session.feed
        if feed is not None:
            refill(self, feed)

    @property
    def is_writable(self) -> bool:
        """Whether it has its CONNACK, and reads."""
        return self.is_open and self.sending.is_welcome and self._channel.is_writable

    @property
    def is_ready(self) -> bool:
        """Whether a message could be sent at once: nothing waits before it."""
        return self.is_writable and not self.session.outgoing.queued

    # ---- messages to the client -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what waits, as far as the window and the connection let it."""
        self.sending.pump()
        self.refill()

    def reply(self, data: bytes) -> None:
        """Answer one packet, in one write with the other answers of this turn."""
        self.sending.reply(data)

    def _on_puback(self, packet: PubAck) -> None:
        self.sending.on_puback(packet)

    def _on_pubacks(self, packet: PubAcks) -> None:
        self.sending.on_pubacks(packet)

    def _on_pubrec(self, packet: PubRec) -> None:
        self.sending.on_pubrec(packet)

    def _on_pubcomp(self, packet: PubComp) -> None:
        self.sending.on_pubcomp(packet)


_HANDLERS: Final[dict[type, Callable[[Client, Any], None]]] = {
    PublishBatch: Client._on_publish,
    PubRel: Client._on_pubrel,
    PubAck: Client._on_puback,
    PubAcks: Client._on_pubacks,
    PubRec: Client._on_pubrec,
    PubComp: Client._on_pubcomp,
    Subscribe: Client._on_subscribe,
    Unsubscribe: Client._on_unsubscribe,
    PingReq: Client._on_pingreq,
    Disconnect: Client._on_disconnect,
    Auth: Client._on_auth,
    Connect: Client._on_connect,
}
