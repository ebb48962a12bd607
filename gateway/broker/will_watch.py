"""When wills are published (MQTT 5 §3.1.2.5, §3.1.3.2.2).

A will is in its session from CONNECT until it is published or deleted, so that a durable session has it on disk:

    DISCONNECT 0x00                       deleted [MQTT-3.1.2-8], [-10]
    any other end of the connection       published when its delay has passed, at once without one
    the session ends before that          published then (§3.1.3.2.2)
    the client is back before that        not published [MQTT-3.1.3-9]: CONNECT brings its own; but where that is
                                          refused, because the disk does not take it, all stays as it was
    the gateway is killed                 durable sessions: published after the delay, counted from the restart
    the gateway is stopped                without a delay: published before it stops; with one: as if it was killed

The specification lets a server that stops put off the publishing until it is back, and does not let it drop a will.
Mosquitto publishes all of them when it stops, and its source says that those with a delay should rather be kept: that
is what is done here. A will without a delay tells that the client cannot be reached, and while the gateway is away it
cannot be. One with a delay asks not to be told of short absences, such as a restart; a session that ends with its
connection has no delay, whatever it asked for.

A session that ends with its connection leaves nothing on disk, so its will is lost when the gateway is killed.
What is published leaves the session's snapshot in the commit that has its record: both are on disk, or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from bridge.ports import Clock
from gateway.broker.agenda import Agenda
from gateway.broker.session import Session
from gateway.mqtt.packets import Will

MAX_WILLS_BYTES: Final = 64 * 1024 * 1024
"""Of all sessions, in memory: each may be as long as a CONNECT, and there may be a hundred thousand."""


class WillWatch:
    """The wills of all sessions. `publish` publishes one; `remember` has a session in the store's open commit."""

    __slots__ = ("_agenda", "_clock", "_publish", "_remember", "size_bytes")

    def __init__(
        self,
        *,
        clock: Clock,
        agenda: Agenda,
        publish: Callable[[Session, Will], None],
        remember: Callable[[Session], object],
    ) -> None:
        self._clock = clock
        self._agenda = agenda
        self._publish = publish
        self._remember = remember
        self.size_bytes = 0
        """What they take in memory, roughly."""

    def has_room_for(self, will: Will) -> bool:
        """Whether one more may be kept."""
        return self.size_bytes + _weight_bytes(will) <= MAX_WILLS_BYTES

    def connected(self, session: Session, will: Will | None) -> tuple[Will | None, float | None]:
        """The session goes on, or begins, with a new connection and its will.

        Returns what `put_back` needs: the will that had its delay still, and when that ends.
        """
        key = ("will", session.client_id)
        due_s = self._agenda.due_s(key)
        if due_s is not None and due_s <= self._clock.monotonic_s():
            self._agenda.hurry(key)  # it was to be published with the next tick
        before = session.will, due_s
        self._agenda.cancel(key)
        if session.will != will:
            self._set(session, will)
            session.change += 1
        return before

    def put_back(self, session: Session, will: Will | None, due_s: float | None) -> None:
        """The new connection did not come to be: the will before it is published when it would have been."""
        self._agenda.cancel(("will", session.client_id))
        self._set(session, will)
        if will is not None and due_s is not None:
            self._agenda.add(("will", session.client_id), due_s, partial(self._publish_now, session))

    def lost(self, session: Session) -> None:
        """The connection has ended in any way but DISCONNECT 0x00."""
        if session.will is None:
            return
        delay_s = _delay_s(session)
        if delay_s:
            self._later(session, delay_s)
        else:
            self._publish_now(session)

    def delete(self, session: Session) -> None:
        """The client does not want it published any more."""
        if session.will is not None:
            self._set(session, None)
            if session.is_durable:
                self._remember(session)

    def session_ended(self, session: Session) -> None:
        """Nothing is waited for any longer."""
        self._agenda.hurry(("will", session.client_id))
        self._set(session, None)

    def restore(self, session: Session) -> None:
        """A session of the disk: its connection, if it had one, ended when the gateway did."""
        if session.will is not None:
            self.size_bytes += _weight_bytes(session.will)
            self._later(session, _delay_s(session))

    def gateway_stops(self, sessions: Iterable[Session]) -> None:
        """Publish what has no delay; the rest is on disk."""
        for session in list(sessions):
            if session.will is not None and not _delay_s(session):
                self._agenda.cancel(("will", session.client_id))
                self._publish_now(session)

    def _set(self, session: Session, will: Will | None) -> None:
        if session.will is not None:
            self.size_bytes -= _weight_bytes(session.will)
        if will is not None:
            self.size_bytes += _weight_bytes(will)
        session.will = will

    def _later(self, session: Session, delay_s: float) -> None:
        due_s = self._clock.monotonic_s() + delay_s
        self._agenda.add(("will", session.client_id), due_s, partial(self._publish_now, session))

    def _publish_now(self, session: Session) -> None:
        will = session.will
        if will is None:
            return
        self._set(session, None)
        if session.is_durable:
            self._remember(session)
        self._publish(session, will)


def _delay_s(session: Session) -> int:
    """Never beyond the session's end (§3.1.3.2.2)."""
    return 0 if session.will is None else min(session.will.delay_interval_s, session.expiry_interval_s)


def _weight_bytes(will: Will) -> int:
    properties = 0 if will.properties is None else will.properties.size_bytes
    return 256 + len(will.topic) + len(will.payload) + properties
