"""A whole road for a test: devices, gateway, link, the cloud's broker, receiver."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.cloud import CloudBroker
from simulators.link import LinkOptions, LinkProxy
from simulators.units import Endpoint
from tests.support.fleet import Fleet
from tests.support.java_broker import JavaBroker
from tests.support.mosquitto import Mosquitto
from tests.support.site import GatewayProcess, ReceiverProcess

LOCAL = Endpoint(host="127.0.0.1", port=0)


@dataclass(slots=True, kw_only=True)
class Road:
    """The parts, started one by one by the test; only the broker and the link are up at the beginning."""

    broker: Mosquitto | JavaBroker | CloudBroker
    link: LinkProxy
    """Between the gateway and the broker; the receiver is connected to the broker itself."""
    gateway: GatewayProcess
    receiver: ReceiverProcess

    async def start(self) -> None:
        """The receiver first, so that nothing is published while nobody listens."""
        await self.receiver.start()
        await self.receiver.until_online()
        await self.gateway.start()

    async def until_caught_up(self) -> None:
        """Return when, with devices still publishing, what waits is no older than a moment."""
        await self.gateway.until(
            lambda status: (
                (status["streams"]["telemetry"]["oldest_age_s"] or 0.0) < 0.4
                and status["uplinks"]["cloud"]["state"] == "online"
            ),
            "the backlog is drained while new data comes in",
        )

    async def until_broker_is_empty(self) -> None:
        """With the link cut: return when the receiver has all that the gateway has released."""
        status = await self.gateway.until(
            lambda status: status["uplinks"]["cloud"]["state"] != "online",
            "the gateway has noticed that the link is cut",
        )
        released = status["streams"]["telemetry"]["first_seq"] - 1
        await self.receiver.until(
            lambda status: status["records"] >= released and status["waiting"]["frames"] == 0,
            "all that the broker acknowledged has arrived",
        )

    async def arrived(self, fleet: Fleet) -> None:
        """When all is drained: the ledger adds up, nothing was dropped, no hole and no gap is known anywhere."""
        edge = await self.gateway.until_drained()
        await self.receiver.until_received(edge["streams"]["telemetry"]["next_seq"] - 1)
        cloud = await self.receiver.until_settled()
        fleet.check(self.receiver.database)
        assert set(edge["streams"]["telemetry"]["dropped"].values()) == {0}
        assert edge["uplinks"]["cloud"]["dead_letters"] == 0
        assert cloud["holes"] == []
        assert cloud["gaps"] == []
        assert cloud["set_aside"]["count"] == 0
        assert len(self.receiver.lines()) == cloud["records"]


@contextlib.asynccontextmanager
async def road_through(
    broker: Mosquitto | JavaBroker | CloudBroker, folder: Path, **sections: Any
) -> AsyncIterator[Road]:
    """A road through a broker that runs."""
    embedded = isinstance(broker, CloudBroker)
    port = broker.address.port if isinstance(broker, CloudBroker) else broker.port
    how = {"protocol": "3.1.1"} if embedded else {}
    link = LinkProxy(LinkOptions(listen=LOCAL, to=Endpoint(host="127.0.0.1", port=port)))
    await link.start()
    uplink = {**how, **sections.pop("uplink", {})}
    receiver = {**how, **sections.pop("receiver", {})}
    sinks = {"sinks": sections.pop("sinks")} if "sinks" in sections else {}
    gateway = GatewayProcess(folder / "edge", cloud_port=link.address.port, uplink=uplink, **sections)
    with gateway, ReceiverProcess(folder / "cloud", cloud_port=port, receiver=receiver, **sinks) as receiving:
        try:
            yield Road(broker=broker, link=link, gateway=gateway, receiver=receiving)
        finally:
            await link.stop()
