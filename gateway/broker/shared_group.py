"""A shared subscription: sessions that take turns with the messages of one filter (MQTT 5 §4.8.2).

Members take turns as far as they can: first those who are connected and up to date; then those who are connected and
behind; then those who are away and whose sessions wait for them. Who may not read a topic is passed over.

`_present` may hold members who have left meanwhile; they are moved to `_absent` when their turn comes. Nobody who is
connected stands in `_absent`: `arrived` takes him out. So a turn costs the same however many are away.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.broker.session import Held, Session

MAX_LOOKS: Final = 16
"""How many who are behind are passed over, in the hope of one who is not: where all are slow, looking helps nobody."""


class SharedGroup:
    """The members of `$share/{share_name}/{topic_filter}`, each with its own QoS and identifier [MQTT-4.8.2-3]."""

    __slots__ = ("_absent", "_present", "members", "topic_filter", "whole_filter")

    def __init__(self, whole_filter: str, topic_filter: str) -> None:
        self.whole_filter = whole_filter
        """As it was subscribed to, share name and all."""
        self.topic_filter = topic_filter
        """The part behind the share name."""
        self.members: dict[Session, Held] = {}
        self._present: OrderedDict[Session, None] = OrderedDict()
        self._absent: OrderedDict[Session, None] = OrderedDict()

    def join(self, session: Session, held: Held) -> bool:
        """Make it a member, or give it another QoS and identifier; false for a member already."""
        is_new = session not in self.members
        self.members[session] = held
        if is_new:
            (self._absent if session.client is None else self._present)[session] = None
        return is_new

    def leave(self, session: Session) -> bool:
        """It is no member any more; false when it was none."""
        if self.members.pop(session, None) is None:
            return False
        self._present.pop(session, None)
        self._absent.pop(session, None)
        return True

    def arrived(self, session: Session) -> None:
        """A member is connected."""
        if session in self._absent:
            del self._absent[session]
            self._present[session] = None

    def pick(self, topic: str) -> tuple[Session, Held] | None:
        """Whose turn it is with a message on the topic; None when nobody may have it."""
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
            if not session.rights.may_read(topic):
                continue
            if client.is_ready:
                return session, self.members[session]
            behind = behind or session
            looks += 1
            if looks >= MAX_LOOKS:
                break
        if behind is None:
            behind = self._next_absent(topic)
        return None if behind is None else (behind, self.members[behind])

    def _next_absent(self, topic: str) -> Session | None:
        absent = self._absent
        for _ in range(len(absent)):
            session = next(iter(absent))
            absent.move_to_end(session)
            if session.rights.may_read(topic):
                return session
        return None
