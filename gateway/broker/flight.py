"""What goes to one subscriber: a message with its exchange, or a run of QoS 0 packets that are bytes already.

Both are entries of a session's queue (`gateway.broker.outgoing`). What several subscribers share is held once: an entry
points to it, and it counts its holders, so that the bound over all queues counts it once, too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gateway.broker.message import Message

ENTRY_BYTES: Final = 256
"""What an entry takes in memory beside what it points to, roughly."""


class Step(enum.Enum):
    """What an exchange waits for."""

    PUBACK = "PUBACK"
    PUBREC = "PUBREC"
    PUBCOMP = "PUBCOMP"


class Shared:
    """Something that more than one entry may hold; `size_bytes` is what it takes in memory, roughly."""

    __slots__ = ("holders", "size_bytes")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.holders = 0


class Kept(Shared):
    """A message that is on disk, under `number`, until no session waits for it."""

    __slots__ = ("message", "number")

    def __init__(self, message: Message, number: int) -> None:
        super().__init__(message.size_bytes)
        self.message = message
        self.number = number


class Parcel(Shared):
    """PUBLISH packets with QoS 0, end to end. `longest_bytes` is no shorter than the longest of them."""

    __slots__ = ("count", "data", "longest_bytes")

    def __init__(self, data: bytes, count: int, longest_bytes: int) -> None:
        super().__init__(len(data))
        self.data = data
        self.count = count
        self.longest_bytes = longest_bytes

    qos: Final = 0
    kept: Final = None
    group: Final = None
    is_resent: Final = False

    @property
    def shared(self) -> Shared:
        """What it holds: itself."""
        return self


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """One message to one subscriber. `packet_id` is 0 until it has one, and always for QoS 0."""

    message: Message
    qos: int
    retain: bool
    identifiers: tuple[int, ...]
    packet_id: int = 0
    step: Step = Step.PUBACK
    is_resent: bool = False
    """Whether it was sent before; after a restart, whether it may have been."""
    kept: Kept | None = None
    """The message on disk, when the delivery is durable; `place` is then its own in the session's rows."""
    place: int = 0
    is_admitted: bool = True
    """False while the commit that has it on disk has not ended."""
    is_told: bool = False
    """Whether the disk knows that it may have been sent."""
    group: str | None = None
    """The shared subscription that picked this subscriber."""

    @property
    def shared(self) -> Shared | None:
        """What it holds together with others."""
        return self.kept

    @property
    def count(self) -> int:
        """How many messages it is."""
        return 1

    @property
    def size_bytes(self) -> int:
        """The measure of the queues."""
        return self.message.size_bytes


Entry = Flight | Parcel
"""What can stand in a queue."""
