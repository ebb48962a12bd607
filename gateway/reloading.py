"""How the parts of a running gateway follow new settings: all that can fail first, then the change.

Prepared: the files of every access are read, certificates loaded, addresses of new listeners taken, streams that are
new get their rows. Nobody notices yet. Then, in turn: the log, who may do what, limits, where records go, doors; and at
last the uplinks, each that is another now stopped in order and begun anew: the records stay in the spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.configuration import CannotApply
from bridge.uplink import Uplink
from bridge.web.entrance import Prepared as PreparedApi
from config.settings import GatewaySettings, Listener
from config.settings import Uplink as UplinkSettings
from gateway import logs
from gateway.access.ports import Entry
from gateway.accesses import Accesses
from gateway.accesses import Prepared as PreparedAccesses
from gateway.api.server import ApiServer
from gateway.broker.broker import Broker
from gateway.errors import CannotListen, CannotStart
from gateway.listener.errors import ListenerError
from gateway.listener.listener import MqttListener
from gateway.listener.places import Places
from gateway.live_keys import carriers
from gateway.spool.errors import SpoolError
from gateway.spool.spool import Spool
from gateway.tasks import Tasks

if TYPE_CHECKING:
    from gateway.listener.certificates import Certificates

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a running gateway; lists and dictionaries are those that everybody else holds, too."""

    spool: Spool
    broker: Broker
    accesses: Accesses
    places: Places
    listeners: list[MqttListener]
    uplinks: dict[str, Uplink]
    tasks: Tasks
    make_listener: Callable[[Listener, Entry], MqttListener]
    make_uplink: Callable[[UplinkSettings], Uplink]
    api: ApiServer
    push_metrics: Callable[[], None]
    forget_others: Callable[[Collection[str]], None]
    """What is noted of uplinks that are none of these."""


class Reloading:
    """A `gateway.configuration.Applier`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def is_in_use(self, listener: str) -> bool:
        """Whether somebody is connected to it."""
        return any(one.connections for one in self._parts.listeners if one.name == listener)

    async def prepare(self, before: GatewaySettings, after: GatewaySettings) -> PreparedChange:
        """Do all that can fail. Raises ConfigError, or CannotApply; then nothing has changed."""
        parts = self._parts
        accesses = await parts.accesses.prepare(after.access)
        opened: list[MqttListener] = []
        api: PreparedApi | None = None
        try:
            certificates: dict[str, Certificates | None] = {}
            running = {listener.name: listener for listener in parts.listeners}
            for listener in after.listeners:
                if listener.name in running:
                    certificates[listener.name] = await asyncio.to_thread(running[listener.name].prepare, listener)
                else:
                    entry = accesses.added.get(listener.access) or parts.accesses.entries[listener.access]
                    door = parts.make_listener(listener, entry)
                    opened.append(door)
                    await door.open()
            api = await parts.api.prepare(after.api)
            streams = await parts.spool.add_streams(after)
        except ListenerError as error:
            await _discard(opened, accesses, api)
            raise CannotApply(f"listeners[{error.name}]", str(error)) from error
        except CannotStart as error:
            await _discard(opened, accesses, api)
            raise CannotApply("api.bind" if isinstance(error, CannotListen) else "api.tls", str(error)) from error
        except SpoolError as error:
            await _discard(opened, accesses, api)
            raise CannotApply("streams", f"{error} No stream was added.") from error
        except BaseException:  # raised again: only what was opened must not stay open
            await _discard(opened, accesses, api)
            raise
        return PreparedChange(
            parts=parts,
            before=before,
            after=after,
            accesses=accesses,
            certificates=certificates,
            opened=opened,
            api=api,
            streams=streams,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChange:
    """A `bridge.configuration.Prepared`."""

    parts: Parts
    before: GatewaySettings
    after: GatewaySettings
    accesses: PreparedAccesses
    certificates: Mapping[str, Certificates | None]
    opened: list[MqttListener]
    api: PreparedApi
    streams: Sequence[str]
    """Those that are new."""

    async def discard(self) -> None:
        """Leave everything as it was."""
        await _discard(self.opened, self.accesses, self.api)
        await self.parts.spool.take_back(self.streams)

    async def adopt(self) -> None:
        """Have it in force. What fails now ends the gateway, whoever asked for it: half of a change must not stay."""
        try:
            await self._adopt()
        except Exception as error:  # raised again: whoever asked is told, too
            self.parts.tasks.fail("change of the configuration", error)
            raise

    async def _adopt(self) -> None:
        before, after, parts = self.before, self.after, self.parts
        if after.log != before.log:
            logs.set_up(after.log)
        await parts.accesses.adopt(self.accesses)
        parts.places.max_connections = after.limits.max_connections
        if (after.sessions, after.retained, after.limits) != (before.sessions, before.retained, before.limits):
            parts.broker.limit(sessions=after.sessions, retained=after.retained, limits=after.limits)
        if after.spool != before.spool:
            parts.spool.resize(after.spool)
        if after.streams != before.streams:
            # In one turn of the loop: a route names a stream by its place.
            parts.spool.order_streams(after)
            parts.broker.order_streams(after.streams)
        parts.broker.rights_changed()
        await self._change_doors()
        parts.api.adopt(self.api)
        if after.telemetry != before.telemetry:
            if (pushing := parts.tasks.release("telemetry")) is not None:
                pushing.cancel()
                await asyncio.gather(pushing, return_exceptions=True)
            parts.push_metrics()
        await self._change_uplinks()

    async def _change_doors(self) -> None:
        listeners, wanted = self.parts.listeners, {listener.name: listener for listener in self.after.listeners}
        for listener in [one for one in listeners if one.name not in wanted]:
            listeners.remove(listener)
            await listener.close()
            logger.info("The listener %r is closed.", listener.name)
        for listener in listeners:
            listener.adopt(wanted[listener.name], self.certificates[listener.name])
        for listener in self.opened:
            listener.accept()
            listeners.append(listener)

    async def _change_uplinks(self) -> None:
        parts, before, after = self.parts, _roads(self.before), _roads(self.after)
        changed = [name for name in before if after.get(name) != before[name]]
        tasks = [task for name in changed if (task := parts.tasks.release(f"uplink {name}")) is not None]
        stopping = [parts.uplinks[name].stop(self.after.gateway.grace_period_s) for name in changed]
        await asyncio.gather(*stopping)
        for task in tasks:
            await task  # its own error ends the gateway, as it would have without us
        ended = {name: parts.uplinks.pop(name) for name in changed}
        await parts.spool.reroute(self.after)
        parts.forget_others(after)
        for settings in self.after.uplinks:
            if settings.name not in parts.uplinks:
                parts.uplinks[settings.name] = uplink = parts.make_uplink(settings)
                if settings.name in ended:
                    uplink.carry_on(ended[settings.name])
                parts.tasks.own(f"uplink {settings.name}", uplink.run())


def _roads(settings: GatewaySettings) -> dict[str, tuple[UplinkSettings, frozenset[str]]]:
    """Every uplink with what makes it another one: its settings, and the streams that it carries."""
    return {
        uplink.name: (
            uplink,
            frozenset(stream.name for stream in settings.streams if uplink.name in carriers(settings, stream.name)),
        )
        for uplink in settings.uplinks
    }


async def _discard(opened: list[MqttListener], accesses: PreparedAccesses, api: PreparedApi | None) -> None:
    if api is not None:
        api.discard()
    for listener in opened:
        listener.stop_accepting()
    for entry in accesses.added.values():
        await entry.close()
