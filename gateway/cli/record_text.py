"""A record as a line for a person: time, client, topic, flags, payload. Pure."""

from __future__ import annotations

import base64
import binascii
import enum
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from gateway.cli.shown import binary, cut, one_line, shown
from gateway.cli.words import size

SHORT_COLUMNS: Final = 120
"""Of a payload, where nobody knows how wide the paper is."""
_LEAST_COLUMNS: Final = 20


class Payload(enum.StrEnum):
    """How much of a payload is shown."""

    FULL = "full"
    SHORT = "short"
    NONE = "none"


def line(record: dict[str, Any], mode: Payload, *, columns: int | None = None, zone: tzinfo | None = None) -> str:
    """One line; with `short` at most `columns` wide. `zone` None is the time of this machine."""
    words = [clock(record.get("at"), zone)]
    if (client := record.get("client")) is not None:
        words.append(shown(str(client)) or '""')
    words += [shown(str(record.get("topic", ""))), _flags(record)]
    head = "  ".join(word for word in words if word)
    if mode is Payload.NONE:
        return f"{head}  {size(_size(record))}"
    text = payload_text(record.get("payload") or {})
    if mode is Payload.SHORT:
        room = SHORT_COLUMNS if columns is None else max(columns - len(head) - 2, _LEAST_COLUMNS)
        text = cut(text, room)
    return f"{head}  {text}"


def payload_text(payload: dict[str, Any]) -> str:
    """JSON and text on one line; other bytes in hexadecimal or base64."""
    if "text" in payload:
        text = one_line(str(payload["text"])) or "(empty)"
    else:
        try:
            text = binary(base64.b64decode(str(payload.get("base64", "")), validate=True))
        except (binascii.Error, ValueError):
            text = "(unreadable)"
    return f"{text}… ({size(payload.get('size_bytes', 0))} in all)" if payload.get("is_truncated") else text


def payload_of(data: bytes) -> dict[str, Any]:
    """A payload in the form that /api/v1 gives it."""
    try:
        body: dict[str, Any] = {"text": data.decode()}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(data).decode()}
    return {**body, "size_bytes": len(data), "is_truncated": False}


def clock(at: object, zone: tzinfo | None = None) -> str:
    """`12:00:00.123` of a time in RFC 3339."""
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError:
        return "--:--:--"
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.astimezone(zone).isoformat(timespec="milliseconds").partition("T")[2][:12]


def _flags(record: dict[str, Any]) -> str:
    flags = [f"q{record['qos']}"] if record.get("qos") is not None else []
    return " ".join([*flags, "retained"] if record.get("retain") else flags)


def _size(record: dict[str, Any]) -> int:
    payload = record.get("payload") or {}
    return int(payload.get("size_bytes", 0))
