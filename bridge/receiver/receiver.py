"""The cloud side: frames in, records to every sink, and only then an acknowledgement.

Theory of operation. Four kinds of task work side by side, and each hands on to the next by what is held:

    connection   one link after the other, with backoff; what comes down it goes to the arrived
    decoding     arrived payloads become frames, in their order, and are held
    writers      one a sink: each brings the held frames into its sink at its own pace (bridge/receiver/writer.py)
    settling     what every sink has: the receiver's own ledger takes it, what could not be decoded is set aside, both
                 become durable together, and then the broker gets its acknowledgements, in the order received
                 [MQTT-4.6.0-2]

So a crash at any point makes the broker send again what was not settled, and each sink's own ledger drops what it has.

Bounds. The broker's Receive Maximum bounds the frames held, MAX_DECODED_BYTES what of them is decoded at a time. QoS 0
knows no such bound: when a sink is behind and MAX_WAITING_FRAMES wait, those of QoS 0 are dropped and counted. When
a connection is lost the held frames stay and are written on: should the broker have lost its state too, we have the
only copy. When the broker sends them again, the new delivery takes the old one's place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from bridge.errors import FrameError, LinkError
from bridge.flow.backoff import Backoff
from bridge.ports import Clock, Delivery, Link, LinkEvents
from bridge.receiver.decoder import Decoder
from bridge.receiver.errors import StateUnusable
from bridge.receiver.held import Held, Item
from bridge.receiver.settler import Settler
from bridge.receiver.writer import SinkWriter

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM: Final = 200
"""Frames that the broker may have waiting for our acknowledgement."""
MAX_DECODED_BYTES: Final = 24 * 1024 * 1024
MAX_DECODED_AT_ONCE_BYTES: Final = 1024 * 1024
MAX_WAITING_FRAMES: Final = 2 * RECEIVE_MAXIMUM
STOP_GRACE_S: Final = 10.0
_STABLE_S: Final = 10.0


class LinkState:
    """What is known of the connection to the broker, for the status."""

    def __init__(self, now_us: int) -> None:
        self.state = "connecting"
        self.since_us = now_us
        self.connections = 0
        self.sessions_lost = 0
        self.dropped = 0
        """Frames that came with QoS 0 and found no room."""
        self.last_error: str | None = None
        self.last_error_code: str | None = None

    def become(self, state: str, now_us: int) -> None:
        """Note a change, and when it was."""
        if state != self.state:
            self.state, self.since_us = state, now_us


class Receiver:
    """The loops; made by the composition root, which opens and closes what they use."""

    def __init__(
        self,
        *,
        topic: str,
        connect: Callable[[LinkEvents], Link],
        decoder: Decoder,
        held: Held,
        writers: Sequence[SinkWriter],
        settler: Settler,
        clock: Clock,
        backoff: Backoff,
        progress: asyncio.Event,
    ) -> None:
        """`connect` makes a link with a stable client id and a persistent session; its argument hears of its events.

        The writers set `progress` after every write.
        """
        self._topic = topic
        self._connect = connect
        self._decoder = decoder
        self._held = held
        self._writers = writers
        self._settler = settler
        self._clock = clock
        self._backoff = backoff
        self._arrived: deque[Item] = deque()
        self._arrival = asyncio.Event()
        self._progress = progress
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self._orphans: dict[tuple[str, bytes], Item] = {}
        """What came down a connection that is gone and waits to be told again, by topic and payload."""
        self.link = LinkState(clock.now_us())

    @property
    def waiting_frames(self) -> int:
        """Frames that arrived and are not settled."""
        return len(self._arrived) + len(self._held)

    @property
    def is_stopping(self) -> bool:
        """Nothing new is taken any more."""
        return self._stopping.is_set()

    @property
    def waiting_bytes(self) -> int:
        """What they take in memory, about."""
        return sum(item.size_bytes for item in self._arrived) + self._held.size_bytes

    async def run(self, stop: asyncio.Event) -> None:
        """Receive until `stop` is set, then finish in order: take nothing new, write, acknowledge, disconnect.

        The unexpected death of any task ends all and is raised, as an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(self._stay_connected(), name="receiver: connection")
            decoding = tasks.create_task(self._decode(), name="receiver: decoding")
            settling = tasks.create_task(self._settle(), name="receiver: settling")
            writers = [tasks.create_task(item.run(), name=f"receiver: {item.sink.name}") for item in self._writers]
            await stop.wait()
            self._stopping.set()
            self._arrived.clear()  # not written anywhere: the broker keeps them
            await self._finish()
            for task in (decoding, settling, connection):
                task.cancel()
            for writer in self._writers:
                writer.stop()
            _, unfinished = await asyncio.wait(writers, timeout=STOP_GRACE_S) if writers else (set(), set())
            for task in unfinished:
                task.cancel()

    async def _finish(self) -> None:
        """Wait until everything held is settled; not longer than the grace period."""
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                while len(self._held) and all(writer.state == "ready" for writer in self._writers):
                    self._settled.clear()
                    self._progress.set()
                    with contextlib.suppress(TimeoutError):  # a sink that fails meanwhile settles nothing any more
                        await asyncio.wait_for(self._settled.wait(), 0.5)
        except TimeoutError:
            pass
        if len(self._held):
            log.warning("Stopped with %d frames unacknowledged: the broker will send them again.", len(self._held))

    # -- connection ------------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        while True:
            began_s = self._clock.monotonic_s()
            try:
                error = await self._one_connection()
            except LinkError as failure:
                error = failure
            self.link.last_error, self.link.last_error_code = str(error), getattr(error, "code", "link")
            self.link.become("offline", self._clock.now_us())
            if self._clock.monotonic_s() - began_s > _STABLE_S:
                self._backoff.reset()
            delay_s = self._backoff.next_delay_s()
            log.warning("No connection to the broker, again in %.1f s: %s", delay_s, error)
            await asyncio.sleep(delay_s)
            self.link.become("connecting", self._clock.now_us())

    async def _one_connection(self) -> Exception:
        """One link from its beginning to its end; returns why it ended. Raises LinkError when it did not begin."""
        events = _Events(self)
        link = events.link = self._connect(events)
        try:
            limits = await link.connect()
            if self._settler.expects_session and not limits.session_present:
                self.link.sessions_lost += 1
                log.warning(
                    "The broker no longer has our session: frames that waited in it, if any, are lost; numbers that are"
                    " missing will show it."
                )
            await link.subscribe(self._topic, qos=1)
            await self._settler.note_session()
            self.link.connections += 1
            self.link.become("online", self._clock.now_us())
            log.info("Receiving %s.", self._topic)
            return await events.lost
        except StateUnusable as error:
            return error
        finally:
            self._orphan(link)
            await link.close()

    def take(self, link: Link, delivery: Delivery) -> None:
        """A message came down the link."""
        if self._stopping.is_set():
            return
        orphan = self._orphans.pop((delivery.topic, delivery.payload), None) if self._orphans else None
        if orphan is not None and not orphan.settled:
            orphan.link, orphan.delivery = link, delivery
            return
        if not delivery.qos and len(self._arrived) >= MAX_WAITING_FRAMES and self._held.size_bytes > MAX_DECODED_BYTES:
            self.link.dropped += 1
            log.warning("Dropped what came with QoS 0 on %s: a sink is behind, and too much waits.", delivery.topic)
            return
        self._arrived.append(Item(delivery=delivery, link=link, received_at_us=self._clock.now_us()))
        self._arrival.set()

    def _orphan(self, link: Link) -> None:
        """The link is gone: nothing of what came down it can be acknowledged."""
        orphans = [item for item in (*self._held.since(0), *self._arrived) if item.link is link or item.link is None]
        for item in orphans:
            item.link = None
        if len(orphans) > MAX_WAITING_FRAMES:
            # Connections that come and go while a sink is down must not pile up frames without bound.
            self._arrived = deque(item for item in self._arrived if item.link is not None)
            orphans = [item for item in orphans if item.frame is not None or item.error is not None]
        self._orphans = {(item.delivery.topic, item.delivery.payload): item for item in orphans}

    # -- from arrival to acknowledgement ---------------------------------------------------------------------------

    async def _decode(self) -> None:
        while True:
            while not self._arrived or self._held.size_bytes > MAX_DECODED_BYTES:
                wake = self._arrival if not self._arrived else self._settled
                wake.clear()
                await wake.wait()
            items: list[Item] = []
            size = 0
            for item in self._arrived:
                size += len(item.delivery.payload)
                if items and size > MAX_DECODED_AT_ONCE_BYTES:
                    break
                items.append(item)
            decoded = await self._decoder.decode([item.delivery.payload for item in items])
            if self._stopping.is_set():
                return
            for item, outcome in zip(items, decoded, strict=True):
                if isinstance(outcome, FrameError):
                    item.error = outcome
                else:
                    item.frame = outcome
                if self._arrived and self._arrived[0] is item:
                    self._arrived.popleft()
                self._held.add(item)
            for writer in self._writers:
                writer.wake()
            self._progress.set()

    async def _settle(self) -> None:
        pause_s = 0.0
        while True:
            until = min((writer.position for writer in self._writers), default=self._held.next)
            if until <= self._held.first:
                self._progress.clear()
                await self._progress.wait()
                continue
            items = self._held.since(0)[: until - self._held.first]
            try:
                await self._settler.settle(items)
            except StateUnusable as error:
                pause_s = min(30.0, pause_s * 2 or 0.5)
                log.warning("Nothing is acknowledged, again in %.1f s: %s", pause_s, error)
                await asyncio.sleep(pause_s)
                continue
            pause_s = 0.0
            for item in self._held.take(until):
                item.settled = True
                if item.link is None:
                    self._orphans.pop((item.delivery.topic, item.delivery.payload), None)
                elif item.delivery.qos:
                    item.link.acknowledge(item.delivery)
            self._settled.set()


class _Events:
    """The events of one link."""

    link: Link

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        """Nothing is published here."""

    def on_delivery(self, delivery: Delivery) -> None:
        self._receiver.take(self.link, delivery)

    def on_lost(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
