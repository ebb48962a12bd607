"""A gateway in the test's own process with a file that the test changes and has read again.

async with live_gateway(tmp_path) as box:
    device = await box.device("dev1")
    box.file["log"] = {"level": "debug"}
    report = await box.reload()
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from bridge.compression import Codec
from bridge.frame import decode_frame
from config.loader import load_gateway_with_origins
from config.report import Report
from config.settings import Address
from gateway.app import Gateway
from gateway.configuration import Configuration
from tests.support.plain_mqtt import PlainClient, read_packet

NOBODY = 1
"""A port where no broker listens."""
TIMEOUT_S = 30
MAX_RAW_BYTES = 1 << 24


class Box:
    """One gateway, its file, and the devices that are connected to it."""

    def __init__(self, folder: Path, file: dict[str, Any], environ: Mapping[str, str]) -> None:
        self.path = folder / "gateway.yaml"
        self.file = file
        self.environ = environ
        self.write()
        self.gateway: Gateway
        self._devices: list[PlainClient] = []

    def write(self) -> None:
        """Have the file say what `file` says."""
        self.path.write_text(yaml.safe_dump(self.file))

    @property
    def configuration(self) -> Configuration:
        """What is in force."""
        return self.gateway.configuration

    async def reload(self) -> Report:
        """Write the file, and have it read."""
        self.write()
        return await self.configuration.reload("test")

    def port(self, listener: str = "local") -> int:
        """Where a listener listens."""
        (address,) = [one.address for one in self.gateway.listeners if one.name == listener]
        assert isinstance(address, Address)
        return address.port

    async def device(self, client_id: str = "dev1", listener: str = "local", **more: Any) -> PlainClient:
        """A client that is connected, and is closed with the box."""
        client = await PlainClient.connect("127.0.0.1", self.port(listener), client_id, **more)
        self._devices.append(client)
        return client

    async def hang_up(self) -> None:
        """Close all devices."""
        for client in self._devices:
            await client.abort()


def configuration_of(folder: Path, *, cloud_port: int = NOBODY) -> dict[str, Any]:
    """What stands in the file at first."""
    return {
        "gateway": {"id": "edge", "data_dir": str(folder / "data"), "grace_period": "1s"},
        "listeners": [{"name": "local", "bind": "127.0.0.1:0"}],
        "streams": [{"name": "telemetry", "topics": ["#"]}],
        "spool": {"max_size": "64MiB"},
        "uplinks": [cloud(cloud_port)],
        "api": {"bind": "127.0.0.1:0"},
    }


def cloud(port: int, name: str = "cloud", **more: Any) -> dict[str, Any]:
    """An uplink to a broker of this machine."""
    batch = {"linger": "5ms"}
    return {"name": name, "url": f"mqtt://127.0.0.1:{port}", "protocol": "5", "batch": batch, **more}


@asynccontextmanager
async def live_gateway(
    folder: Path, *, cloud_port: int = NOBODY, environ: Mapping[str, str] | None = None, **sections: Any
) -> AsyncIterator[Box]:
    """The gateway, started; `sections` are put over what its file says."""
    box = Box(folder, {**configuration_of(folder, cloud_port=cloud_port), **sections}, environ or {})
    loaded = load_gateway_with_origins(box.path, box.environ)
    box.gateway = await Gateway.open(Configuration(loaded, path=box.path, environ=box.environ))
    try:
        await box.gateway.start(asyncio.Event())
        yield box
        box.gateway.check()
    finally:
        await box.hang_up()
        await box.gateway.stop()


class Cloud:
    """Listens at a broker and takes frames apart: by stream, the payloads by their numbers."""

    def __init__(self, client: PlainClient) -> None:
        self._client = client
        self.records: dict[str, dict[int, bytes]] = {}
        self.topics: list[str] = []
        self._came = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, port: int, topic_filter: str = "fieldgate/#", client_id: str = "listener") -> Cloud:
        """Subscribe."""
        client = await PlainClient.connect("127.0.0.1", port, client_id)
        assert await client.subscribe(topic_filter, 0) == 0
        return cls(client)

    async def _listen(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = await read_packet(self._client.reader)
                length = int.from_bytes(packet.body[:2], "big")
                self.topics.append(packet.body[2 : 2 + length].decode())
                frame = decode_frame(packet.payload, MAX_RAW_BYTES, Codec())
                into = self.records.setdefault(frame.header.stream, {})
                for block in frame.blocks:
                    into.update({record.seq: record.payload for record in block})
                self._came.set()

    async def has(self, condition: Callable[[dict[str, dict[int, bytes]]], bool]) -> None:
        """Wait until the condition holds for what has come."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition(self.records):
                self._came.clear()
                await self._came.wait()

    def payloads(self, stream: str) -> set[bytes]:
        """What came of a stream."""
        return set(self.records.get(stream, {}).values())

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.abort()
