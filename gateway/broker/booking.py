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


class Part:
    """Publishes of one run that follow each other and go to the same audience, without properties and RETAIN.

    Message objects are made only when somebody needs them.
    """

    __slots__ = ("_access", "_messages", "_payloads", "_qos", "_topics", "_username", "audience", "origin", "run")

    def __init__(
        self,
        audience: Audience,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        *,
        qos: int,
        origin: str,
        username: str | None,
        access: str = "",
    ) -> None:
        self.audience = audience
        self.run = Run(topics, payloads)
        self._topics = topics
        self._payloads = payloads
        self._qos = qos
        self.origin = origin
        self._username = username
        self._access = access
        self._messages: list[Message] | None = None

    def messages(self) -> list[Message]:
        """The publishes as objects, shared by all who get them."""
        if self._messages is None:
            names = {topic: topic.decode() for topic in set(self._topics)}
            self._messages = [
                Message(
                    topic=names[topic],
                    payload=payload,
                    qos=self._qos,
                    retain=False,
                    origin=self.origin,
                    origin_username=self._username,
                    origin_access=self._access,
                )
                for topic, payload in zip(self._topics, self._payloads, strict=True)
            ]
        return self._messages


class Booking:
    """One run, or messages one by one; what it has on disk in the open commit is in `reserved` and `changes`."""

    __slots__ = ("changes", "durable", "entries", "parts", "qos", "reserved")

    def __init__(self, qos: int) -> None:
        self.qos = qos
        self.parts: list[Part] = []
        """A run that goes whole."""
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
