"""The composition root: which parts there are, who owns their tasks, and in which order they stop.

Start: the store, then those who read from it, then those who let devices in. Stop: close the listeners, finish the open
commit, acknowledge, give the uplinks a grace period, release, close the store. A task that ends on its own stops the
process with its error. A database that turns out to be damaged starts everything over: it is set aside then. SIGHUP has
the configuration read again (`gateway.configuration`), and the parts follow it (`gateway.reloading`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import time
from typing import Final

from bridge.clock import SystemClock
from bridge.memory import return_freed_memory
from bridge.notify import Notifier, keep_telling, waiting
from bridge.uplink import Uplink, link_factory
from bridge.web.gate import Gate
from config.advice import advice
from config.loader import Loaded
from config.settings import Api, GatewaySettings, Listener
from config.settings import Uplink as UplinkSettings
from gateway.access.ports import Entry
from gateway.access.web_users import web_users
from gateway.accesses import Accesses
from gateway.api.parts import Parts as ApiParts
from gateway.api.routes import PAGES, routes
from gateway.api.server import ApiServer
from gateway.broker.broker import Broker
from gateway.chronicle import Chronicle
from gateway.configuration import Configuration
from gateway.errors import GatewayError
from gateway.listener.listener import MqttListener
from gateway.listener.partials import Partials
from gateway.listener.places import Places
from gateway.overview import Overview
from gateway.process import raise_file_limit, signals
from gateway.reloading import Parts, Reloading
from gateway.spool.errors import SpoolCorrupt
from gateway.spool.notes import Notes
from gateway.spool.spool import Spool
from gateway.tasks import Tasks
from gateway.traffic.traffic import Traffic
from gateway.verdict import verdict

log = logging.getLogger(__name__)

FEED_INTERVAL_S: Final = 1.0
MAX_RECOVERIES: Final = 3
"""A disk that damages the database again and again is not to be filled with what was set aside."""


async def run_gateway(source: Configuration | GatewaySettings) -> None:
    """Run until SIGTERM or SIGINT; a second one ends the process at once. Raises what kept it from going on."""
    configuration = _configuration(source)
    return_freed_memory()
    raise_file_limit()
    stop, reload = asyncio.Event(), asyncio.Event()
    with signals(stop, reload):
        for _ in range(MAX_RECOVERIES):
            try:
                return await _run_once(configuration, stop, reload)
            except SpoolCorrupt as error:
                log.error("%s It is set aside, and the gateway starts over with what can be read.", error)
        raise GatewayError(
            f"The spool's database was found damaged {MAX_RECOVERIES} times. Look at the disk before starting again."
        )


async def _run_once(configuration: Configuration, stop: asyncio.Event, reload: asyncio.Event) -> None:
    notifier = Notifier.of(os.environ)
    async with waiting(notifier):
        gateway = await Gateway.open(configuration, notifier=notifier)
    try:
        try:
            await gateway.start(reload)
            stopping = asyncio.create_task(stop.wait(), name="stop signal")
            ended = asyncio.create_task(gateway.tasks.ended(), name="a part has ended")
            await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            ended.cancel()
            if stop.is_set():  # else it may start over, and who was told of a stop kills what has not stopped in time
                notifier.stopping()
            gateway.check()
        finally:
            await gateway.stop()
        gateway.check()
    except SpoolCorrupt as error:
        # Also when it was an uplink that found it, and while stopping: the next opening may see no damage.
        gateway.spool.condemn(error)
        raise


def _configuration(source: Configuration | GatewaySettings) -> Configuration:
    return source if isinstance(source, Configuration) else Configuration(Loaded(settings=source, origins={}))


class Gateway:
    """All parts of one edge gateway. `start` once; `stop` any number of times."""

    def __init__(
        self, configuration: Configuration, spool: Spool, accesses: Accesses, notifier: Notifier | None = None
    ) -> None:
        clock = self._clock = SystemClock()
        self._started_ns = time.time_ns()
        settings = configuration.settings
        self.configuration = configuration
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
        self._partials, self._places = Partials(), Places(settings.limits.max_connections)
        self.listeners = [self._listener(each, accesses.entries[each.access]) for each in settings.listeners]
        self._notes = Notes(spool)
        self._notes.forget_others([uplink.name for uplink in settings.uplinks])
        self.uplinks = {uplink.name: self._uplink(uplink) for uplink in settings.uplinks}
        self.overview = Overview(
            configuration,
            spool=spool,
            broker=self.broker,
            listeners=self.listeners,
            uplinks=self.uplinks,
            clock=clock,
        )
        self.chronicle = Chronicle(
            spool=spool, broker=self.broker, uplinks=self.uplinks, overview=self.overview, clock=clock
        )
        configuration.on_report = self.chronicle.reloaded
        self.api = self._api(settings.api)
        self.tasks = Tasks()
        self._notifier = notifier or Notifier(None)
        self._stopping = False

    @classmethod
    async def open(cls, source: Configuration | GatewaySettings, *, notifier: Notifier | None = None) -> Gateway:
        """Read who may come in, and open the store. Raises AccessError, or SpoolError, with sentences."""
        configuration = _configuration(source)
        settings = configuration.settings
        accesses = Accesses.open(settings.access, clock=SystemClock())
        try:
            spool = await Spool.open(settings, clock=SystemClock())
        except BaseException:  # raised again at once: only the threads that check passwords must not stay
            await accesses.close()
            raise
        try:
            return cls(configuration, spool, accesses, notifier)
        except BaseException:  # the threads of both would keep a process alive that nobody serves
            await accesses.close()
            await spool.close()
            raise

    def _listener(self, settings: Listener, entry: Entry) -> MqttListener:
        return MqttListener(settings, self.broker, entry=entry, partials=self._partials, places=self._places)

    def _uplink(self, settings: UplinkSettings) -> Uplink:
        gateway_id = self.configuration.settings.gateway.id
        return Uplink(
            settings,
            gateway_id=gateway_id,
            outbox=self.spool.outbox(settings),
            link_factory=link_factory(settings, gateway_id=gateway_id),
            clock=self._clock,
            rng=random.random,
            paused_by=self._notes.paused_by(settings.name),
        )

    def _api(self, settings: Api) -> ApiServer:
        parts = ApiParts(
            spool=self.spool,
            notes=self._notes,
            broker=self.broker,
            uplinks=self.uplinks,
            overview=self.overview,
            chronicle=self.chronicle,
            traffic=self.traffic,
            configuration=self.configuration,
            clock=self._clock,
        )
        return ApiServer(
            settings,
            self.overview,
            name=self.configuration.settings.gateway.id,
            gate=Gate.open(settings, open_verifier=web_users(self.accesses.pool)),
            routes=routes(parts),
            pages=PAGES,
            on_audit=self.chronicle.audit,
        )

    async def start(self, reload: asyncio.Event) -> None:
        """Let data flow; read files again when `reload` is set. Raises GatewayError or ListenerError when an address
        can't be had."""
        self.tasks.own("spool", self.spool.run())
        self.broker.start()
        self.chronicle.start()
        for listener in self.listeners:
            await listener.start()
        await self.api.start()
        self.push_metrics()
        self.tasks.own("rates", self._feed())
        self.tasks.own("reload", self._reload_at(reload))
        # Last: a second gateway that finds its ports taken must not have taken the first one's place at the cloud.
        for name, uplink in self.uplinks.items():
            self.tasks.own(f"uplink {name}", uplink.run())
        settings = self.configuration.settings
        for sentence in advice(settings):
            log.warning("%s", sentence)
        self.configuration.serve(self._reloading())
        self.tasks.own("notify", keep_telling(self._notifier, probe=self.spool.probe, status=self._sentence))
        self._notifier.ready(self._sentence())
        log.info("Gateway %s is ready; its data is in %s.", settings.gateway.id, settings.gateway.data_dir)

    def push_metrics(self) -> None:
        """Where the settings name a collector: push to it. Raises ConfigError without the extra for it."""
        settings = self.configuration.settings
        if settings.telemetry.url is not None:
            from bridge import otel
            from gateway.api.metrics import LASTING, registry_of

            otel.require(self.configuration.problem)
            registry = registry_of(self.overview.status, lambda: self.api.worst_lag_s, self.api.web.meter)
            pusher = otel.Pusher(
                settings.telemetry, registry, instance=settings.gateway.id, started_ns=self._started_ns, lasting=LASTING
            )
            self.tasks.own("telemetry", pusher.run())

    def _reloading(self) -> Reloading:
        return Reloading(
            Parts(
                spool=self.spool,
                broker=self.broker,
                accesses=self.accesses,
                places=self._places,
                listeners=self.listeners,
                uplinks=self.uplinks,
                tasks=self.tasks,
                make_listener=self._listener,
                make_uplink=self._uplink,
                api=self.api,
                push_metrics=self.push_metrics,
                forget_others=self._notes.forget_others,
            )
        )

    async def _feed(self) -> None:
        while True:
            self.overview.feed()
            self.chronicle.feed()
            await asyncio.sleep(FEED_INTERVAL_S)

    async def _reload_at(self, reload: asyncio.Event) -> None:
        while True:
            await reload.wait()
            reload.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read the configuration again, and every file that it names; what is broken leaves everything as it was."""
        self._notifier.reloading()
        try:
            await self.configuration.reload("SIGHUP")
        finally:
            self._notifier.ready()

    def _sentence(self) -> str:
        """For the service manager."""
        return verdict(self.overview.figures()).sentence

    def check(self) -> None:
        """Raise the error of a task that has ended on its own."""
        self.tasks.check(may_end=self._stopping)

    async def stop(self) -> None:
        """Stop in order, within the grace period."""
        if self._stopping:
            return
        self._stopping = True
        grace_s = self.configuration.settings.gateway.grace_period_s
        log.info("Stopping.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * grace_s):
                await self.configuration.close()
        for listener in self.listeners:
            listener.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self.tasks.is_running("spool"):
                    await self.tasks.while_running("spool", self.broker.drain())
        for listener in self.listeners:
            await listener.close()
        await asyncio.gather(*(uplink.stop(grace_s) for uplink in self.uplinks.values()))
        self.chronicle.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self.tasks.is_running("spool"):
                    await self.tasks.while_running("spool", self.spool.flush())
        await self.api.close()
        await self.tasks.cancel()
        await self.accesses.close()
        await self.spool.close()
        log.info("Stopped.")
