"""A whole gateway in a thread of its own, for tests that speak to it over blocking sockets.

It is what `fieldgate run` runs, but for the uplinks, and for its clock, which can be moved on: `pass_time`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from config.settings import Address, Api, GatewayIdentity, GatewaySettings
from gateway import app

WITHIN_S = 20.0


class MovableClock:
    """The time of this machine, and as much more as was passed."""

    ahead_s = 0.0

    def now_us(self) -> int:
        return time.time_ns() // 1000 + int(self.ahead_s * 1e6)

    def monotonic_s(self) -> float:
        return time.monotonic() + self.ahead_s


class GatewayThread:
    """`start`, `stop`. `ports` are those of the listeners, by name."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.settings = GatewaySettings(
            gateway=GatewayIdentity(id="edge-01", data_dir=folder, grace_period_s=1.0),
            api=Api(bind=Address(host="127.0.0.1", port=0)),
            uplinks=(),
            **sections,
        )
        self.clock = MovableClock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._gateway: app.Gateway | None = None

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    def start(self) -> None:
        """Start; returns when it listens."""
        self._thread.start()
        self._run(self._open())

    async def _open(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "SystemClock", lambda: self.clock)
            self._gateway = await app.Gateway.open(self.settings)
        await self._gateway.start(asyncio.Event())

    def stop(self) -> None:
        """Stop, as SIGTERM would."""
        if self._gateway is not None:
            self._run(self._gateway.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)
        self._loop.close()

    @property
    def gateway(self) -> app.Gateway:
        """The parts; they are the other thread's."""
        assert self._gateway is not None
        return self._gateway

    @property
    def ports(self) -> dict[str, int]:
        """Where each listener listens."""
        return {listener.name: listener.address.port for listener in self.gateway.listeners}

    def pass_time(self, seconds: float) -> None:
        """Time passes, and what is due is done when this returns."""

        async def tick() -> None:
            self.clock.ahead_s += seconds
            self.gateway.broker.tick()

        self._run(tick())

    def disconnect(self, client_id: str) -> bool:
        """What an operator's disconnect does."""

        async def disconnect() -> bool:
            return self.gateway.broker.disconnect(client_id)

        return bool(self._run(disconnect()))
