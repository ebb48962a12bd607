"""Retained messages on disk: a row a topic, kept with the commit of the publish, in memory when that has ended.

A publish with an empty payload clears the topic [MQTT-3.3.1-6]. It keeps an empty row with its commit, so that a commit
that is refused clears nothing, and the row is taken away after it. Of several publishes to a topic the last one holds,
in memory as on disk, in whatever order those who wait for a commit are told of it.

With QoS 0, and with a will, memory follows also when the disk did not: the disk is `behind` then, and is given what is
in memory a little later (`book_again`), so that a restart does not bring back what was replaced or cleared.
"""

from __future__ import annotations

import logging
from typing import Final

from bridge.ports import Clock
from gateway.broker.message import Message, MessageUnreadable
from gateway.broker.retained import RetainedMessages
from gateway.spool.ports import Store, Table

logger = logging.getLogger(__name__)

_CLEARED: Final = b""


class _Changing:
    """A topic with publishes whose commits have not ended."""

    __slots__ = ("applied", "is_behind", "is_row_empty", "pending")

    def __init__(self) -> None:
        self.pending = 0
        self.applied = 0
        self.is_row_empty = False
        self.is_behind = False


class Change:
    """One publish with RETAIN on its way."""

    __slots__ = ("message", "number")

    def __init__(self, message: Message, number: int) -> None:
        self.message = message
        self.number = number


class Retaining:
    """What is retained, and its rows."""

    __slots__ = ("_behind", "_changing", "_clock", "_last_number", "_retained", "_store")

    def __init__(self, store: Store, clock: Clock, retained: RetainedMessages) -> None:
        self._store = store
        self._clock = clock
        self._retained = retained
        self._changing: dict[str, _Changing] = {}
        self._behind: dict[str, Message] = {}
        """What the disk has not got yet, by topic."""
        self._last_number = 0

    def restore(self) -> None:
        """Take what was on disk at start."""
        now_s, now_us = self._clock.monotonic_s(), self._clock.now_us()
        messages = []
        for topic, body in self._store.load(Table.RETAINED):
            if body == _CLEARED:
                self._store.discard(Table.RETAINED, topic)
                continue
            try:
                messages.append(Message.unpack(body, now_s=now_s, now_us=now_us))
            except MessageUnreadable as error:
                logger.warning("The retained message of topic %r is left out: it cannot be read. %s", topic, error)
        self._retained.restore(messages)
        self.forget_expired()

    def book(self, message: Message) -> Change | None:
        """Have the row in the open commit; None when there is no room, or nothing to clear."""
        topic = message.topic
        changing = self._changing.get(topic)
        if not message.payload and changing is None and self._retained.get(topic) is None:
            return None
        if not self._retained.may_keep(message):
            return None
        if changing is None:
            changing = self._changing[topic] = _Changing()
        changing.pending += 1
        body = _CLEARED
        if message.payload:
            body = message.pack(now_s=self._clock.monotonic_s(), now_us=self._clock.now_us())
        self._store.keep(Table.RETAINED, topic, body)
        self._last_number += 1
        return Change(message, self._last_number)

    def settle(self, change: Change, *, is_stored: bool, is_taken: bool) -> None:
        """Its commit has ended. `is_stored`: the row is on disk; `is_taken`: memory follows (QoS 0: in any case)."""
        topic = change.message.topic
        changing = self._changing[topic]
        changing.pending -= 1
        if is_taken and change.number > changing.applied:
            changing.applied = change.number
            has_room = self._retained.keep(change.message)
            changing.is_behind = not is_stored
            if is_stored:
                changing.is_row_empty = not change.message.payload or not has_room
                self._behind.pop(topic, None)
        if changing.pending == 0:
            del self._changing[topic]
            if changing.is_row_empty or changing.is_behind:  # a row out of date is worse than none
                self._store.discard(Table.RETAINED, topic)
            message = self._retained.get(topic)
            if changing.is_behind and message is not None:
                self._behind[topic] = message

    def book_again(self) -> list[Change]:
        """Have in the open commit what the disk did not take, as far as it still holds."""
        behind, self._behind = self._behind, {}
        changes = []
        for topic, message in behind.items():
            if topic not in self._changing and self._retained.get(topic) is message:
                change = self.book(message)
                if change is not None:
                    changes.append(change)
        return changes

    def forget_expired(self) -> None:
        """Forget the messages whose Message Expiry Interval has passed, on disk too."""
        for topic in self._retained.forget_expired(self._clock.monotonic_s()):
            if topic not in self._changing:
                self._store.discard(Table.RETAINED, topic)
