"""A box that goes back to a backup while its devices go on: nothing of theirs may be taken for what came before."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.program import app
from tests.support import wire
from tests.support.live_gateway import live_gateway
from tests.support.raw_client import RawClient

PUBREC, PUBCOMP = 5, 7
PACKET_ID = 7


def fieldgate(folder: Path, command: str, *arguments: str) -> None:
    done = CliRunner().invoke(app, [command, "-c", str(folder / "gateway.yaml"), *arguments, "--yes"])
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("version", [4, 5])
async def test_a_new_message_under_an_id_that_was_pending_in_the_backup_is_stored(tmp_path: Path, version: int) -> None:
    async def publish(client: RawClient, payload: bytes) -> None:
        client.send(wire.publish("plant/a", payload, version=version, qos=2, packet_id=PACKET_ID))
        assert (await client.until(PUBREC)).body[:2] == PACKET_ID.to_bytes(2, "big")

    async def connect(client: RawClient) -> None:
        more = {"items": ((0x11, 3600),)} if version == 5 else {}
        assert await client.connect("pump", clean=False, **more) == 0

    async with live_gateway(tmp_path) as box, RawClient(box.port(), version=version) as device:
        await connect(device)
        await publish(device, b"before the backup")
    fieldgate(tmp_path, "backup", str(tmp_path / "b.tar.gz"))
    fieldgate(tmp_path, "restore", str(tmp_path / "b.tar.gz"))
    async with live_gateway(tmp_path) as box, RawClient(box.port(), version=version) as device:
        await connect(device)
        assert device.session_present
        await publish(device, b"after it")
        queue = box.gateway.spool.queue
        assert [record.payload async for record in queue.export("telemetry")] == [b"before the backup", b"after it"]
