"""A shared subscription: sessions that take turns with the messages of one filter (MQTT 5 §4.8.2).

Who may not read a topic has no turn with it. Who may is asked of all members once a topic, when its route is looked up,
and kept there (`gateway.broker.routes`) until members or rights change. Topics with the same readers share their turns.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from gateway.broker.held import Held
from gateway.broker.session import Session
from gateway.broker.turns import Turns


class SharedGroup:
    """The members of `$share/{share_name}/{topic_filter}`, each with its own QoS and identifier [MQTT-4.8.2-3]."""

    __slots__ = ("_everyone", "_some", "listed", "members", "topic_filter", "whole_filter")

    def __init__(self, whole_filter: str, topic_filter: str) -> None:
        self.whole_filter = whole_filter
        """As it was subscribed to, share name and all."""
        self.topic_filter = topic_filter
        """The part behind the share name."""
        self.members: dict[Session, Held] = {}
        self._everyone = Turns(self.members)
        self._some: WeakValueDictionary[tuple[Session, ...], Turns] = WeakValueDictionary()
        """Turns of those who may read some topics, where these are not all members, as long as a route has them."""
        self.listed = 0
        """How many readers were put into such turns, in all: what is kept of them takes memory."""

    def join(self, session: Session, held: Held) -> bool:
        """Make it a member, or give it another QoS and identifier; false for a member already."""
        is_new = session not in self.members
        self.members[session] = held
        if is_new:
            self._everyone.add(session)
        return is_new

    def leave(self, session: Session) -> bool:
        """It is no member any more; false when it was none."""
        if self.members.pop(session, None) is None:
            return False
        for turns in (self._everyone, *self._some.values()):
            turns.remove(session)
        return True

    def arrived(self, session: Session) -> None:
        """A member is connected."""
        for turns in (self._everyone, *self._some.values()):
            turns.arrived(session)

    def turns(self, topic: str) -> Turns:
        """The turns of those who may read the topic, as long as members and rights stay what they are."""
        readers = tuple(
            session for session in self.members if session.rights.is_unlimited or session.rights.may_read(topic)
        )
        if len(readers) == len(self.members):
            return self._everyone
        turns = self._some.get(readers)
        if turns is None:
            turns = self._some[readers] = Turns(self.members, readers)
            self.listed += len(readers)
        return turns

    def pick(self, topic: str) -> tuple[Session, Held] | None:
        """Whose turn it is with one message on the topic; None when nobody may have it."""
        return self.turns(topic).pick()
