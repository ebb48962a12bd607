"""The whole road of a scenario on this machine: the cloud's broker, the link, the receiver and the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any

from simulators.demo.child import Child
from simulators.demo.errors import DemoFailed
from simulators.demo.scene import Scene, Status
from simulators.demo.site import HOST, Site
from simulators.demo.watch import Watch
from simulators.link import LinkOptions, LinkProxy
from simulators.link_model import LinkState
from simulators.scenarios.description import GatewayKeys, Scenario
from simulators.scenarios.weather import WeatherLog
from simulators.units import Endpoint

SETTLE_TIMEOUT_S = 15.0
DRAIN_TIMEOUT_S = 60.0


def gateway_configuration(site: Site, uplink: Endpoint, keys: GatewayKeys) -> dict[str, Any]:
    """gateway.yaml; `uplink` is where the gateway finds the cloud. Pure."""
    listener: dict[str, Any] = {"name": "local", "transport": "tcp", "bind": str(site.devices)}
    if keys.max_packet_size_bytes is not None:
        listener["max_packet_size"] = f"{keys.max_packet_size_bytes}B"
    if keys.max_message_rate is not None:
        listener["max_message_rate"] = keys.max_message_rate
    stream: dict[str, Any] = {"name": "telemetry", "topics": ["#"]}
    if keys.time_to_live_s is not None:
        stream["time_to_live"] = f"{keys.time_to_live_s:g}s"
    return {
        "gateway": {"id": "scenario-edge", "data_dir": str(site.folder / "gateway-data")},
        "listeners": [listener],
        "streams": [stream],
        "uplinks": [
            {
                "name": "cloud",
                "url": f"mqtt://{uplink}",  # the link; the broker behind it is at site.cloud
                "protocol": "3.1.1",  # amqtt, which plays the cloud, speaks no other
                "keep_alive": "5s",  # a scenario has no minutes to notice a silent link
                "ack_timeout": "10s",
                "retry": {"first": "250ms", "max": "3s"},
            }
        ],
        "api": {"bind": str(site.gateway_api)},
    }


def receiver_configuration(site: Site) -> dict[str, Any]:
    """receiver.yaml. Pure."""
    return {
        "receiver": {
            "url": f"mqtt://{site.cloud}",
            "protocol": "3.1.1",
            "topic": "fieldgate/v1/+/+",
            "state": str(site.folder / "receiver.db"),
        },
        "api": {"bind": str(site.receiver_api)},
        "sinks": [{"type": "sqlite", "path": str(site.received_db)}],
    }


class Road:
    """Starts everything when it is entered, and ends it when it is left. Raises DemoFailed."""

    def __init__(self, scenario: Scenario, site: Site) -> None:
        self.scene = Scene(duration_s=scenario.duration_s)
        self.weather = WeatherLog()
        self.link = LinkProxy(
            LinkOptions(
                listen=Endpoint(host=HOST, port=0),
                to=site.cloud,
                seed=scenario.seed,
                may_change=any(phase.link.rate_bits_per_s is not None for phase in scenario.phases),
            ),
            on_change=self._saw_link,
        )
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with a sentence when one of the processes ends by itself."""
        self._scenario = scenario
        self._site = site
        self._watch = Watch(site, self.scene)
        self._cloud = self._child("cloud", "simulate", "cloud", "--bind", str(site.cloud))
        self._gateway = self._child("gateway", "run", "-c", str(site.gateway_yaml))
        self._receiver = self._child("receiver", "receive", "-c", str(site.receiver_yaml))
        self._guards: list[asyncio.Task[None]] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Road:
        self._stack.push_async_callback(self._strike)
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def is_drained(self) -> bool:
        """Let the gateway deliver what it has; False when it did not in time."""
        return await self._watch.until(
            lambda: self.scene.waiting == 0 and self.scene.in_flight == 0, timeout_s=DRAIN_TIMEOUT_S
        )

    async def ask_gateway(self) -> Status | None:
        """How the gateway is now; None when it did not say in time."""
        await self._watch.until(lambda: self.scene.gateway is not None, timeout_s=SETTLE_TIMEOUT_S)
        return self.scene.gateway

    async def more_arrives(self) -> bool:
        """Wait for a record to leave the gateway or to reach the receiver; False when none did for a while."""
        scene = self.scene
        seen = scene.waiting, scene.received
        return await self._watch.until(lambda: (scene.waiting, scene.received) != seen, timeout_s=SETTLE_TIMEOUT_S)

    async def _set_up(self) -> None:
        site = self._site
        try:
            await self.link.start()
            gateway = gateway_configuration(site, self.link.address, self._scenario.gateway)
            site.gateway_yaml.write_text(json.dumps(gateway, indent=2))  # JSON is YAML too
            site.receiver_yaml.write_text(json.dumps(receiver_configuration(site), indent=2))
        except OSError as error:
            raise DemoFailed(f"The scenario can't be set up in {site.folder}: {error.strerror or error}.") from error
        await self._stack.enter_async_context(self._watch)
        await self._start(self._cloud)
        await self._watch.listening(self._cloud, site.cloud)
        await self._start(self._receiver)
        await self._start(self._gateway)
        await self._watch.ready(self._gateway, site.gateway_api)
        await self._watch.ready(self._receiver, site.receiver_api)

    def _child(self, name: str, *arguments: str) -> Child:
        return Child(name, self._site.log(name), *arguments)

    async def _start(self, child: Child) -> None:
        await child.start()
        self._guards.append(asyncio.create_task(self._until_death(child), name=f"guard of the {child.name}"))

    async def _until_death(self, child: Child) -> None:
        code = await child.ended()
        if not child.end_expected and not self.death.done():
            self.death.set_exception(child.failure(f"ended by itself with exit code {code}"))

    async def _strike(self) -> None:
        """End all processes, those that send first."""
        await asyncio.gather(self._gateway.stop(), self._receiver.stop())
        await self._cloud.stop()
        await self.link.stop()
        await asyncio.gather(*self._guards, return_exceptions=True)
        if self.death.done():
            self.death.exception()  # it has been told, or something else was

    def _saw_link(self, state: LinkState) -> None:
        self.scene.saw_link(state)
        self.weather.saw(state)
