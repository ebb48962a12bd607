"""One connection of an uplink, from its CONNACK to its end.

A feeder claims and seals frames ahead; a sender takes a place in the window for each and publishes it; a watch closes a
link whose acknowledgements stay away.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.crashpoints import reach
from bridge.errors import LinkLost, LinkRefused
from bridge.feeder import AHEAD, Feeder, Prepared
from bridge.flow.grants import lacking
from bridge.flow.lane import Lane
from bridge.in_flight import InFlight, Sent
from bridge.judge import Judge
from bridge.ports import Clock, Delivery, Link, LinkLimits, Publish
from bridge.sealing import TOO_LARGE, Sealed
from bridge.tasks import cancel, first_of
from bridge.trial import Trial
from bridge.uplink_status import Meter
from config.settings import Protocol

UNUSABLE: Final = 0x83


class UplinkSession:
    """The ears (`bridge.ports.LinkEvents`) and the hands of one connection; after its end both are deaf and idle."""

    def __init__(
        self,
        *,
        url: str,
        ack_timeout_s: float,
        topics: dict[str, str],
        feeder: Feeder,
        judge: Judge,
        in_flight: InFlight,
        meter: Meter,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        """`topics` by stream; `wake` has the feeder look again."""
        self._url = url
        self._ack_timeout_s = ack_timeout_s
        self._topics = topics
        self._feeder = feeder
        self._judge = judge
        self._in_flight = in_flight
        self._meter = meter
        self._clock = clock
        self._wake = wake
        self._is_open = False
        self._is_five = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, link: Link, limits: LinkLimits, halt: asyncio.Event) -> None:
        """Send and be acknowledged until the link is lost (raises LinkLost) or `halt` is set."""
        self._is_open = True
        self._is_five = limits.mqtt_version == Protocol.V5.value
        self._in_flight.begin(limits.receive_maximum)
        most = limits.maximum_packet_size_bytes
        self._feeder.max_frame_bytes = lambda stream: None if most is None else most - self._overhead(stream, most)
        queue: asyncio.Queue[Prepared] = asyncio.Queue(AHEAD)
        feeding = asyncio.create_task(self._feed(queue, link))
        sending = asyncio.create_task(self._send(queue, link))
        watching = asyncio.create_task(self._watch())
        halting = asyncio.create_task(halt.wait())
        try:
            await first_of(feeding, sending, watching, halting, self.lost)
        finally:
            await cancel(feeding, sending, watching, halting)

    def end(self) -> None:
        """Hear no more."""
        self._is_open = False

    # What the link tells.

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        """The broker answered a frame."""
        sent = self._in_flight.take(packet_id) if self._is_open else None
        if sent is not None:
            self._wake.set()
            self._judge.answered(sent, reason_code)

    def on_delivery(self, delivery: Delivery) -> None:
        """An uplink subscribes to nothing."""

    def on_lost(self, error: Exception) -> None:
        """The connection is gone."""
        if not self.lost.done():
            self.lost.set_exception(error)
            self._in_flight.wake()
            self._wake.set()
            self.lost.exception()  # it may have been lost while nobody waits, which is no error

    # Sending.

    async def _feed(self, queue: asyncio.Queue[Prepared], link: Link) -> None:
        if self._judge.trial is not None:
            await self._try_alone(self._judge.trial, link)
            self._judge.trial = None
        await self._feeder.run(queue, self._wake)

    async def _try_alone(self, trial: Trial, link: Link) -> None:
        """Send the probe, if there is one, then the suspect, with nothing else in flight; see bridge/trial.py."""
        lane, payload = trial.lane, trial.frame.payload
        if not trial.is_open or payload is None:
            return
        if trial.probe is None:
            trial.probe = await self._feeder.probe(lane, trial.after_seq, max_bytes=trial.max_probe_bytes)
        trial.is_proved = False
        if trial.probe is not None and trial.probe.payload is not None:
            if trial.probe.split_block is not None:
                lane.note_split(*trial.probe.split_block)
            delivered = self._meter.frames
            await self._alone(link, lane, trial.probe, trial.probe.payload)
            trial.is_proved = self._meter.frames > delivered
            if not trial.is_proved:
                return
        await self._alone(link, lane, trial.frame, payload)
        self._in_flight.one_at_a_time()

    async def _alone(self, link: Link, lane: Lane, frame: Sealed, payload: bytes) -> None:
        lane.claim_alone(frame.stored_bytes)
        self._publish(link, lane, frame, payload)
        while len(self._in_flight):
            await self._in_flight.changed()

    async def _send(self, queue: asyncio.Queue[Prepared], link: Link) -> None:
        while True:
            prepared = await queue.get()
            frames, lane = await prepared.frames, prepared.lane
            lane.claim_became(len(frames))
            for frame in frames:
                if frame.split_block is not None:
                    lane.note_split(*frame.split_block)
            for frame in frames:
                await self._send_frame(link, lane, frame)

    async def _send_frame(self, link: Link, lane: Lane, frame: Sealed) -> None:
        if frame.payload is not None:
            while not self._in_flight.has_room(len(frame.payload)) and not lane.is_rewinding:
                await self._in_flight.changed()
        if lane.is_rewinding or lane.has(frame.start_seq, frame.next_seq):
            lane.given_back(frame.stored_bytes)
            self._wake.set()
        elif frame.payload is None:
            self._judge.condemn(lane, frame, frame.reason or TOO_LARGE)
        else:
            self._publish(link, lane, frame, frame.payload)

    def _publish(self, link: Link, lane: Lane, frame: Sealed, payload: bytes) -> None:
        size_bytes = len(payload)
        packet_id = link.publish(Publish(topic=self._topics[lane.name], payload=payload, qos=1))
        attempt = lane.attempts.of(frame.start_seq)
        lane.attempts.sent(frame.next_seq)
        self._in_flight.add(packet_id, Sent(lane, frame, size_bytes, self._clock.monotonic_s(), attempt))
        self._meter.wire_bytes += size_bytes + self._overhead(lane.name, size_bytes)
        # The link writes at the end of this turn of the loop; this runs right behind it.
        asyncio.get_running_loop().call_soon(reach, "gateway.after_send")

    def _overhead(self, stream: str, size_bytes: int) -> int:
        """What a PUBLISH adds to its payload (§3.3.1, §3.3.2): first byte, remaining length, topic, id, properties."""
        rest = 2 + len(self._topics[stream].encode()) + 2 + self._is_five
        remaining = rest + size_bytes
        return 1 + rest + (1 if remaining < 128 else 2 if remaining < 16_384 else 3 if remaining < 2_097_152 else 4)

    async def _watch(self) -> None:
        """Raises LinkLost when the oldest frame in flight waits longer than the acknowledgement time-out."""
        limit_s = self._ack_timeout_s
        while True:
            oldest = self._in_flight.oldest
            left_s = limit_s if oldest is None else oldest.sent_at_s + limit_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise LinkLost(
                    f"{self._url} acknowledged nothing for {limit_s:g} s; the link was closed.", is_silence=True
                )
            # With nothing in flight, what is sent meanwhile has at least this long anyway.
            await asyncio.sleep(left_s)


def have_grants(url: str, limits: LinkLimits) -> None:
    """See that the CONNACK grants what an uplink needs. Raises LinkRefused."""
    missing = lacking(
        receive_maximum=limits.receive_maximum,
        maximum_packet_size_bytes=limits.maximum_packet_size_bytes,
        maximum_qos=limits.maximum_qos,
    )
    if missing is not None:
        raise LinkRefused(f"{url} is of no use: {missing}.", reason_code=UNUSABLE)


def granted(limits: LinkLimits) -> str:
    """What the broker grants, for the log."""
    text = f"MQTT {limits.mqtt_version}, at most {limits.receive_maximum} frames in flight"
    most = limits.maximum_packet_size_bytes
    return text if most is None else f"{text} of {most} bytes each"
