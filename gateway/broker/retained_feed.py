"""The retained messages that a session's new subscriptions still have to get (MQTT 5 §3.3.1.3).

They may be more than a queue holds. So they are not put there at once, but taken from what is retained as the queue
drains (`gateway.broker.refilling`); a walk through it holds a few words of memory, whatever it finds. What changes
meanwhile is given as it is then. A feed outlives the connection, as its session does, but not the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.broker.held import Held
from gateway.broker.message import Message
from gateway.broker.retained import Matches


class RetainedFeed:
    """The walks of one session, oldest first; `subscriptions` are the session's own, as they change."""

    __slots__ = ("_left", "_subscriptions", "_walks", "is_refilling")

    def __init__(self, subscriptions: Mapping[str, Held]) -> None:
        self._subscriptions = subscriptions
        self._walks: dict[str, tuple[Matches, int]] = {}
        self.is_refilling = False
        """Whether somebody is taking from it just now."""
        self._left: list[tuple[Message, Held]] = []
        """There was no room for these: they are the next."""

    def __bool__(self) -> bool:
        return bool(self._walks or self._left)

    def add(self, topic_filter: str, matches: Matches, arrivals: int) -> None:
        """A new subscription to the filter: one more walk. What came after `arrivals` was given to it as it came."""
        held = self._subscriptions
        if len(self._walks) >= len(held):  # some are of filters that were unsubscribed, while the queue was full
            self._walks = {each: walk for each, walk in self._walks.items() if each in held}
        self._walks.pop(topic_filter, None)  # what it had left is in the new one, too
        self._walks[topic_filter] = (matches, arrivals)

    def put_back(self, left: list[tuple[Message, Held]]) -> None:
        """There was no room for these of what was taken."""
        self._left = left

    def take(
        self, max_messages: int, now_s: float, is_wanted: Callable[[Message, Held], bool]
    ) -> list[tuple[Message, Held]]:
        """Some messages with the subscriptions that they are for; none, also when only so much work was enough."""
        if self._left:
            left, self._left = self._left, []
            # Rights may have changed since.
            return [(message, held) for message, held in left if is_wanted(message, held)]
        walks = self._walks
        while walks:
            topic_filter, (matches, arrivals) = next(iter(walks.items()))
            held = self._subscriptions.get(topic_filter)
            if held is None:  # unsubscribed meanwhile
                del walks[topic_filter]
                continue
            found = [
                (message, held)
                for message in matches.take(max_messages, now_s)
                if message.arrival <= arrivals and is_wanted(message, held)
            ]
            if matches.is_done:
                del walks[topic_filter]
            return found
        return []
