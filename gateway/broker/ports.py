"""What the broker needs of a client's connection, of the client itself, and of whoever looks at what flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.record import Properties
from gateway.broker.fanout import Run
from gateway.mqtt.packets import Version
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome, Waiter


class Channel(Protocol):
    """The way to one client; every method runs on the event loop and none blocks or raises."""

    @property
    def peer(self) -> str:
        """The client's address, for logs."""

    @property
    def is_writable(self) -> bool:
        """False while so much waits to be sent that deliveries should stay in the session's queue."""

    def write(self, data: bytes) -> None:
        """Send at once."""

    def write_soon(self, data: bytes) -> None:
        """Send together with whatever else this turn of the loop has for the client; never overtaken by `write`."""

    def stop_reading(self) -> None:
        """Read nothing more from the client, for good."""

    def close(self) -> None:
        """End the connection after what was written; idempotent. No packet is handed on afterwards."""


class Sender(Protocol):
    """The way of messages to a connected client (`gateway.broker.sending`)."""

    @property
    def is_settling(self) -> bool:
        """Whether a commit's answers are being gathered; deliveries come after them."""

    def pump(self) -> None:
        """Send what waits, as far as the window and the connection let it."""

    def pump_safely(self) -> None:
        """`Connected.pump`, when it is another client's message that is sent."""

    def reply(self, data: bytes) -> None:
        """Answer one packet, in one write with the other answers of this turn."""

    def send_run(self, run: Run) -> bool:
        """Send a run of QoS 0, or queue it; false when this client has to get its messages one by one."""

    def send_promised(self, run: Run, qos: int) -> int:
        """Send the first of a run's messages with QoS 1 or 2; returns how many: the others go through the queue."""


class Connected(Waiter, Protocol):
    """The client that is connected to a session, as those see it who deliver to the session (`gateway.broker.client`).

    A session points to it and it to its session: this is the half of the two that the session's file needs.
    """

    @property
    def client_id(self) -> str:
        """As the session's."""

    @property
    def version(self) -> Version:
        """Of the protocol."""

    @property
    def peer(self) -> str:
        """Where it is, for logs and the operator."""

    @property
    def listener(self) -> str:
        """The name of the listener by which it came."""

    @property
    def since_us(self) -> int:
        """When it connected, microseconds since 1970 UTC."""

    @property
    def keep_alive_s(self) -> int:
        """0: none."""

    @property
    def is_open(self) -> bool:
        """False once its end has begun."""

    @property
    def is_writable(self) -> bool:
        """Whether it has its CONNACK, and reads."""

    @property
    def is_ready(self) -> bool:
        """Whether a message could be sent at once: nothing waits before it."""

    @property
    def sending(self) -> Sender:
        """The way of messages to it."""

    def pump(self) -> None:
        """Send what waits, retained messages too."""

    def refill(self) -> None:
        """Put more of what is retained into the queue, where something of it is left."""

    def reply(self, data: bytes) -> None:
        """Answer one packet, in one write with the other answers of this turn."""

    def rights_changed(self) -> None:
        """What its session may do has changed."""

    def stop_reading(self) -> None:
        """Take nothing more from it; what it was promised is still written."""

    def close(self, reason: ReasonCode, *, explanation: str | None = None) -> None:
        """End the connection from this side, and say why as far as it can be told; idempotent."""


class Promised(Protocol):
    """A QoS 2 publish whose id is pending in its session (`gateway.broker.exchanges`)."""

    @property
    def outcome(self) -> Outcome | None:
        """How its commit ended; None: it has not."""


class Observer(Protocol):
    """Told of every run of publishes that was taken (`gateway.traffic.traffic`); on the hot path, so it is cheap."""

    def saw(
        self,
        client_id: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """One client's publishes, oldest first, with the flags of records (`bridge.record`); it must not raise."""
