"""Topics and filters as they may be sent. Pure."""

from __future__ import annotations

from config.topics import check_topic_filter


def check_topic(text: str) -> None:
    """A topic to publish to [MQTT-3.3.2-2]; ValueError says what is wrong."""
    if not text:
        raise ValueError("expected a topic, found an empty text")
    check_filter(text)
    if "+" in text or "#" in text:
        raise ValueError(f"{text!r} has a wildcard; one publishes to a topic, which has no '+' and no '#'")


def check_filter(text: str) -> None:
    """A filter to subscribe to; ValueError says what is wrong."""
    check_topic_filter(text)
    if any("\ud800" <= one <= "\udfff" for one in text):
        raise ValueError("a topic is UTF-8 text")
