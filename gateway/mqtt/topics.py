"""Topic names and topic filters (MQTT 5 §4.7), shared subscriptions (§4.8.2), and which filter takes which topic.

A topic is levels between slashes. In a filter, `+` stands for one whole level and `#`, last, for the level before it
and all below. Filters that begin with a wildcard take no topic that begins with `$` [MQTT-4.7.2-1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.settings import Limits
from gateway.mqtt.errors import MalformedPacket, TopicFilterInvalid, TopicNameInvalid
from gateway.mqtt.strings import MAX_STRING_BYTES, decode_identifier

MAX_TOPIC_LEVELS: Final = Limits().max_topic_levels
"""Where nobody says otherwise. A topic of thousands of empty levels is an attack on whoever walks trees of levels."""

SHARE = "$share/"
_SHARE_ALONE: Final = "$share"
"""Nobody's topic: more likely a shared subscription that was written wrongly."""


def check_topic_name(raw: bytes, max_levels: int = MAX_TOPIC_LEVELS) -> str:
    """The topic name that these bytes of a PUBLISH are. Raises TopicNameInvalid.

    At least one character [MQTT-4.7.3-1], UTF-8 without NUL, control characters and noncharacters [MQTT-4.7.3-2], no
    wildcards [MQTT-3.3.2-2], at most `max_levels` levels.
    """
    try:
        topic = decode_identifier(raw, "topic name")
    except MalformedPacket as error:
        raise TopicNameInvalid(str(error)) from None
    if not topic:
        raise TopicNameInvalid("The topic name is empty.")
    if "+" in topic or "#" in topic:
        raise TopicNameInvalid(f"The topic name {topic!r} contains a wildcard, which only filters may have.")
    if topic.count("/") >= max_levels:
        raise TopicNameInvalid(f"The topic name has more than {max_levels} levels.")
    return topic


def check_topic_filter(raw: bytes, max_levels: int = MAX_TOPIC_LEVELS) -> str:
    """The topic filter that these bytes of a SUBSCRIBE or UNSUBSCRIBE are. Raises TopicFilterInvalid."""
    try:
        topic_filter = decode_identifier(raw, "topic filter")
    except MalformedPacket as error:
        raise TopicFilterInvalid(str(error)) from None
    validate_topic_filter(topic_filter, max_levels)
    return topic_filter


def validate_topic_filter(topic_filter: str, max_levels: int = MAX_TOPIC_LEVELS) -> None:
    """Raises TopicFilterInvalid unless §4.7 and, where it begins with `$share/`, §4.8.2 allow the filter."""
    if topic_filter.startswith(SHARE) or topic_filter == _SHARE_ALONE:
        parse_shared(topic_filter, max_levels)
        return
    _validate_levels(topic_filter, topic_filter, max_levels)


def _validate_levels(topic_filter: str, whole: str, max_levels: int) -> None:
    if not topic_filter:
        raise TopicFilterInvalid(f"The topic filter {whole!r} is empty." if not whole else f"{whole!r} has no filter.")
    if len(topic_filter.encode()) > MAX_STRING_BYTES:
        raise TopicFilterInvalid(f"The topic filter is longer than {MAX_STRING_BYTES} bytes.")
    levels = topic_filter.split("/")
    if len(levels) > max_levels:
        raise TopicFilterInvalid(f"The topic filter has more than {max_levels} levels.")
    for level in levels:
        if "+" in level and level != "+":
            raise TopicFilterInvalid(f"In the topic filter {whole!r}, '+' must stand for a whole level.")
        if "#" in level and level != "#":
            raise TopicFilterInvalid(f"In the topic filter {whole!r}, '#' must stand for a whole level.")
    if "#" in levels[:-1]:
        raise TopicFilterInvalid(f"In the topic filter {whole!r}, '#' must be the last level.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSubscription:
    """`$share/{share_name}/{topic_filter}` (§4.8.2)."""

    share_name: str
    topic_filter: str


def parse_shared(topic_filter: str, max_levels: int = MAX_STRING_BYTES) -> SharedSubscription | None:
    """The parts of a shared subscription's filter; None when it is an ordinary one. Raises TopicFilterInvalid.

    Without `max_levels` for one whose levels were counted when it came: it may have what was allowed then.
    """
    if not topic_filter.startswith(SHARE) and topic_filter != _SHARE_ALONE:
        return None
    share_name, slash, shared_filter = topic_filter[len(SHARE) :].partition("/")
    if not share_name or "+" in share_name or "#" in share_name:
        raise TopicFilterInvalid(f"{topic_filter!r} has no share name, or one with a wildcard in it.")  # [MQTT-4.8.2-1]
    if not slash or not shared_filter:
        raise TopicFilterInvalid(f"{topic_filter!r} has no topic filter after its share name.")  # [MQTT-4.8.2-2]
    _validate_levels(shared_filter, topic_filter, max_levels)
    return SharedSubscription(share_name=share_name, topic_filter=shared_filter)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an ordinary, valid filter takes a valid topic name (§4.7.1, §4.7.2)."""
    if topic_filter == topic:
        return True
    if topic[:1] == "$" and topic_filter[:1] in {"+", "#"}:
        return False  # [MQTT-4.7.2-1]
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        if len(levels) < len(wanted):
            return False
        levels = levels[: len(wanted)]  # `sport/#` takes `sport` too: § 4.7.1.2
    elif len(levels) != len(wanted):
        return False
    return all(want in {"+", level} for want, level in zip(wanted, levels, strict=True))
