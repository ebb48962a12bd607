"""All sessions: found or made at CONNECT, kept on disk, ended when their time is over (MQTT 5 §4.1).

A durable session's snapshot goes into the store's open commit whenever it changes (`remember`). A session that has
ended is taken off the disk, as often as it takes until that is known to have happened: a client that comes back must
not find what it was told is gone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from bridge.ports import Clock
from config import settings
from gateway.access.ports import NO_RIGHTS, Entry, Granted
from gateway.broker.activity import Activities
from gateway.broker.agenda import TRY_AGAIN_AFTER_S, Actions, Agenda
from gateway.broker.entitlements import Entitlements
from gateway.broker.ports import Connected
from gateway.broker.queue_limits import QueueLimits
from gateway.broker.session import NEVER_EXPIRES, Session, SnapshotUnreadable
from gateway.mqtt.packets import Connect, Version
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome, Store

logger = logging.getLogger(__name__)

MAX_SESSIONS_BYTES: Final = 256 * 1024 * 1024
SESSION_BYTES: Final = 2048
"""What all sessions may take in memory with their names, of which each may have 64 KiB, and what one takes, roughly."""

MAX_NAMED: Final = 10
"""Sessions that a line of the log names."""

ASIDE: Final = "\0unreadable\0"
"""Before the client id of a snapshot that cannot be read, on disk: no client id has such a character (§1.5.4)."""

MAX_NUMBER: Final = 2**31 - 1
"""Rows of the disk have 63 bits for a session's number and a place in its queue, which takes 32 of them."""


