"""Whose turn it is among members of a shared subscription (MQTT 5 §4.8.2), all of whom may have what comes.

They take turns as far as they can: first those who are connected and up to date; then those who are connected and
behind; then those who are away and whose sessions wait for them.

`_present` may hold members who have left meanwhile; they are moved to `_absent` when their turn comes. Nobody who is
connected stands in `_absent`: `arrived` takes him out. So a turn costs the same however many there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.broker.held import Held
from gateway.broker.session import Session

MAX_LOOKS: Final = 16
"""How many who are behind are passed over, in the hope of one who is not: where all are slow, looking helps nobody."""


class Turns:
    """The turns of some of the `members`."""

    __slots__ = ("__weakref__", "_absent", "_members", "_present")

    def __init__(self, members: Mapping[Session, Held], who: Iterable[Session] = ()) -> None:
        self._members = members
        self._present: OrderedDict[Session, None] = OrderedDict()
        self._absent: OrderedDict[Session, None] = OrderedDict()
        for session in who:
            self.add(session)

    def add(self, session: Session) -> None:
        """One more, whose turn comes last."""
        (self._absent if session.client is None else self._present)[session] = None

    def remove(self, session: Session) -> None:
        """One less."""
        self._present.pop(session, None)
        self._absent.pop(session, None)

    def arrived(self, session: Session) -> None:
        """A member is connected."""
        if session in self._absent:
            del self._absent[session]
            self._present[session] = None

    def pick(self) -> tuple[Session, Held] | None:
        """Whose turn it is; None when there is nobody."""
        behind: Session | None = None
        looks = 0
        present = self._present
        for _ in range(len(present)):
            session = next(iter(present))
            client = session.client
            if client is None:
                del present[session]
                self._absent[session] = None
                continue
            present.move_to_end(session)
            if client.is_ready:
                return session, self._members[session]
            behind = behind or session
            looks += 1
            if looks >= MAX_LOOKS:
                break
        if behind is None and self._absent:
            behind = next(iter(self._absent))
            self._absent.move_to_end(behind)
        return None if behind is None else (behind, self._members[behind])
