"""The last message of each topic that was published with RETAIN, kept in memory (MQTT 5 §3.3.1.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.broker.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedLimits:
    """How much may be retained; a message that would go past it is delivered, but not kept, and counted."""

    max_messages: int = 100_000
    max_bytes: int = 64 * 1024 * 1024


class RetainedMessages:
    """Topic to retained message."""

    __slots__ = ("_limits", "_messages", "refused", "size_bytes")

    def __init__(self, limits: RetainedLimits | None = None) -> None:
        self._limits = limits or RetainedLimits()
        self._messages: dict[str, Message] = {}
        self.size_bytes = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._messages)

    def keep(self, message: Message) -> bool:
        """Replace the topic's message; an empty payload only removes it [MQTT-3.3.1-6]. False when there is no room."""
        old = self._messages.pop(message.topic, None)
        if old is not None:
            self.size_bytes -= old.size_bytes
        if not message.payload:
            return True
        limits = self._limits
        if len(self._messages) >= limits.max_messages or self.size_bytes + message.size_bytes > limits.max_bytes:
            self.refused += 1
            return False
        self._messages[message.topic] = message
        self.size_bytes += message.size_bytes
        return True

    def match(self, topic_filter: str, now_s: float) -> list[Message]:
        """The messages that a new subscription to the filter gets; those found expired are forgotten."""
        if "+" not in topic_filter and "#" not in topic_filter:
            message = self._messages.get(topic_filter)
            found = [] if message is None else [message]
        else:
            matches = _pattern(topic_filter).fullmatch
            found = [message for topic, message in self._messages.items() if matches(topic)]
        fresh = []
        for message in found:
            if message.is_expired(now_s):
                del self._messages[message.topic]
                self.size_bytes -= message.size_bytes
            else:
                fresh.append(message)
        return fresh


def _pattern(topic_filter: str) -> re.Pattern[str]:
    """The filter as an expression; a leading wildcard does not match a leading `$` [MQTT-4.7.2-1]."""
    text = "".join(
        "[^/]*" if part == "+" else "/" if part == "/" else re.escape(part)
        for part in re.split("(/)", topic_filter.removesuffix("#"))
    )
    if topic_filter == "#":
        text = ".*"
    elif topic_filter.endswith("/#"):
        text = text.removesuffix("/") + "(?:/.*)?"
    return re.compile(("(?!\\$)" if topic_filter[0] in "+#" else "") + text, re.DOTALL)
