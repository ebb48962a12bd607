"""Records: what devices said, as values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

FLAG_RETAIN: Final = 0x01
FLAG_QOS_SHIFT: Final = 1
FLAGS_MASK: Final = 0x07
"""These three bits stand where a PUBLISH's first byte has them too, so a mask makes the one from the other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Properties:
    """The MQTT 5 properties of a PUBLISH that travel with it (§3.3.2.3). Compared by identity: they are shared."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    """Seconds, as the publisher wrote them; the time spent since is told by received_at."""
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_property: tuple[tuple[str, str], ...] = ()

    @property
    def size_bytes(self) -> int:
        """What they take in a block, roughly, names and all; a block's bound counts it."""
        texts = [
            self.content_type or "",
            self.response_topic or "",
            *(text for pair in self.user_property for text in pair),
        ]
        return 64 + 16 * len(self.user_property) + sum(map(len, texts)) + len(self.correlation_data or b"")

    def to_map(self) -> dict[str, Any]:
        """The properties that are set, by name, as the formats write them."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in (None, ())}

    @classmethod
    def from_map(cls, value: dict[str, Any]) -> Properties:
        """The inverse of `to_map`; unknown names are left out, so that newer writers can be read.

        Raises TypeError or ValueError when a value is not of its property's type.
        """
        known = {name: value[name] for name in _PROPERTY_TYPES if name in value}
        if "user_property" in known:
            known["user_property"] = tuple((key, item) for key, item in known["user_property"])
            if {type(text) for pair in known["user_property"] for text in pair} - {str}:
                raise TypeError("a user property is not a pair of strings")
        for name, item in known.items():
            if type(item) is not _PROPERTY_TYPES[name] or (type(item) is int and not 0 <= item < 2**32):
                raise TypeError(f"{item!r} is no {name}")
        return cls(**known)


_PROPERTY_TYPES: Final[dict[str, type]] = {
    "payload_format_indicator": int,
    "message_expiry_interval": int,
    "content_type": str,
    "response_topic": str,
    "correlation_data": bytes,
    "user_property": tuple,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One device publish."""

    seq: int
    received_at_us: int
    client: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None = None
