"""The loop from the spool to one cloud broker.

Theory of operation. SQLite is the only retry state: a frame is made from the outbox each time it is sent, and nothing
but a contiguous watermark of acknowledgements releases records there. A session is one connection: a feeder claims and
seals frames ahead, a sender takes a place in the window for each and publishes it, a watch closes a link whose
acknowledgements stay away. When the session ends, whatever was in flight is simply not delivered; the next one begins
at the watermark. A keeper (keeper.py), older than any session, tells the outbox what is released and what is a
dead letter.

    connecting --CONNACK--> online --lost, silent--> backing_off --delay--> connecting
         \\--refused, unreachable--> backing_off                 any --stop--> stopped
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.crashpoints import reach
from bridge.errors import LinkError, LinkLost, LinkRefused
from bridge.feeder import AHEAD, Feeder, Prepared
from bridge.flow.backoff import Backoff
from bridge.flow.grants import lacking
from bridge.flow.lane import Lane
from bridge.flow.reasons import UNEXPLAINED, Verdict, describe, verdict
from bridge.flow.window import Window
from bridge.keeper import Keeper
from bridge.link_settings import LinkSettings
from bridge.ports import Clock, Delivery, Link, LinkEvents, LinkLimits, Outbox, Publish
from bridge.sealing import TOO_LARGE, Sealed
from bridge.stepping_link import Links
from bridge.trial import Trial
from bridge.uplink_status import FrameInFlight, Meter, UplinkState, UplinkStatus
from config.settings import Protocol
from config.settings import Uplink as UplinkSettings

log = logging.getLogger(__name__)

MAX_IN_FLIGHT_BYTES: Final = 32 * 1024 * 1024
UNUSABLE: Final = 0x83
_LOSSES_BEFORE_SMALLER: Final = 3
"""So many connections in a row that were lost over one and the same frame: try smaller ones."""

_LOST_WITHOUT_5: Final = (
    "It cannot say why it refuses a frame, and a frame that nobody subscribes to counts as delivered and is lost."
)

LinkFactory = Callable[[LinkEvents], Link]


def link_settings(settings: UplinkSettings, *, gateway_id: str) -> LinkSettings:
    """How an uplink connects: a stable client id, no session kept, because the spool is the session."""
    return LinkSettings(
        url=settings.url,
        client_id=f"fieldgate-{gateway_id}-{settings.name}",
        protocol=settings.protocol,
        username=settings.username,
        password=settings.password,
        tls=settings.tls,
        keep_alive_s=settings.keep_alive_s,
    )


def link_factory(settings: UplinkSettings, *, gateway_id: str) -> LinkFactory:
    """Makes the real link of an uplink, a new one for each connection."""
    return Links(link_settings(settings, gateway_id=gateway_id), lost=_LOST_WITHOUT_5)


@dataclass(frozen=True, slots=True)
class _InFlight:
    lane: Lane
    frame: Sealed
    size_bytes: int
    sent_at_s: float


class Uplink:
    """One road to a cloud broker. `run` it in a task that somebody owns; errors that it cannot explain come out."""

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        gateway_id: str,
        outbox: Outbox,
        link_factory: LinkFactory,
        clock: Clock,
        rng: Callable[[], float] = random.random,
        paused_by: str | None = None,
    ) -> None:
        self.paused_by = paused_by
        self.on_state: Callable[[UplinkState, str | None], None] = lambda _state, _reason: None
        self._settings = settings
        self._name = settings.name
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._link_factory = link_factory
        self._clock = clock
        self._rng = rng
        self._meter = Meter(clock)
        self._backoff = Backoff(settings.retry, rng)
        self._lanes: dict[str, Lane] = {}
        self._topics: dict[str, str] = {}
        self._in_flight: dict[int, _InFlight] = {}
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._keeper = Keeper(outbox, self._lanes, self._meter, self._wake)
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._is_five = settings.protocol is not Protocol.V311
        self._running = False
        self._grace_s = 0.0
        self._suspect: tuple[str, int] | None = None
        self._losses = 0
        self._trial: Trial | None = None
        self._window = Window(setting=settings.window, receive_maximum=65535, max_bytes=MAX_IN_FLIGHT_BYTES)
        self._session: _Session | None = None
        self._feeder: Feeder | None = None

    @property
    def status(self) -> UplinkStatus:
        """A moment's reading for the API."""
        return self._meter.reading(len(self._in_flight))

    @property
    def is_paused(self) -> bool:
        """Whether somebody has paused it."""
        return self.paused_by is not None

    @property
    def next_try_in_s(self) -> float | None:
        """Seconds until the next connection is tried; None when none is waited for."""
        return None

    def in_flight(self) -> Sequence[FrameInFlight]:
        """What was sent and is not answered, oldest first."""
        return ()

    def pause(self, by: str) -> None:
        """Close the link in order and keep it closed until `resume`."""
        self.paused_by = by

    def resume(self) -> None:
        """Go on."""
        self.paused_by = None

    def drain(self) -> bool:
        """Connect now, and send all that waits now without lingering; False when it is paused or stopped."""
        return False

    async def stop(self, grace_s: float) -> None:
        """Send nothing new, give what is in flight up to `grace_s`, close, return when `run` is over; idempotent."""
        self._grace_s = grace_s
        self._stopping.set()
        self._wake.set()
        if self._running:
            await self._finished.wait()

    async def run(self) -> None:
        """Deliver until stopped or cancelled."""
        self._running = True
        for name in self._outbox.streams:
            first = self._outbox.backlog(name).next_to_deliver_seq
            backoff = Backoff(self._settings.retry, self._rng)
            self._lanes[name] = Lane(name=name, epoch=self._outbox.epoch(name), next_seq=first, backoff=backoff)
            self._topics[name] = self._settings.topic.format(gateway=self._gateway_id, stream=name)
        self._feeder = Feeder(
            self._settings, gateway_id=self._gateway_id, outbox=self._outbox, lanes=self._lanes, clock=self._clock
        )
        self._outbox.on_change(self._on_change)
        keeper = asyncio.create_task(self._keeper.run(), name=f"uplink-{self._settings.name}-keeper")
        sessions = asyncio.create_task(self._sessions(self._feeder), name=f"uplink-{self._settings.name}-sessions")
        try:
            await _first_of(keeper, sessions)
            self._keeper.finish()
            await keeper
        finally:
            await _cancel(keeper, sessions)
            self._feeder.close()
            self._meter.enter(UplinkState.STOPPED)
            self._running = False
            self._finished.set()

    def _on_change(self) -> None:
        for lane in self._lanes.values():
            lane.ask_again_at_s = None
        self._wake.set()

    # -- connections -----------------------------------------------------------------------------------------------

    async def _sessions(self, feeder: Feeder) -> None:
        while not self._stopping.is_set():
            self._meter.enter(UplinkState.CONNECTING)
            session = _Session(self)
            link = self._link_factory(session)
            failure: LinkError | None = None
            try:
                limits = await self._connect(link)
                if limits is not None:
                    await self._session_of(session, link, limits, feeder)
            except LinkError as error:
                failure = error
                self._failed(error)
            finally:
                self._session = None
                await link.close()
                self._forget_session()
            if failure is not None and not self._stopping.is_set():
                delay_s = self._backoff.next_delay_s()
                log.warning("Uplink %s: no connection to the broker, again in %.1f s: %s", self._name, delay_s, failure)
                await self._pause(delay_s)

    async def _connect(self, link: Link) -> LinkLimits | None:
        """None when told to stop before the broker answered."""
        connecting = asyncio.create_task(link.connect())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return connecting.result() if connecting.done() else None
        finally:
            await _cancel(connecting, stopping)

    async def _session_of(self, session: _Session, link: Link, limits: LinkLimits, feeder: Feeder) -> None:
        """Send and be acknowledged until the link is lost (raises LinkLost) or the uplink has stopped."""
        missing = lacking(
            receive_maximum=limits.receive_maximum,
            maximum_packet_size_bytes=limits.maximum_packet_size_bytes,
            maximum_qos=limits.maximum_qos,
        )
        if missing is not None:
            raise LinkRefused(f"{self._settings.url} is of no use: {missing}.", reason_code=UNUSABLE)
        self._session = session
        self._meter.enter(UplinkState.ONLINE)
        self._is_five = limits.mqtt_version == Protocol.V5.value
        log.info("Uplink %s: connected to %s, %s.", self._name, self._settings.url, _granted(limits))
        self._window = Window(
            setting=self._settings.window, receive_maximum=limits.receive_maximum, max_bytes=MAX_IN_FLIGHT_BYTES
        )
        most = limits.maximum_packet_size_bytes
        feeder.max_frame_bytes = lambda stream: None if most is None else most - self._overhead_bytes(stream, most)
        queue: asyncio.Queue[Prepared] = asyncio.Queue(AHEAD)
        feeding = asyncio.create_task(self._feed(feeder, queue, link))
        sending = asyncio.create_task(self._send(queue, link))
        watching = asyncio.create_task(self._watch())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await _first_of(feeding, sending, watching, stopping, session.lost)
            await _cancel(feeding, sending)
            # Only stopping ends in good order: what is in flight has the grace period to be acknowledged.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace_s):
                    while self._in_flight and not session.lost.done():
                        self._room.clear()
                        await self._room.wait()
            if self._in_flight:
                log.warning(
                    "Uplink %s: stopped with %d frames unacknowledged; they will be sent again.",
                    self._name,
                    len(self._in_flight),
                )
        finally:
            await _cancel(feeding, sending, watching, stopping)

    def _forget_session(self) -> None:
        """Nothing is on its way any more: every lane begins at its watermark again."""
        self._in_flight.clear()
        for lane in self._lanes.values():
            lane.link_lost()
        for lane, frame in self._keeper.condemned:
            lane.claim(lane.cursor, frame.stored_bytes)
            lane.rewind(now_s=self._clock.monotonic_s(), wait=False)

    def _failed(self, error: LinkError) -> None:
        self._meter.last_error = str(error)
        self._meter.retries += 1
        if not self._in_flight:
            return
        if isinstance(error, LinkLost) and error.reason_code is not None and _splits(error.reason_code):
            largest = max(self._in_flight.values(), key=lambda entry: entry.size_bytes)
            self._too_large(largest)
            return
        trial = self._trial
        if trial is not None:
            if not isinstance(error, LinkLost) or error.is_silence or error.reason_code is not None:
                self._trial = None
            elif trial.cut():
                self._trial = None
                self._condemn(trial.lane, trial.frame, TOO_LARGE)
            return
        # A broker of 3.1.1 has no other word for "too large" than to hang up, each time at the same frame.
        oldest = next(iter(self._in_flight.values()))
        suspect = (oldest.lane.name, oldest.frame.start_seq)
        self._losses = self._losses + 1 if suspect == self._suspect else 1
        self._suspect = suspect
        if self._losses >= _LOSSES_BEFORE_SMALLER and oldest.frame.count:
            self._losses = 0
            if oldest.frame.count > 1:
                self._too_large(oldest)
            else:
                log.info(
                    "Uplink %s: the broker may hang up on record %d of stream %s, of %d bytes; it is tried by itself.",
                    self._name,
                    oldest.frame.first_seq,
                    oldest.lane.name,
                    oldest.size_bytes,
                )
                self._trial = Trial(oldest.lane, oldest.frame)

    def _too_large(self, entry: _InFlight) -> None:
        """The broker does not take a frame of that size: smaller ones, or none of a record that cannot be divided."""
        if entry.frame.count == 1:
            self._condemn(entry.lane, entry.frame, TOO_LARGE)
        elif self._feeder is not None:
            self._shrink(self._feeder, entry)

    def _shrink(self, feeder: Feeder, entry: _InFlight) -> None:
        before = feeder.size_limit.target_bytes
        feeder.size_limit.refused(entry.size_bytes)
        if feeder.size_limit.target_bytes != before:
            log.info(
                "Uplink %s: frames of %d bytes are too large for the broker; they are split to %d bytes at most.",
                self._name,
                entry.size_bytes,
                feeder.size_limit.target_bytes,
            )

    async def _pause(self, delay_s: float) -> None:
        self._meter.enter(UplinkState.BACKING_OFF)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    # -- sending ---------------------------------------------------------------------------------------------------

    async def _feed(self, feeder: Feeder, queue: asyncio.Queue[Prepared], link: Link) -> None:
        if self._trial is not None:
            await self._try_alone(self._trial, feeder, link)
            self._trial = None
        await feeder.run(queue, self._wake)

    async def _try_alone(self, trial: Trial, feeder: Feeder, link: Link) -> None:
        """Send the probe, then the suspect, each with nothing else in flight; see bridge/trial.py."""
        lane, payload = trial.lane, trial.frame.payload
        if not trial.is_open or payload is None:
            return
        if trial.probe is None:
            trial.probe = await feeder.probe(lane, trial.after_seq, max_bytes=trial.max_probe_bytes)
        if trial.probe is None or trial.probe.payload is None:
            return
        if trial.probe.split_block is not None:
            lane.note_split(*trial.probe.split_block)
        delivered, trial.is_proved = self._meter.frames, False
        await self._alone(link, lane, trial.probe, trial.probe.payload)
        trial.is_proved = self._meter.frames > delivered
        if trial.is_proved:
            await self._alone(link, lane, trial.frame, payload)

    async def _alone(self, link: Link, lane: Lane, frame: Sealed, payload: bytes) -> None:
        lane.claim_alone(frame.stored_bytes)
        self._publish(link, lane, frame, payload)
        while self._in_flight:
            self._room.clear()
            await self._room.wait()

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
            size_bytes = len(frame.payload)
            while not self._window.has_room(size_bytes) and not lane.is_rewinding:
                self._room.clear()
                await self._room.wait()
        if lane.is_rewinding:
            lane.given_back(frame.stored_bytes)
            self._wake.set()
            return
        if frame.payload is None:
            self._condemn(lane, frame, frame.reason or TOO_LARGE)
            return
        self._publish(link, lane, frame, frame.payload)

    def _publish(self, link: Link, lane: Lane, frame: Sealed, payload: bytes) -> None:
        size_bytes = len(payload)
        packet_id = link.publish(Publish(topic=self._topics[lane.name], payload=payload, qos=1))
        self._window.take(size_bytes)
        self._in_flight[packet_id] = _InFlight(lane, frame, size_bytes, self._clock.monotonic_s())
        self._meter.wire_bytes += size_bytes + self._overhead_bytes(lane.name, size_bytes)
        # The link writes at the end of this turn of the loop; this runs right behind it.
        asyncio.get_running_loop().call_soon(reach, "gateway.after_send")

    def _overhead_bytes(self, stream: str, size_bytes: int) -> int:
        """What a PUBLISH adds to its payload (§3.3.1, §3.3.2): first byte, remaining length, topic, id, properties."""
        rest = 2 + len(self._topics[stream].encode()) + 2 + self._is_five
        remaining = rest + size_bytes
        return 1 + rest + (1 if remaining < 128 else 2 if remaining < 16_384 else 3 if remaining < 2_097_152 else 4)

    async def _watch(self) -> None:
        """Raises LinkLost when the oldest frame in flight waits longer than the acknowledgement time-out."""
        limit_s = self._settings.ack_timeout_s
        while True:
            oldest = next(iter(self._in_flight.values()), None)
            left_s = limit_s if oldest is None else oldest.sent_at_s + limit_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise LinkLost(
                    f"{self._settings.url} acknowledged nothing for {limit_s:g} s; the link was closed.",
                    is_silence=True,
                )
            # With nothing in flight, what is sent meanwhile has at least this long anyway.
            await asyncio.sleep(left_s)

    # -- answers ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have everybody look again."""
        self._room.set()
        self._wake.set()

    def acknowledged(self, packet_id: int, reason_code: int) -> None:
        """The broker answered a frame."""
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return
        self._window.give_back(entry.size_bytes)
        self.wake()
        judged = verdict(reason_code)
        if judged is Verdict.DELIVERED:
            self._delivered(entry)
            return
        lane, frame, now_s = entry.lane, entry.frame, self._clock.monotonic_s()
        self._meter.last_error = (
            f"{self._settings.url} did not take a frame of stream {lane.name} "
            f"({frame.count} records from {frame.first_seq}): {describe(reason_code)}."
        )
        self._meter.retries += 1
        if not lane.is_rewinding:  # a whole window of refusals is one event
            log.warning("Uplink %s: %s", self._name, self._meter.last_error)
        poison = reason_code in UNEXPLAINED and frame.count and lane.refused_alone(frame.start_seq)
        if frame.count == 1 and judged is Verdict.SPLIT:
            self._condemn(lane, frame, TOO_LARGE)
        elif frame.count and (judged is Verdict.REFUSED or poison):
            self._condemn(lane, frame, "refused")
        elif judged is Verdict.SPLIT and self._feeder is not None and frame.count:
            self._shrink(self._feeder, entry)
            lane.given_back(frame.stored_bytes)
            lane.rewind(now_s=now_s, wait=False)
        else:
            lane.given_back(frame.stored_bytes)
            lane.rewind(now_s=now_s, wait=True)

    def _delivered(self, entry: _InFlight) -> None:
        frame = entry.frame
        is_new = entry.lane.acks.hole(frame.start_seq)[0] == frame.start_seq
        entry.lane.delivered(frame.start_seq, frame.next_seq, frame.stored_bytes)
        if self._trial is None:
            self._backoff.reset()  # but a probe that was taken is no reason to try its suspect sooner
        if self._feeder is not None:
            self._feeder.size_limit.passed()
        meter = self._meter
        meter.last_error = None
        meter.frames += 1
        if is_new:
            meter.records += frame.count
            meter.raw_bytes += frame.plain_size_bytes
        self._keeper.look()

    def _condemn(self, lane: Lane, frame: Sealed, reason: str) -> None:
        """Records that can never go: into the dead letters, then the lane begins again and declares the gap."""
        self._keeper.condemn(lane, frame, reason)
        lane.rewind(now_s=self._clock.monotonic_s(), wait=False)


class _Session:
    """The ears of one connection; what a link says after its end falls on deaf ones."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        if self._uplink._session is self:
            self._uplink.acknowledged(packet_id, reason_code)

    def on_delivery(self, delivery: Delivery) -> None:
        """An uplink subscribes to nothing."""

    def on_lost(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
            self._uplink.wake()
            self.lost.exception()  # it may have been lost while nobody waits, which is no error


def _granted(limits: LinkLimits) -> str:
    """What the broker grants, for the log."""
    text = f"MQTT {limits.mqtt_version}, at most {limits.receive_maximum} frames in flight"
    most = limits.maximum_packet_size_bytes
    return text if most is None else f"{text} of {most} bytes each"


def _splits(reason_code: int) -> bool:
    return verdict(reason_code) is Verdict.SPLIT


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    """Returns when the first is done; raises what it raised."""
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and await them; their errors were raised by whoever waited for them, or come too late to matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
