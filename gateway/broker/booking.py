"""What a publish is to bring to local subscribers, from when it came to the end of its commit."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.broker.audience import Audience
from gateway.broker.fanout import Run
from gateway.broker.flight import Flight
from gateway.broker.held import Target
from gateway.broker.message import Message
from gateway.broker.retaining import Change
from gateway.broker.session import Session


class Booking:
    """One run, or messages one by one; what it has on disk in the open commit is in `reserved` and `changes`."""

    __slots__ = ("changes", "durable", "entries", "parts", "qos", "reserved")

    def __init__(self, qos: int) -> None:
        self.qos = qos
        self.parts: list[tuple[Audience, Run]] = []
        """A run that goes whole, without properties and RETAIN: its publishes that follow each other and have one
        audience are one part."""
        self.entries: list[tuple[Message, Audience, Sequence[tuple[Session, Target]]]] = []
        """Messages one by one, each with its topic's audience and the members that shared subscriptions picked."""
        self.reserved: list[tuple[Session, Flight]] = []
        """Durable deliveries in the open commit."""
        self.durable: set[Session] = set()
        """Sessions that get what has QoS 1 and 2 through `reserved`, or not at all."""
        self.changes: list[Change] = []
        """Retained messages in the open commit."""

    @property
    def needs_disk(self) -> bool:
        """Whether a row of it is in the open commit."""
        return bool(self.reserved or self.changes)
