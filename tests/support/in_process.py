"""A whole gateway in the test's own process, on free ports, without an uplink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import Access, Address, Api, GatewayIdentity, GatewaySettings, Listener
from gateway.app import Gateway

LOOPBACK = Address(host="127.0.0.1", port=0)


def settings_with(
    folder: Path, *, access: Access | None = None, listeners: tuple[Listener, ...] | None = None
) -> GatewaySettings:
    """Settings of a gateway that keeps its data in `folder`/data."""
    return GatewaySettings(
        gateway=GatewayIdentity(id="edge", data_dir=folder / "data", grace_period_s=1.0),
        listeners=listeners or (Listener(bind=LOOPBACK),),
        access=(access or Access(),),
        uplinks=(),
        api=Api(bind=LOOPBACK),
    )


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[tuple[Gateway, int]]:
    """The gateway, started, and the port of its first listener."""
    gateway = await Gateway.open(settings)
    try:
        await gateway.start(asyncio.Event())
        address = gateway.listeners[0].address
        assert isinstance(address, Address)
        yield gateway, address.port
        gateway.check()
    finally:
        await gateway.stop()
