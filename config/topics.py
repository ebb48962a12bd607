"""The rules for what is written into topics: names, ids, topic filters, and the uplink's topic template. Pure.

Each check returns nothing, or raises ValueError with a sentence.
"""

from __future__ import annotations

import re
import string

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
GATEWAY_ID_PATTERN = r"^[^/+#\u0000-\u001f\u007f]{1,128}$"
CLIENT_ID_PATTERN = r"^[^\u0000-\u001f\u007f]{1,128}$"
PLACEHOLDERS = ("gateway", "stream")

_MAX_TOPIC_BYTES = 65_535  # [MQTT-4.7.3-3]
_SHARE = "$share/"


def check_name(text: str) -> None:
    """A name that goes into topics, metrics and environment variables."""
    if not re.fullmatch(NAME_PATTERN, text):
        raise ValueError(f"expected a name of 1 to 64 letters, digits, '_' and '-', found {text!r}")


def check_gateway_id(text: str) -> None:
    """The gateway's id is one level of a topic."""
    if not re.fullmatch(GATEWAY_ID_PATTERN, text):
        raise ValueError(f"expected 1 to 128 characters without '/', '+', '#' and control characters, found {text!r}")


def check_client_id(text: str) -> None:
    """A client id that keeps a session: not empty, printable."""
    if not re.fullmatch(CLIENT_ID_PATTERN, text):
        raise ValueError(f"expected 1 to 128 printable characters, found {text!r}")


def check_topic_filter(text: str) -> None:
    """A topic filter as in [MQTT-4.7.1]: `+` fills a level, `#` fills the last one."""
    _check_topic_string(text, "topic filter")
    levels = text.split("/")
    for number, level in enumerate(levels, start=1):
        if "#" in level and (level != "#" or number != len(levels)):
            raise ValueError(f"in the topic filter {text!r} a '#' must stand alone in the last level")
        if "+" in level and level != "+":
            raise ValueError(f"in the topic filter {text!r} a '+' must stand alone in its level")


def check_stream_filter(text: str) -> None:
    """A topic filter that says which publishes a stream takes; a shared subscription makes no sense here."""
    check_topic_filter(text)
    if text.startswith(_SHARE):
        raise ValueError(f"{text!r} is a shared subscription; a stream takes a plain topic filter")


def check_subscription(text: str) -> None:
    """What the receiver subscribes to; of receivers that share one, each would see the frames of the others missing."""
    check_topic_filter(text)
    if text.startswith(_SHARE):
        raise ValueError(
            f"{text!r} is a shared subscription, and a stream takes one receiver, for now; give each receiver streams "
            "of its own with a plain topic filter"
        )


def check_rule_filter(text: str) -> None:
    """A topic filter of a rule; `%u` and `%c` in it are filled in."""
    check_topic_filter(text)
    if text.startswith(_SHARE):
        rest = text.removeprefix(_SHARE).partition("/")[2] or "#"
        raise ValueError(f"{text!r} is a shared subscription; a rule takes the filter behind the share name: {rest!r}")


def check_pattern(text: str) -> None:
    """A pattern for user names or client ids."""
    if not text or "\0" in text:
        raise ValueError(f"expected a pattern such as sensor-*, where * stands for any characters, found {text!r}")


def check_websocket_path(text: str) -> None:
    """The path of a URL, without query and fragment."""
    if not re.fullmatch(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", text):
        raise ValueError(f"expected a path such as /mqtt, without '?' and '#', found {text!r}")


def check_topic_template(text: str) -> None:
    """An uplink's topic: a topic without wildcards in which {gateway} and {stream} are filled in."""
    _check_topic_string(text, "topic")
    if "+" in text or "#" in text:
        raise ValueError(f"{text!r} has a wildcard; frames are published to a topic, which has no '+' and no '#'")
    allowed = " and ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError(f"the braces of {text!r} do not match; the placeholders are {allowed}") from None
    for _, name, spec, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            raise ValueError(f"the placeholder {{{name}}} in {text!r} is unknown; expected {allowed}")
    if "{{" in text or "}}" in text:
        raise ValueError(f"{text!r} has doubled braces; write a placeholder with single ones: {allowed}")


def _check_topic_string(text: str, noun: str) -> None:
    if not text:
        raise ValueError(f"expected a {noun}, found an empty text")
    if "\0" in text:
        raise ValueError(f"a {noun} can't contain the character U+0000")  # [MQTT-4.7.3-2]
    if len(text.encode()) > _MAX_TOPIC_BYTES:
        raise ValueError(f"a {noun} can't be longer than {_MAX_TOPIC_BYTES} bytes")
