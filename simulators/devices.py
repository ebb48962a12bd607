"""A fleet of simulated devices: real MQTT clients that keep publishing through whatever happens to the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from simulators.device_client import DeviceClient
from simulators.device_seam import DeviceOptions, State
from simulators.feed import Feed, ProfileFeed
from simulators.ledger import LedgerWriter, payload_id
from simulators.profiles import MIXED, Message, profile_names
from simulators.replay import ReplayFeed
from simulators.units import Endpoint

PROGRESS_EVERY_S = 0.25
_TURN_S = 0.01
_MAX_BATCH = 200
_CONNECTING_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """What the fleet does. Durations in seconds; raises ValueError when a value is impossible."""

    to: Endpoint
    count: int = 10
    rate_per_s: float = 100.0
    """Messages a second of the whole fleet."""
    duration_s: float | None = None
    """From the first device's connection on; None: until it is stopped."""
    qos: int = 1
    profile: str = MIXED
    replay: Path | None = None
    """A CSV to play in place of a profile."""
    seed: int = 0
    ledger: Path | None = None
    protocol: int = 4
    """4: MQTT 3.1.1, 5: MQTT 5."""
    window: int = 20
    """Unanswered publishes a device may have."""
    client_prefix: str = ""
    """Put before every client id, so that two fleets can share a gateway."""
    drain_timeout_s: float = 30.0
    """How long the end waits for the answers to what is still in flight: longer than it takes to notice a dead link."""
    keep_alive_s: int = 15
    ack_timeout_s: float = 15.0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 10_000:
            raise ValueError(f"The number of devices is between 1 and 10000, not {self.count}.")
        if not 0 < self.rate_per_s <= 1e6:
            raise ValueError(f"The rate is above 0 and at most 1000000 messages a second, not {self.rate_per_s:g}.")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError("The duration is longer than nothing.")
        if self.qos not in (0, 1, 2):
            raise ValueError(f"QoS is 0, 1 or 2, not {self.qos}.")
        if self.profile not in profile_names():
            raise ValueError(f"There is no profile {self.profile!r}; there are {', '.join(profile_names())}.")
        self.device_options()  # checks protocol and window

    def device_options(self) -> DeviceOptions:
        """The part that each device needs."""
        return DeviceOptions(
            to=self.to,
            protocol=self.protocol,
            window=self.window,
            keep_alive_s=self.keep_alive_s,
            ack_timeout_s=self.ack_timeout_s,
        )

    def feed(self) -> Feed:
        """The messages. Raises ReplayError, or OSError when the file can't be read."""
        if self.replay is not None:
            return ReplayFeed(self.replay, count=self.count, rate_per_s=self.rate_per_s)
        return ProfileFeed(profile=self.profile, count=self.count, rate_per_s=self.rate_per_s, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetProgress:
    """How the fleet stands."""

    devices: int
    connected: int
    published: int
    """Different payloads handed to a socket."""
    acknowledged: int
    """Answered with PUBACK or PUBCOMP."""
    refused: int
    resent: int
    reconnects: int
    in_flight: int
    rate_per_s: float
    """Published over the last progress period; in a result: over the time of publishing."""
    elapsed_s: float
    last_error: str | None


FleetResult = FleetProgress
"""How the fleet stood at its end; `in_flight` is what was never answered."""

OnProgress = Callable[[FleetProgress], None]


async def run_devices(
    options: FleetOptions, *, on_progress: OnProgress | None = None, stop: asyncio.Event | None = None
) -> FleetResult:
    """Run the fleet until its duration is over or `stop` is set; then wait for the last answers and disconnect.

    `on_progress` is called on the event loop about four times a second. Raises ReplayError or OSError for a replay
    file or a ledger that can't be used.
    """
    fleet = _Fleet(options, options.feed())
    try:
        return await fleet.run(on_progress, stop or asyncio.Event())
    finally:
        await fleet.close()


class _Fleet:
    def __init__(self, options: FleetOptions, feed: Feed) -> None:
        self._options = options
        self._feed = feed
        self._ledger = LedgerWriter(options.ledger) if options.ledger else None
        self._pool = ThreadPoolExecutor(_CONNECTING_THREADS, thread_name_prefix="device-connect")
        device_options = options.device_options()
        self._devices = [
            DeviceClient(options.client_prefix + client, device_options, self, self._pool) for client in feed.clients
        ]
        self._someone_online = asyncio.Event()
        self._answered = asyncio.Event()
        self._published = self._acknowledged = self._refused = self._resent = self._connects = 0
        self._taken = self._forgiven = 0
        self._began_s = time.monotonic()
        self._published_for_s: float | None = None
        self._progress_at = (self._began_s, 0)

    async def run(self, on_progress: OnProgress | None, stop: asyncio.Event) -> FleetResult:
        keepers = [device.start() for device in self._devices]
        owned = [asyncio.create_task(self._work(stop), name="fleet publishing")]
        if on_progress:
            owned.append(asyncio.create_task(self._report(on_progress), name="fleet progress"))
        try:
            # What ends first is the work, done, or a task that should not have ended: then its error is ours.
            done, _ = await asyncio.wait([*owned, *keepers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in owned:
                task.cancel()
            await asyncio.gather(*owned, return_exceptions=True)
        result = self._snapshot(whole=True)
        if on_progress:
            on_progress(result)
        return result

    async def close(self) -> None:
        """Every device says goodbye, the ledger is closed; idempotent."""
        try:
            await asyncio.gather(*(device.close() for device in self._devices))
        finally:
            self._pool.shutdown(wait=False)
            if self._ledger:
                self._ledger.close()

    async def _work(self, stop: asyncio.Event) -> None:
        duration_s = self._options.duration_s
        if not await _happens(self._someone_online, duration_s, or_stop=stop):
            return
        self._began_s = time.monotonic()
        while not stop.is_set():
            elapsed_s = time.monotonic() - self._began_s
            if duration_s is not None and elapsed_s >= duration_s:
                break
            self._publish_due(elapsed_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TURN_S)
        self._published_for_s = time.monotonic() - self._began_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout_s):
                while any(device.in_flight for device in self._devices):
                    self._answered.clear()
                    await self._answered.wait()
        self._flush()

    def _publish_due(self, elapsed_s: float) -> None:
        """Publish what is due, as far as devices can speak; a debt of more than a second is forgiven."""
        due = self._feed.due(elapsed_s) - self._forgiven - self._taken
        allowed = max(1, int(self._options.rate_per_s))
        if due > allowed:
            self._forgiven += due - allowed
            due = allowed
        room = [device.room for device in self._devices]
        batch: list[tuple[DeviceClient, Message, str]] = []
        for _ in range(min(due, _MAX_BATCH)):
            taken = self._feed.take(lambda device: room[device] > 0, time.time_ns() // 1000)
            if taken is None:
                break
            room[taken[0]] -= 1
            device, message = self._devices[taken[0]], taken[1]
            batch.append((device, message, payload_id(device.client_id, message.topic, message.payload)))
        self._taken += len(batch)
        if self._ledger:
            for device, message, name in batch:
                self._ledger.sent(name, device.client_id, message.topic, self._options.qos, message.payload)
        self._flush()  # before sending: a fleet that is killed has told of everything it sent
        for device, message, name in batch:
            self._published += device.publish(message, qos=self._options.qos, name=name)

    def _flush(self) -> None:
        if self._ledger:
            self._ledger.flush()

    async def _report(self, on_progress: OnProgress) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            on_progress(self._snapshot(whole=False))

    def _snapshot(self, *, whole: bool) -> FleetProgress:
        now_s = time.monotonic()
        since_s, before = self._progress_at
        rate_per_s = (self._published - before) / max(now_s - since_s, 1e-9)
        if whole and self._published_for_s:
            rate_per_s = self._published / self._published_for_s
        self._progress_at = (now_s, self._published)
        return FleetProgress(
            devices=len(self._devices),
            connected=sum(device.state is State.ONLINE for device in self._devices),
            published=self._published,
            acknowledged=self._acknowledged,
            refused=self._refused,
            resent=self._resent,
            reconnects=max(0, self._connects - len(self._devices)),
            in_flight=sum(device.in_flight for device in self._devices),
            rate_per_s=rate_per_s,
            elapsed_s=now_s - self._began_s,
            last_error=next((device.last_error for device in self._devices if device.state is not State.ONLINE), None),
        )

    # What the devices tell (DeviceEvents).

    def on_online(self, session_present: bool) -> None:  # noqa: ARG002 -- the fleet repeats either way
        self._connects += 1
        self._someone_online.set()
        self._flush()  # the `resent` lines, before paho repeats

    def on_lost(self) -> None:
        pass

    def on_resend(self, name: str) -> None:
        self._resent += 1
        if self._ledger:
            self._ledger.resent(name)

    def on_received(self, name: str) -> None:
        if self._ledger:
            self._ledger.received(name)

    def on_acknowledged(self, name: str) -> None:
        self._acknowledged += 1
        self._answered.set()
        if self._ledger:
            self._ledger.acked(name)

    def on_refused(self, name: str, reason: int) -> None:
        self._refused += 1
        self._answered.set()
        if self._ledger:
            self._ledger.refused(name, reason)


async def _happens(event: asyncio.Event, timeout_s: float | None, *, or_stop: asyncio.Event) -> bool:
    """Wait for `event`; False when the time is over or the stop came first."""
    waits = [asyncio.create_task(event.wait()), asyncio.create_task(or_stop.wait())]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return event.is_set() and not or_stop.is_set()
