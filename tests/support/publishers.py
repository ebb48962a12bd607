"""Devices that publish until all is acknowledged, whatever happens to the gateway, and tell the truth about it.

async with Publishers(edge.devices, tmp_path / "ledger.jsonl", qos=(1, 2)) as publishers:
    publishers.say(100)                    # each device, on two topics, from now on
    await publishers.have_acknowledged(37)
    ...                                    # kill the gateway, start it again
    await publishers.finished()            # every payload was acknowledged
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.device_client import DeviceClient
from simulators.device_seam import DeviceOptions
from simulators.ledger import LedgerWriter, payload_id
from simulators.profiles import Message
from simulators.units import Endpoint

TIMEOUT_S = 60.0
MQTT_3_1_1, MQTT_5 = 4, 5


class _Device:
    """One device, and what it still has to say; implements `DeviceEvents`."""

    def __init__(self, owner: Publishers, client_id: str, qos: int, options: DeviceOptions) -> None:
        self.owner = owner
        self.qos = qos
        self.said = 0
        self.left = 0
        self.connections = 0
        self.client = DeviceClient(client_id, options, self, owner.pool)
        self.keeper = self.client.start()

    def speak(self) -> list[tuple[Message, str]]:
        """What it may say now."""
        found = []
        for _ in range(min(self.left, self.client.room)):
            self.said += 1
            client = self.client.client_id
            topic = f"alarms/{client}" if self.said % 3 == 0 else f"plant/{client}/reading"
            payload = b'{"device":"%s","n":%d}' % (client.encode(), self.said)
            found.append((Message(topic=topic, payload=payload), payload_id(client, topic, payload)))
        self.left -= len(found)
        return found

    # DeviceEvents

    def on_online(self, session_present: bool) -> None:
        self.connections += 1
        if self.connections > 1 and not session_present:
            self.owner.sessions_lost.append(self.client.client_id)
        self.owner.ledger.flush()  # the `resent` lines, before they are
        self.owner.note()

    def on_lost(self) -> None:
        self.owner.note()

    def on_resend(self, name: str) -> None:
        self.owner.ledger.resent(name)

    def on_received(self, name: str) -> None:
        self.owner.ledger.received(name)

    def on_acknowledged(self, name: str) -> None:
        self.owner.ledger.acked(name)
        self.owner.acknowledged += 1
        self.owner.note()

    def on_refused(self, name: str, reason: int) -> None:
        self.owner.ledger.refused(name, reason)
        self.owner.refused.append((name, reason))
        self.owner.note()


class Publishers:
    """Two devices for each QoS: one speaks MQTT 3.1.1, one MQTT 5. Their sessions outlive their connections."""

    def __init__(self, to: Endpoint, ledger: Path, *, qos: Sequence[int] = (1, 2), window: int = 20) -> None:
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="device-connect")
        self.ledger = LedgerWriter(ledger)
        self.ledger_path = ledger
        self.acknowledged = 0
        self.refused: list[tuple[str, int]] = []
        self.sessions_lost: list[str] = []
        """Clients that connected again and were told that nobody knew them."""
        self._wanted = 0
        self._changed = asyncio.Event()
        self._turn_due = False
        self._loop = asyncio.get_running_loop()
        self._devices = [
            _Device(
                self,
                f"device-q{each}-v{protocol}",
                each,
                DeviceOptions(
                    to=to, protocol=protocol, window=window, backoff_first_s=0.02, backoff_max_s=0.1, ack_timeout_s=15.0
                ),
            )
            for each in qos
            for protocol in (MQTT_3_1_1, MQTT_5)
        ]

    def say(self, count: int) -> None:
        """Have each device say so much more, as fast as its window allows."""
        for device in self._devices:
            device.left += count
        self._wanted += count * len(self._devices)
        self.note()

    async def have_acknowledged(self, count: int) -> None:
        """Wait until so many publishes of all are acknowledged."""
        await self._wait(lambda: self.acknowledged >= count)

    async def finished(self) -> None:
        """Wait until everything that was to be said is acknowledged."""
        await self._wait(lambda: self.acknowledged >= self._wanted)
        self.ledger.flush()
        assert not self.refused
        assert not self.sessions_lost

    async def _wait(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not condition():
                    for device in self._devices:
                        if device.keeper.done():
                            device.keeper.result()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            state = [
                (device.client.client_id, device.client.state.value, device.client.in_flight, device.client.last_error)
                for device in self._devices
            ]
            raise AssertionError(
                f"{self.acknowledged} of {self._wanted} publishes were acknowledged: {state}"
            ) from None

    def note(self) -> None:
        """Something happened to a device: whoever waits looks again, and who has room speaks, after paho's callback."""
        self._changed.set()
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._speak)

    def _speak(self) -> None:
        self._turn_due = False
        said = [(device, *each) for device in self._devices for each in device.speak()]
        for device, message, name in said:
            self.ledger.sent(name, device.client.client_id, message.topic, device.qos, message.payload)
        self.ledger.flush()  # before sending
        for device, message, name in said:
            assert device.client.publish(message, qos=device.qos, name=name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for device in self._devices:
            device.left = 0
        await asyncio.gather(*(device.client.close() for device in self._devices))
        self.pool.shutdown(wait=False)
        self.ledger.close()