class Sessions(dict[str, Session]):
    """Client id to session. `on_end` is called with each session that ends, while it still is in here,
    `on_rights` with each that may do other things than before."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        limits: settings.Sessions,
        entries: Mapping[str, Entry] | None,
        queue_limits: QueueLimits | None,
        on_end: Callable[[Session], None],
        on_rights: Callable[[Session], None],
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._limits = limits
        self.entitlements = Entitlements(entries)
        """What clients may do."""
        self._queue_limits = queue_limits
        self._on_end = on_end
        self._on_rights = on_rights
        self._actions = Actions()
        self._activities = Activities()
        self._numbers: set[int] = set()
        self._last_number = 0
        self.expired = 0
        """How many have ended because their client stayed away for too long."""
        self.size_bytes = 0
        """What they take in memory, roughly, but for what waits in them and what they subscribed to."""
        self._of_user: Counter[str] = Counter()
        """How many sessions each user has, where that is limited."""
        self._forgetting: dict[str, int] = {}
        """Sessions that have ended, and that the disk may still have: how often it was asked to forget each."""
        self.unreadable: set[str] = set()
        """Client ids of snapshots that cannot be read."""
        self._not_aside: dict[str, bytes] = {}
        """Those of them that stand in the place of a session: the next one under the client id would take it."""

    def limit(self, limits: settings.Sessions) -> None:
        """Have other limits; sessions and messages above them stay until they are gone."""
        before, self._limits = self._limits, limits
        if self._queue_limits is not None:
            self._queue_limits.follow(limits)
        if (limits.max_sessions_per_user is None) != (before.max_sessions_per_user is None):
            is_counted = limits.max_sessions_per_user is not None
            names = (session.username for session in self.values() if session.username is not None)
            self._of_user = Counter(names if is_counted else ())

    def restore(self, snapshots: dict[str, bytes]) -> None:
        """Make the sessions that were on disk; what cannot be read is left out and told, and stays on disk."""
        for client_id, snapshot in snapshots.items():
            if client_id.startswith(ASIDE):
                self.unreadable.add(client_id.removeprefix(ASIDE))
                continue
            try:
                session = Session.restore(client_id, snapshot, self._queue_limits)
            except SnapshotUnreadable as error:
                logger.warning(
                    "The stored session of client %.100r is left out: it cannot be read. %s", client_id, error
                )
                self.unreadable.add(client_id)
                self._not_aside[client_id] = snapshot
                continue
            self[client_id] = session
            self._count(session, 1)
            self._last_number = max(self._last_number, session.number)
            session.expiry_interval_s = self.expiry_interval_s(session.expiry_interval_s)
            session.rights = self.entitlements.rights(session.access, client_id, session.username)
            self.expire_later(session)
            self._numbers.add(session.number)
        self._warn_of_lost_access()

    def give_numbers(self, taken: Iterable[int]) -> None:
        """Give one to each session of the first version: its rows need one that stays. Those `taken` have rows."""
        self._numbers.update(taken)
        self._last_number = max(self._last_number, *taken, 0)
        for session in self.values():
            if not session.number:
                session.number = self._new_number()
                self._numbers.add(session.number)
                self.remember(session)

    def _warn_of_lost_access(self) -> None:
        """Name the sessions that nobody can come back to, because the settings have no such access any more."""
        lost: dict[str, list[str]] = {}
        for session in self.values():
            if self.entitlements.is_lost(session.access):
                lost.setdefault(session.access, []).append(session.client_id)
        for access, client_ids in lost.items():
            more = f" and {len(client_ids) - MAX_NAMED} more" if len(client_ids) > MAX_NAMED else ""
            logger.warning(
                "There is no access %r in the settings any more: what waits for its sessions (%s%s) is not delivered, "
                "and a client that comes back by another access begins anew. To have it delivered, give the access "
                "that name again.",
                access,
                ", ".join(f"{client_id:.100}" for client_id in client_ids[:MAX_NAMED]),
                more,
            )

    def renew_rights(self) -> tuple[list[Session], list[Session]]:
        """Ask every entry anew what each session may do.

        Returns those whose users it no longer knows, and those of them whose users were removed: they may do nothing.
        """
        self.entitlements.forget()
        unknown, removed = [], []
        for session in self.values():
            session.rights = self.entitlements.rights(session.access, session.client_id, session.username)
            entry = self.entitlements.entry(session.access)
            if entry is not None and not entry.still_knows(session.username):
                unknown.append(session)
                if entry.has_removed(session.username):
                    session.rights = NO_RIGHTS
                    removed.append(session)
        return unknown, removed

    def clients(self) -> list[Connected]:
        """Those who are connected."""
        return [session.client for session in self.values() if session.client is not None]

    # ---- life -----------------------------------------------------------------------------------------------------

    def lacks_room_for(self, client_id: str, granted: Granted) -> bool:
        """Whether one session more would be too many, in all or for this user."""
        old = self.get(client_id)
        if old is not None and _is_for(old, granted):
            return False
        most = self._limits.max_sessions_per_user
        return (
            len(self) - (old is not None) >= self._limits.max_sessions
            or self.size_bytes >= MAX_SESSIONS_BYTES
            or (most is not None and granted.username is not None and self._of_user[granted.username] >= most)
        )

    def expiry_interval_s(self, asked_s: int) -> int:
        """How long a session outlives its connection, if it asks for so much."""
        most = self._limits.max_expiry_s
        return asked_s if most is None else min(asked_s, most)

    def take(self, packet: Connect, client_id: str, granted: Granted) -> tuple[Session, bool]:
        """The session of a CONNECT, and whether it was there; takes over from an open connection.

        A session stays with its user, and he with the rules of entry that know him: what waits in it was meant for
        nobody else, and another access may mean somebody else by the same name.
        """
        old = self.get(client_id)
        was_on_disk = client_id in self._forgetting if old is None else old.on_disk
        if old is not None and old.client is not None:
            old.client.close(ReasonCode.SESSION_TAKEN_OVER)  # [MQTT-3.1.4-3]
            old = self.get(client_id)
        if old is not None and (packet.clean_start or not _is_for(old, granted)):
            self.end(old)  # [MQTT-3.1.2-4]
            old = None
        expiry_interval_s = self.expiry_interval_s(_asked_expiry_s(packet))
        if old is None:
            session = Session(client_id, expiry_interval_s, self._queue_limits)
            session.activity = self._activities.take(client_id)
            session.on_disk = was_on_disk
            session.username = granted.username
            self[client_id] = session
            self._count(session, 1)
        else:
            session = old
            self._agenda.cancel(("expiry", client_id))
            if session.expiry_interval_s != expiry_interval_s or session.access != granted.access:
                session.expiry_interval_s = expiry_interval_s
                session.change += 1
        if old is None or session.access != granted.access:  # one of the first version did not know its own
            session.access = granted.access
            session.rights = self.entitlements.rights(granted.access, client_id, granted.username)
            self._on_rights(session)
        if session.is_durable and not session.number:
            session.number = self._new_number()
            self._numbers.add(session.number)
        return session, old is not None

    def _count(self, session: Session, change: int) -> None:
        self.size_bytes += change * (SESSION_BYTES + len(session.client_id) + len(session.username or ""))
        if session.username is None or self._limits.max_sessions_per_user is None:
            return
        self._of_user[session.username] += change
        if not self._of_user[session.username]:
            del self._of_user[session.username]

    def _new_number(self) -> int:
        """The next number; from the beginning again after two thousand million, leaving out what is in use."""
        number = self._last_number
        while True:
            number = number % MAX_NUMBER + 1
            if number not in self._numbers:
                self._last_number = number
                return number

    def left(self, session: Session) -> None:
        """The session's connection has ended: so has the session, unless it is durable."""
        if self.get(session.client_id) is not session:
            return
        if session.is_durable:
            self.expire_later(session)
        else:
            self.end(session)

    def expire_later(self, session: Session) -> None:
        """End the session when its expiry interval has passed from now."""
        self._agenda.cancel(("expiry", session.client_id))
        if session.expiry_interval_s < NEVER_EXPIRES:
            due_s = self._clock.monotonic_s() + session.expiry_interval_s
            self._agenda.add(("expiry", session.client_id), due_s, partial(self._expire, session))

    def _expire(self, session: Session) -> None:
        self.expired += 1
        self.end(session)

    def end(self, session: Session) -> None:
        """Forget the session, in memory and on disk."""
        client_id = session.client_id
        self._agenda.cancel(("expiry", client_id))
        self._on_end(session)
        del self[client_id]
        self._count(session, -1)
        self._activities.keep(client_id, session.activity)
        self._numbers.discard(session.number)
        if session.on_disk:
            self._forget(client_id)

    # ---- the disk -------------------------------------------------------------------------------------------------

    def remember(self, session: Session) -> int:
        """Have the session in the open commit; returns the number of the change."""
        session.change += 1
        session.on_disk = session.is_durable or session.on_disk
        if session.client_id in self._not_aside:
            self._set_aside(session.client_id)
        self._store.remember(session.client_id, partial(self._snapshot, session.client_id))
        return session.change

    def _snapshot(self, client_id: str) -> bytes | None:
        """What the disk shall have for the client id when the commit closes: the session of that moment."""
        session = self.get(client_id)
        if session is not None and session.is_durable:
            return session.snapshot()
        return self._not_aside.get(client_id)

    def _set_aside(self, client_id: str) -> None:
        """Have the disk keep a snapshot that cannot be read, with the commit that puts another one in its place."""
        snapshot = self._not_aside[client_id]
        self._store.remember(ASIDE + client_id, lambda: snapshot)

        def committed(outcome: Outcome) -> None:
            if outcome is Outcome.DURABLE:
                self._not_aside.pop(client_id, None)

        self._store.after_commit(self._actions, committed)

    def _forget(self, client_id: str) -> None:
        """Take an ended session off the disk; again a little later, until that is known to have happened."""
        self._forgetting[client_id] = number = self._forgetting.get(client_id, 0) + 1
        self._store.remember(client_id, partial(self._snapshot, client_id))

        def committed(outcome: Outcome) -> None:
            if self._forgetting.get(client_id) != number:
                return
            if outcome is Outcome.DURABLE:
                del self._forgetting[client_id]
            else:
                due_s = self._clock.monotonic_s() + TRY_AGAIN_AFTER_S
                self._agenda.add(("forget", client_id), due_s, partial(self._forget, client_id))

        self._store.after_commit(self._actions, committed)


def _is_for(session: Session, granted: Granted) -> bool:
    """Whether it is the session of whoever was let in; those of the first version do not know by which access."""
    return session.username == granted.username and session.access in {"", granted.access}


def _asked_expiry_s(packet: Connect) -> int:
    """How long the session shall outlive the connection; 3.1.1's clean session 0: for ever (MQTT 5 §3.1.2.11.2)."""
    if packet.version is Version.V5:
        return packet.session_expiry_interval_s or 0
    return 0 if packet.clean_start else NEVER_EXPIRES
