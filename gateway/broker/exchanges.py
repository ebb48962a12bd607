"""What of a client waits for a commit, and how it ends.

A client gives these to `Store.after_commit`; when the commit has ended, `settle` is called on each in the order in
which they were given, so that acknowledgements leave in the order in which the publishes came [MQTT-4.6.0-2]. The two
most frequent ones have no class: a run of QoS 1 publishes that only had to be stored waits as its list of packet ids,
and a run of QoS 0 as its number.

| outcome        | PUBLISH QoS 1 and 2                                  | PUBREL, UNSUBSCRIBE | SUBSCRIBE | CONNECT |
| -------------- | ---------------------------------------------------- | ------------------- | --------- | ------- |
| DURABLE        | PUBACK, PUBREC                                       | PUBCOMP, UNSUBACK   | SUBACK    | CONNACK |
| FULL, FAILED   | reason 0x97, 0x80; nothing for 3.1.1; id not pending | tried again later   | refused   | refused |

Those of PUBLISH are here; the others stand with what makes them (`releasing`, `subscription_packets`, `connecting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gateway.broker.booking import Booking
from gateway.broker.commons import Party
from gateway.broker.outcomes import REASONS, WORDS, answer
from gateway.broker.ports import Promised
from gateway.broker.session import Session
from gateway.broker.watched_run import WatchedRun
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome


class Receipt:
    """A run of publishes that needs more than PUBACKs: QoS 2, local subscribers, retained or refused ones.

    `refusals` are reasons by position in the run. `needs_disk` is false when nothing of them is in the commit, neither
    in a stream nor for a session nor as retained: then they are accepted however the commit ends.
    """

    __slots__ = (
        "booking",
        "change",
        "needs_disk",
        "outcome",
        "packet_ids",
        "qos",
        "refusals",
        "session",
        "size",
        "watched",
    )

    def __init__(
        self,
        session: Session,
        qos: int,
        packet_ids: Sequence[bytes],
        *,
        size: int,
        booking: Booking | None = None,
        refusals: dict[int, ReasonCode] | None = None,
        needs_disk: bool = True,
        watched: WatchedRun | None = None,
    ) -> None:
        self.session = session
        self.qos = qos
        self.packet_ids = packet_ids
        self.size = size
        self.booking = booking
        self.refusals = refusals
        self.needs_disk = needs_disk
        self.watched = watched
        self.change = 0
        self.outcome: Outcome | None = None

    def settle(self, client: Party, outcome: Outcome) -> bytes:
        """Deliver, count, and answer."""
        if not self.needs_disk:
            outcome = Outcome.DURABLE
        self.outcome = outcome
        if outcome is Outcome.DURABLE:
            self.session.saved = max(self.session.saved, self.change)
        elif self.qos == 2:
            # The client will send them anew: an id left behind would make the new one look like a duplicate.
            awaiting = self.session.awaiting_release
            for packet_id in self.packet_ids:
                if awaiting.get(packet_id) is self:
                    del awaiting[packet_id]
        booking, self.booking = self.booking, None  # the receipt of QoS 2 stays until PUBREL; what it brought need not
        if booking is not None:
            is_stored = outcome is Outcome.DURABLE
            client.commons.delivery.settle(booking, is_stored=is_stored, is_taken=is_stored or self.qos == 0)
        if self.watched is not None:
            if outcome is Outcome.DURABLE:
                self.watched.show()
            self.watched = None
        data = self._answer(client, REASONS[outcome])
        self.packet_ids = ()  # as for the ids, which may be tens of thousands
        return data

    def _answer(self, client: Party, reason: ReasonCode) -> bytes:
        if not self.refusals:
            client.count_publishes(self.size, WORDS.get(reason))
            if self.qos == 0:
                return b""
            return answer(client.version, self.qos, self.packet_ids, reason)
        reasons = [self.refusals.get(i, reason) for i in range(self.size)]
        for each in reasons:
            client.count_publishes(1, WORDS.get(each))
        if self.qos == 0:
            return b""
        runs = groupby(zip(reasons, self.packet_ids, strict=True), key=lambda pair: pair[0])
        return b"".join(answer(client.version, self.qos, [pair[1] for pair in run], each) for each, run in runs)


class Repeat:
    """A QoS 2 publish that is here already: answered as the first one was, and not before it."""

    __slots__ = ("first", "packet_id")

    def __init__(self, packet_id: bytes, first: Promised | None) -> None:
        self.packet_id = packet_id
        self.first = first
        """None: it came before the last start, and is on disk."""

    def settle(self, client: Party, outcome: Outcome) -> bytes:  # noqa: ARG002 - its own commit says nothing about it
        """Say what became of the first."""
        first = Outcome.DURABLE if self.first is None else self.first.outcome
        if first is None:  # Commits end in order, so the first one has ended when a later one has.
            return b""
        return answer(client.version, 2, [self.packet_id], REASONS[first])
