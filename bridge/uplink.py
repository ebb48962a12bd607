"""The loop from the spool to one cloud broker.

Theory of operation. SQLite is the only retry state: a frame is made from the outbox each time it is sent, and nothing
but a contiguous watermark of acknowledgements releases records there. A session (uplink_session.py) is one connection.
When it ends, whatever was in flight is simply not delivered; the next one begins at the watermark. A judge (judge.py)
and a keeper (keeper.py) are older than any session: the one says what an answer means, the other tells the outbox what
is released and what is a dead letter.

    connecting --CONNACK--> online --lost, silent--> backing_off --delay, drain--> connecting
         \\--refused, unreachable--> backing_off
    any --pause--> paused --resume--> connecting                 any --stop--> stopped

Stopping and pausing end a session in good order: nothing new is sent, what is in flight has a while to be acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from bridge.errors import LinkError
from bridge.feeder import Feeder
from bridge.flow.backoff import Backoff
from bridge.flow.lane import Lane
from bridge.in_flight import InFlight
from bridge.judge import Judge
from bridge.keeper import Keeper
from bridge.link_settings import LinkSettings
from bridge.ports import Clock, Link, LinkEvents, LinkLimits, Outbox
from bridge.stepping_link import Links
from bridge.tasks import cancel, first_of
from bridge.uplink_session import UplinkSession, granted, have_grants
from bridge.uplink_status import FrameInFlight, Meter, UplinkState, UplinkStatus
from config.settings import Uplink as UplinkSettings

log = logging.getLogger(__name__)

PAUSE_GRACE_S: Final = 10.0
"""How long what is in flight may still be acknowledged when the uplink is paused."""
_LAST_WORDS_S: Final = 5.0
"""How long the outbox has to write down dead letters at the end; those it did not write are sent again."""

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


class Uplink:
    """One road to a cloud broker. `run` it in a task that somebody owns; errors that it cannot explain come out.

    After `stop` another one may be made for the same outbox, with other settings: it begins at the watermark.
    """

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
        """`paused_by`: who paused it before the restart; None: nobody did."""
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
        self._wake = asyncio.Event()
        self._keeper = Keeper(outbox, self._lanes, self._meter, self._wake)
        self._in_flight = InFlight(window=settings.window)
        self._paused_by = paused_by
        self._is_stopping = False
        self._halt = asyncio.Event()
        """Set while it is to be neither connected nor connecting: stopping, or paused."""
        if paused_by is not None:
            self._halt.set()
        self._hurry = asyncio.Event()
        """Ends a back-off, or a pause, as something has changed."""
        self._patience_ends_s = 0.0
        self._try_at_s: float | None = None
        self._running = False
        self._finished = asyncio.Event()

    # What it tells.

    @property
    def settings(self) -> UplinkSettings:
        """What it was made with."""
        return self._settings

    def carry_on(self, before: Uplink) -> None:
        """Count on from where another one of the same name ended."""
        self._meter.carry_on(before._meter)

    @property
    def status(self) -> UplinkStatus:
        """A moment's reading for the API."""
        return self._meter.reading(len(self._in_flight))

    @property
    def state(self) -> UplinkState:
        """Where it stands."""
        return self._meter.state

    @property
    def on_state(self) -> Callable[[UplinkState, str | None], None]:
        """Called at every transition with the new state and, where there is something to explain, a sentence."""
        return self._meter.on_state

    @on_state.setter
    def on_state(self, callback: Callable[[UplinkState, str | None], None]) -> None:
        self._meter.on_state = callback

    @property
    def is_paused(self) -> bool:
        """Whether somebody has paused it; what is in flight may still be awaited."""
        return self._paused_by is not None

    @property
    def paused_by(self) -> str | None:
        """Who paused it."""
        return self._paused_by

    @property
    def next_try_in_s(self) -> float | None:
        """Seconds until it connects again; None when it does not wait for that."""
        return None if self._try_at_s is None else max(0.0, self._try_at_s - self._clock.monotonic_s())

    def in_flight(self) -> Sequence[FrameInFlight]:
        """What was sent and is not answered yet, oldest first."""
        return self._in_flight.frames(self._clock.monotonic_s())

    # What it is told.

    def pause(self, by: str) -> None:
        """Send nothing new, give what is in flight PAUSE_GRACE_S, close the link and keep it closed; idempotent.

        Whoever calls this has it written down (`gateway.spool.notes`), so that it outlives a restart.
        """
        if self._paused_by is not None or self._is_stopping:
            return
        log.info("Uplink %s: paused by %s.", self._name, by)
        self._paused_by = by
        self._give_up_in(PAUSE_GRACE_S)

    def resume(self) -> None:
        """Connect again, now; idempotent."""
        if self._paused_by is None or self._is_stopping:
            return
        log.info("Uplink %s: resumed.", self._name)
        self._paused_by = None
        self._halt.clear()
        self._hurry.set()

    def drain(self) -> bool:
        """Connect now if it backs off, and send all that waits at this moment without lingering.

        False, and nothing is done, when it is paused or stopped.
        """
        if self._halt.is_set() or not self._running:
            return False
        for name, lane in self._lanes.items():
            lane.hurry(self._outbox.backlog(name).next_seq)
        self._hurry.set()
        self._wake.set()
        return True

    async def stop(self, grace_s: float) -> None:
        """Send nothing new, give what is in flight up to `grace_s`, close, return when `run` is over; idempotent."""
        self._is_stopping = True
        self._give_up_in(grace_s)
        if self._running:
            await self._finished.wait()

    def _give_up_in(self, grace_s: float) -> None:
        self._patience_ends_s = self._clock.monotonic_s() + grace_s
        self._halt.set()
        self._hurry.set()
        self._in_flight.wake()

    # Its life.

    async def run(self) -> None:
        """Deliver until stopped or cancelled."""
        self._running = True
        for name in self._outbox.streams:
            first = self._outbox.backlog(name).next_to_deliver_seq
            backoff = Backoff(self._settings.retry, self._rng)
            self._lanes[name] = Lane(name=name, epoch=self._outbox.epoch(name), next_seq=first, backoff=backoff)
            self._topics[name] = self._settings.topic.format(gateway=self._gateway_id, stream=name)
        feeder = Feeder(
            self._settings, gateway_id=self._gateway_id, outbox=self._outbox, lanes=self._lanes, clock=self._clock
        )
        judge = Judge(
            name=self._name,
            url=str(self._settings.url),
            feeder=feeder,
            keeper=self._keeper,
            in_flight=self._in_flight,
            meter=self._meter,
            backoff=self._backoff,
            clock=self._clock,
        )
        unsubscribe = self._outbox.on_change(self._on_change)
        keeper = asyncio.create_task(self._keeper.run(), name=f"uplink-{self._name}-keeper")
        sessions = asyncio.create_task(self._sessions(feeder, judge), name=f"uplink-{self._name}-sessions")
        try:
            await first_of(keeper, sessions)
            self._keeper.finish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await keeper
        finally:
            await cancel(keeper, sessions)
            unsubscribe()
            feeder.close()
            self._meter.enter(UplinkState.STOPPED)
            self._running = False
            self._finished.set()

    def _on_change(self) -> None:
        for lane in self._lanes.values():
            lane.ask_again_at_s = None
        self._wake.set()

    async def _sessions(self, feeder: Feeder, judge: Judge) -> None:
        while not self._is_stopping:
            if self._paused_by is not None:
                await self._rest(self._paused_by)
                continue
            self._meter.enter(UplinkState.CONNECTING)
            session = UplinkSession(
                url=str(self._settings.url),
                ack_timeout_s=self._settings.ack_timeout_s,
                topics=self._topics,
                feeder=feeder,
                judge=judge,
                in_flight=self._in_flight,
                meter=self._meter,
                clock=self._clock,
                wake=self._wake,
            )
            link = self._link_factory(session)
            failure: LinkError | None = None
            try:
                limits = await self._connect(link)
                if limits is not None:
                    await self._talk(session, link, limits)
            except LinkError as error:
                failure = error
                judge.failed(error)
            finally:
                session.end()
                await link.close()
                self._begin_again()
            if failure is not None and not self._halt.is_set():
                await self._back_off(failure)

    async def _connect(self, link: Link) -> LinkLimits | None:
        """None when told to stop, or paused, before the broker answered."""
        connecting = asyncio.create_task(link.connect())
        halting = asyncio.create_task(self._halt.wait())
        try:
            await asyncio.wait({connecting, halting}, return_when=asyncio.FIRST_COMPLETED)
            return connecting.result() if connecting.done() else None
        finally:
            await cancel(connecting, halting)

    async def _talk(self, session: UplinkSession, link: Link, limits: LinkLimits) -> None:
        """Send and be acknowledged until the link is lost (raises LinkLost), or the uplink is stopped or paused."""
        have_grants(str(self._settings.url), limits)
        self._meter.enter(UplinkState.ONLINE)
        log.info("Uplink %s: connected to %s, %s.", self._name, self._settings.url, granted(limits))
        await session.run(link, limits, self._halt)
        while len(self._in_flight) and not session.lost.done():
            left_s = self._patience_ends_s - self._clock.monotonic_s()
            if left_s <= 0:
                log.warning(
                    "Uplink %s: %s with %d frames unacknowledged; they will be sent again.",
                    self._name,
                    "stopped" if self._is_stopping else "paused",
                    len(self._in_flight),
                )
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._in_flight.changed()

    def _begin_again(self) -> None:
        """Nothing is on its way any more: every lane begins at its watermark again."""
        self._in_flight.forget()
        for lane in self._lanes.values():
            lane.link_lost()
        for lane, frame in self._keeper.condemned:
            lane.claim(lane.cursor, frame.stored_bytes)
            lane.rewind(now_s=self._clock.monotonic_s(), wait=False)

    async def _back_off(self, failure: LinkError) -> None:
        delay_s = self._backoff.next_delay_s()
        log.warning("Uplink %s: no connection to the broker, again in %.1f s: %s", self._name, delay_s, failure)
        self._try_at_s = self._clock.monotonic_s() + delay_s
        self._meter.enter(UplinkState.BACKING_OFF, str(failure))
        self._hurry.clear()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._hurry.wait()
        finally:
            self._try_at_s = None

    async def _rest(self, by: str) -> None:
        self._meter.enter(UplinkState.PAUSED, f"Paused by {by}.")
        self._hurry.clear()
        await self._hurry.wait()
