"""A gateway with something of everything, in a thread of its own: for tests that ask it over blocking sockets.

A device is connected, one is away, one was turned away; records wait for an uplink whose broker is not there; there are
retained messages and dead letters. Tokens say who may do what.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

from bridge.web.tokens import digest
from config.settings import Access, Address, Api, BrokerUrl, GatewayIdentity, GatewaySettings, Listener, Rule, Uplink
from config.settings import Anonymous as AnonymousAccess
from gateway.app import Gateway
from tests.support.plain_mqtt import PlainClient

WITHIN_S = 60.0
ANY_PORT = Address(host="127.0.0.1", port=0)
OPERATOR = "fgt_operator-of-the-tests-0123456789abcdefghijkl"
VIEWER = "fgt_viewer-of-the-tests-0123456789abcdefghijklmn"
DEVICE = "press/7"
LETTERS = 3


class ApiGateway:
    """`with ApiGateway(folder) as gateway: requests.get(gateway.url + "/api/v1/overview", headers=gateway.operator)`"""

    def __init__(self, folder: Path) -> None:
        tokens = folder / "tokens"
        lines = (f"tests:{role}:{digest(token)}" for role, token in (("operator", OPERATOR), ("viewer", VIEWER)))
        tokens.write_text("\n".join(line.replace("tests", f"tests-{n}", 1) for n, line in enumerate(lines)) + "\n")
        tokens.chmod(0o600)
        rules = (Rule(topics=("plant/#",)),)
        self.settings = GatewaySettings(
            gateway=GatewayIdentity(id="edge-01", data_dir=folder / "data", grace_period_s=1.0),
            listeners=(Listener(bind=ANY_PORT),),
            access=(Access(anonymous=AnonymousAccess.ALLOW, rules=rules),),
            uplinks=(Uplink(url=BrokerUrl(host="127.0.0.1", port=1)),),
            api=Api(bind=ANY_PORT, token_file=tokens),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._gateway: Gateway | None = None
        self._clients: list[PlainClient] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something on the gateway's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    @property
    def gateway(self) -> Gateway:
        """The parts; they are the other thread's."""
        assert self._gateway is not None
        return self._gateway

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.gateway.api.address}"

    async def _open(self) -> None:
        self._gateway = await Gateway.open(self.settings)
        await self._gateway.start(asyncio.Event())
        address = self._gateway.listeners[0].address
        assert isinstance(address, Address)
        away = await PlainClient.connect("127.0.0.1", address.port, "away", clean=False)
        await away.subscribe("plant/#")
        away.write(0xE0, b"")
        await away.closed()
        device = await PlainClient.connect("127.0.0.1", address.port, DEVICE)
        self._clients.append(device)
        for number in range(1, 41):
            payload = b'{"t": %d}' % number if number % 3 else bytes([0xFF, number])
            device.publish(f"plant/line {number % 5}/x", payload, packet_id=number, retain=number < 10)
        for _ in range(40):
            await device.read()
        device.publish("elsewhere", b"not allowed", packet_id=41)
        await device.read()
        outbox = self._gateway.spool.outbox(self.settings.uplinks[0])
        for first_seq in range(1, LETTERS + 1):
            await outbox.dead_letter("telemetry", first_seq, 1, reason="too_large")

    async def _close(self) -> None:
        for client in self._clients:
            await client.abort()
        await self.gateway.stop()


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
