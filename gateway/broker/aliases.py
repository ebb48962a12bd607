"""Topic aliases of what is sent to an MQTT 5 client (§3.3.2.3.4): two bytes in place of a topic that it has had before.

An alias belongs to a connection. The client says how many it takes, Topic Alias Maximum; the topics that were used most
recently have them, so a subscriber to more topics than that pays three bytes for a new one and no more.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_ALIASES: Final = 64
"""For one client, however many it offers: what it costs in memory is the client's choice otherwise."""
MAX_TOPIC_CHARACTERS: Final = 512
"""Longer topics are sent as they are, for the same reason."""


class TopicAliases:
    """Topic to alias, from 1 to what the client announced [MQTT-3.1.2-26]; the least recently used one is replaced."""

    __slots__ = ("_aliases", "_free", "_maximum")

    def __init__(self, topic_alias_maximum: int) -> None:
        self._maximum = min(topic_alias_maximum, MAX_ALIASES)
        self._aliases: OrderedDict[str, int] = OrderedDict()
        self._free: list[int] = []

    def encode(self, topic: str) -> tuple[str, int | None]:
        """(topic, alias) to write into a PUBLISH; the topic is empty where the client knows the alias already."""
        aliases = self._aliases
        alias = aliases.get(topic)
        if alias is not None:
            aliases.move_to_end(topic)
            return "", alias
        if not self._maximum or len(topic) > MAX_TOPIC_CHARACTERS:
            return topic, None
        if self._free:
            alias = self._free.pop()
        elif len(aliases) < self._maximum:
            alias = len(aliases) + 1
        else:
            alias = aliases.popitem(last=False)[1]
        aliases[topic] = alias
        return topic, alias

    def forget(self, topic: str) -> None:
        """The packet that was to tell the client of the topic's alias was not sent."""
        alias = self._aliases.pop(topic, None)
        if alias is not None:
            self._free.append(alias)
