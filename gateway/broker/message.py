"""A message on its way to local subscribers, and how it is kept on disk.

On disk it is one MessagePack array, for messages that wait for sessions and for retained ones alike:

    [2, topic, payload, QoS, retain, client id of its publisher, its user name, expires_at_us, properties,
     access that let the publisher in]

`expires_at_us` is wall time, microseconds since 1970 UTC, since the monotonic clock does not outlive the machine; it is
None for a message that does not expire. `properties` is a map by the names of `bridge.record.Properties`, or None.
Version 1, which is still read, ends with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from bridge.record import Properties

_VERSION: Final = 2


class MessageUnreadable(Exception):
    """The bytes of a stored message are not one of a version that is read here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message:
    """One publish as the broker hands it on; shared by all who get it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    origin: str
    """The client id of its publisher, for No Local (MQTT 5 §3.8.3.1)."""
    origin_username: str | None = None
    origin_access: str = ""
    """The rules of entry that let its publisher in; empty where that is not known."""
    properties: Properties | None = None
    expires_at_s: float | None = None
    """Monotonic time after which nobody wants it any more (§3.3.2.3.3)."""
    arrival: int = 0
    """Counts those that may be retained, since the start: a subscription gets what came before it from what is
    retained, and what came after it as it comes, each once."""

    def is_expired(self, now_s: float) -> bool:
        """Whether its Message Expiry Interval has passed."""
        return self.expires_at_s is not None and now_s >= self.expires_at_s

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly: the measure of the queues that hold it."""
        size = len(self.payload) + len(self.topic) + 64
        return size if self.properties is None else size + self.properties.size_bytes

    def pack(self, *, now_s: float, now_us: int) -> bytes:
        """The message as it is kept on disk; the two times are the same moment."""
        expires_at_us = None
        if self.expires_at_s is not None:
            expires_at_us = now_us + int((self.expires_at_s - now_s) * 1_000_000)
        packed: bytes = msgpack.packb(
            [
                _VERSION,
                self.topic,
                self.payload,
                self.qos,
                self.retain,
                self.origin,
                self.origin_username,
                expires_at_us,
                None if self.properties is None else self.properties.to_map(),
                self.origin_access,
            ]
        )
        return packed

    @classmethod
    def unpack(cls, body: bytes, *, now_s: float, now_us: int) -> Message:
        """The inverse of `pack`. Raises MessageUnreadable."""
        try:
            version, *rest = msgpack.unpackb(body)
            if version == 1:
                rest += [""]
            elif version != _VERSION:
                raise MessageUnreadable(f"It is of version {version}; versions up to {_VERSION} are read here.")
            topic, payload, qos, retain, origin, origin_username, expires_at_us, properties, origin_access = rest
            _check(topic, payload, qos, origin)
            return cls(
                topic=topic,
                payload=payload,
                qos=qos,
                retain=bool(retain),
                origin=origin,
                origin_username=None if origin_username is None else str(origin_username),
                origin_access=str(origin_access),
                properties=None if properties is None else Properties.from_map(properties),
                expires_at_s=None if expires_at_us is None else now_s + (int(expires_at_us) - now_us) / 1_000_000,
            )
        except (ValueError, TypeError, AttributeError, OverflowError, msgpack.UnpackException) as error:
            raise MessageUnreadable(f"It is not a message: {error}") from error


def _check(topic: Any, payload: Any, qos: Any, origin: Any) -> None:
    if not (isinstance(topic, str) and topic and isinstance(payload, bytes) and qos in {0, 1, 2}):
        raise ValueError(f"{topic!r} with QoS {qos!r} is no message")
    if not isinstance(origin, str):
        raise TypeError(f"{origin!r} is no client id")


def expiry(properties: Properties | None, now_s: float) -> float | None:
    """When a message that came now expires."""
    if properties is None or properties.message_expiry_interval is None:
        return None
    return now_s + properties.message_expiry_interval
