"""One device of a scenario: what it has yet to say, and what becomes of it, noted in ledger and tally."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from simulators.device_client import DeviceClient
from simulators.device_seam import DeviceOptions, State
from simulators.ledger import LedgerWriter, payload_id
from simulators.profiles import Message
from simulators.scenarios.plan import PlannedMessage
from simulators.scenarios.tally import Tally

BUFFER_FULL = "the device's buffer was full"
POWER_LOST = "lost with the device's power"


class Member:
    """One device; it is told of its connection's life (DeviceEvents)."""

    def __init__(
        self,
        client_id: str,
        options: DeviceOptions,
        tally: Tally,
        *,
        buffer: int,
        pool: Executor,
        ledger: LedgerWriter,
        stir: Callable[[], None],
    ) -> None:
        self.tally = tally
        self.waiting: deque[PlannedMessage] = deque()
        self.keeper: asyncio.Task[None] | None = None
        self._buffer = buffer
        self._ledger = ledger
        self._stir = stir
        self._sent_s: dict[str, float] = {}
        self._was_online = False
        self._is_away = False
        self._client = DeviceClient(client_id, options, self, pool)

    @property
    def room(self) -> int:
        """How many messages it may be given now."""
        return self._client.room

    @property
    def in_flight(self) -> int:
        """Publishes without an answer."""
        return self._client.in_flight

    @property
    def is_online(self) -> bool:
        """Whether it is connected."""
        return self._client.state is State.ONLINE

    @property
    def trouble(self) -> str | None:
        """Why it is not connected, though it wants to be."""
        return None if self.is_online or self._is_away else self._client.last_error

    def start(self) -> None:
        """Connect, and stay."""
        self.keeper = self._client.start()

    def leave(self, loses_power: bool) -> None:
        """Go without a word."""
        self._is_away = True
        if loses_power:
            self.tally.forgotten += len(self._client.lose_power())
            self._sent_s.clear()
            self.give_up(POWER_LOST)
        else:
            self._client.lose_network()

    def come_back(self) -> None:
        """Connect again."""
        self._is_away = False
        self._client.come_back()

    def want(self, message: PlannedMessage) -> None:
        """Say it as soon as possible; the oldest that waits gives way when there are too many."""
        if len(self.waiting) >= self._buffer:
            self.waiting.popleft()
            self.tally.unsent[BUFFER_FULL] += 1
        self.waiting.append(message)

    def give_up(self, reason: str) -> None:
        """Say nothing of what waits."""
        if self.waiting:
            self.tally.unsent[reason] += len(self.waiting)
            self.waiting.clear()

    def note(self, message: PlannedMessage) -> None:
        """Into the ledger, before it is sent."""
        name = payload_id(self._client.client_id, message.topic, message.payload)
        self._ledger.sent(name, self._client.client_id, message.topic, message.qos, message.payload)

    def publish(self, message: PlannedMessage) -> None:
        """Hand it to the socket."""
        name = payload_id(self._client.client_id, message.topic, message.payload)
        if message.qos:
            self._sent_s[name] = time.monotonic()
        self._client.publish(Message(topic=message.topic, payload=message.payload), qos=message.qos, name=name)
        self.tally.published += 1
        if message.bad is not None:
            self.tally.bad[message.bad] += 1

    async def close(self) -> None:
        """DISCONNECT when possible."""
        await self._client.close()

    # What the device tells (DeviceEvents).

    def on_online(self, session_present: bool) -> None:  # noqa: ARG002 -- it repeats either way
        self.tally.connects += 1
        self.tally.returned += self._was_online
        self._was_online = True
        self._ledger.flush()  # the `resent` lines, before paho repeats
        self._stir()

    def on_lost(self) -> None:
        self.tally.lost += 1

    def on_resend(self, name: str) -> None:
        self.tally.resent += 1
        self._ledger.resent(name)

    def on_received(self, name: str) -> None:
        self._ledger.received(name)

    def on_acknowledged(self, name: str) -> None:
        self.tally.acknowledged += 1
        if (sent_s := self._sent_s.pop(name, None)) is not None:
            self.tally.latencies_s.append(time.monotonic() - sent_s)
        self._ledger.acked(name)
        self._stir()

    def on_refused(self, name: str, reason: int) -> None:
        self.tally.refused[reason] += 1
        self._sent_s.pop(name, None)
        self._ledger.refused(name, reason)
        self._stir()
