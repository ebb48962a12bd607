"""The composition root: which parts there are, who owns their tasks, and in which order they stop.

Start: the store, then those who read from it, then those who let devices in. Stop: close the listeners, finish the open
commit, acknowledge, give the uplinks a grace period, release, close the store. A task that ends on its own stops the
process with its error. A database that turns out to be damaged starts everything over: it is set aside then. SIGHUP has
the files read again that say who may come in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import resource
import secrets
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from bridge.clock import SystemClock
from bridge.memory import return_freed_memory
from bridge.uplink import Uplink, link_factory
from config.advice import advice
from config.settings import GatewaySettings
from gateway.accesses import Accesses
from gateway.api.server import ApiServer
from gateway.broker.broker import Broker
from gateway.errors import GatewayError
from gateway.listener.listener import MqttListener
from gateway.listener.partials import Partials
from gateway.listener.places import Places
from gateway.overview import Overview
from gateway.spool.errors import SpoolCorrupt
from gateway.spool.spool import Spool
from gateway.traffic.traffic import Traffic

log = logging.getLogger(__name__)

FEED_INTERVAL_S: Final = 0.5
MAX_RECOVERIES: Final = 3
"""A disk that damages the database again and again is not to be filled with what was set aside."""


async def run_gateway(settings: GatewaySettings) -> None:
    """Run until SIGTERM or SIGINT; a second one ends the process at once. Raises what kept it from going on."""
    return_freed_memory()
    _raise_file_limit()
    stop, reload = asyncio.Event(), asyncio.Event()
    with _signals(stop, reload):
        for _ in range(MAX_RECOVERIES):
            try:
                return await _run_once(settings, stop, reload)
            except SpoolCorrupt as error:
                log.error("%s It is set aside, and the gateway starts over with what can be read.", error)
        raise GatewayError(
            f"The spool's database was found damaged {MAX_RECOVERIES} times. Look at the disk before starting again."
        )


async def _run_once(settings: GatewaySettings, stop: asyncio.Event, reload: asyncio.Event) -> None:
    gateway = await Gateway.open(settings)
    try:
        try:
            await gateway.start(reload)
            stopping = asyncio.create_task(stop.wait(), name="stop signal")
            await asyncio.wait({stopping, *gateway.tasks}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            gateway.check()
        finally:
            await gateway.stop()
        gateway.check()
    except SpoolCorrupt as error:
        # Also when it was an uplink that found it, and while stopping: the next opening may see no damage.
        gateway.spool.condemn(error)
        raise


class Gateway:
    """All parts of one edge gateway. `start` once; `stop` any number of times."""

    def __init__(self, settings: GatewaySettings, spool: Spool, accesses: Accesses) -> None:
        clock = SystemClock()
        self._settings = settings
        self.spool = spool
        self.accesses = accesses
        self.traffic = Traffic(clock, random.random)
        self.broker = Broker(
            store=spool,
            clock=clock,
            streams=settings.streams,
            new_client_id=lambda: f"auto-{secrets.token_hex(8)}",
            entries=accesses.entries,
            sessions=settings.sessions,
            retained=settings.retained,
            limits=settings.limits,
            traffic=self.traffic,
        )
        partials, places = Partials(), Places(settings.limits.max_connections)
        self.listeners = [
            MqttListener(
                listener, self.broker, entry=accesses.entries[listener.access], partials=partials, places=places
            )
            for listener in settings.listeners
        ]
        self.uplinks = {
            uplink.name: Uplink(
                uplink,
                gateway_id=settings.gateway.id,
                outbox=spool.outbox(uplink),
                link_factory=link_factory(uplink, gateway_id=settings.gateway.id),
                clock=clock,
                rng=random.random,
            )
            for uplink in settings.uplinks
        }
        self.overview = Overview(
            settings,
            spool=spool,
            broker=self.broker,
            listeners=self.listeners,
            uplinks=self.uplinks,
            clock=clock,
        )
        self.api = ApiServer(settings.api.bind, self.overview)
        self.tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @classmethod
    async def open(cls, settings: GatewaySettings) -> Gateway:
        """Read who may come in, and open the store. Raises AccessError, or SpoolError, with sentences."""
        accesses = Accesses.open(settings.access, clock=SystemClock())
        try:
            spool = await Spool.open(settings, clock=SystemClock())
        except BaseException:  # raised again at once: only the threads that check passwords must not stay
            await accesses.close()
            raise
        try:
            return cls(settings, spool, accesses)
        except BaseException:  # the threads of both would keep a process alive that nobody serves
            await accesses.close()
            await spool.close()
            raise

    async def start(self, reload: asyncio.Event) -> None:
        """Let data flow; read files again when `reload` is set. Raises GatewayError or ListenerError when an address
        can't be had."""
        self._own("spool", self.spool.run())
        self.broker.start()
        for listener in self.listeners:
            await listener.start()
        await self.api.start()
        self._own("rates", self._feed())
        self._own("reload", self._reload_at(reload))
        # Last: a second gateway that finds its ports taken must not have taken the first one's place at the cloud.
        for name, uplink in self.uplinks.items():
            self._own(f"uplink {name}", uplink.run())
        for sentence in advice(self._settings):
            log.warning("%s", sentence)
        log.info("Gateway %s is ready; its data is in %s.", self._settings.gateway.id, self._settings.gateway.data_dir)

    def _own(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.add(asyncio.create_task(work, name=name))

    async def _feed(self) -> None:
        while True:
            self.overview.feed()
            await asyncio.sleep(FEED_INTERVAL_S)

    async def _reload_at(self, reload: asyncio.Event) -> None:
        while True:
            await reload.wait()
            reload.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read passwords, keys, rules and certificates again; what is broken leaves in force what was there before."""
        problems = await self.accesses.reload()
        for problem in problems:
            log.error("%s", problem)
        broken = [listener.name for listener in self.listeners if not listener.reload()]
        self.broker.rights_changed()
        if problems or broken:
            log.error("Reloaded; but what is named above is broken, so there the old files stay in force.")
        else:
            log.info(
                "Reloaded: password files, keys of tokens, ACL files and certificates. What stands in gateway.yaml "
                "itself, rules too, holds from the next start on."
            )

    def check(self) -> None:
        """Raise the error of a task that has ended on its own."""
        for task in self.tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                if error is not None:
                    raise error
                if not self._stopping:
                    raise GatewayError(f"The part '{task.get_name()}' has ended, and nobody told it to.")

    async def stop(self) -> None:
        """Stop in order, within the grace period."""
        if self._stopping:
            return
        self._stopping = True
        grace_s = self._settings.gateway.grace_period_s
        log.info("Stopping.")
        for listener in self.listeners:
            listener.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self._is_running("spool"):
                    await self._while_running("spool", self.broker.drain())
        for listener in self.listeners:
            await listener.close()
        await asyncio.gather(*(uplink.stop(grace_s) for uplink in self.uplinks.values()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self._is_running("spool"):
                    await self._while_running("spool", self.spool.flush())
        await self.api.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.accesses.close()
        await self.spool.close()
        log.info("Stopped.")

    def _is_running(self, name: str) -> bool:
        return any(task.get_name() == name and not task.done() for task in self.tasks)

    async def _while_running(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but no longer than the task `name` lives: without it the work would never end."""
        waiting = asyncio.ensure_future(work)
        owners = {task for task in self.tasks if task.get_name() == name}
        try:
            await asyncio.wait({waiting, *owners}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


def _raise_file_limit() -> None:
    """Take all the file descriptors that this user may have: each connection is one, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a limit that can't be raised is the one that holds
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _signals(stop: asyncio.Event, reload: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`, a second one ends the process; SIGHUP sets `reload`."""
    loop = asyncio.get_running_loop()

    def on_stop(number: int) -> None:
        if stop.is_set():
            log.warning("Stopped at once by a second signal; what was acknowledged is on disk.")
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
