"""`fieldgate queue` and `fieldgate dlq` on the data folder of a gateway that is not there."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from typer.testing import CliRunner, Result

from config.settings import Uplink
from gateway.cli.program import app
from gateway.spool.notes import Notes
from gateway.spool.ports import Table
from tests.support.killed_spool import BLOCK, LETTERS, RECORDS, leave, payload_of
from tests.support.plain_mqtt import PlainClient
from tests.support.ports import steady_port
from tests.support.site import GatewayProcess
from tests.support.spool import running, settings

NOBODY = steady_port()
PAYLOADS = [b'{"t": %d}' % number if number % 3 else bytes([0xFF, number]) for number in range(1, 61)]


async def fieldgate(*words: str) -> Result:
    """The command, in a thread of its own, as `fieldgate WORD…` would be."""
    runner = CliRunner(env={"COLUMNS": "160"})
    return await asyncio.to_thread(runner.invoke, app, list(words))


def spaced(text: str) -> str:
    return text.replace("\u202f", " ")


def look(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
async def killed(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway that acknowledged PAYLOADS, and was killed."""
    with GatewayProcess(tmp_path, cloud_port=NOBODY) as gateway:
        await gateway.start()
        port = int(gateway.configuration["listeners"][0]["bind"].rpartition(":")[2])
        device = await PlainClient.connect("127.0.0.1", port, "press/7")
        for number, payload in enumerate(PAYLOADS, start=1):
            device.publish("plant/line 1", payload, packet_id=number)
            await device.read()
        gateway.kill()
        await device.abort()
        yield gateway


async def test_after_a_kill_an_export_is_what_was_acknowledged_and_the_gateway_starts_and_says_the_same(
    killed: GatewayProcess,
) -> None:
    config, before = str(killed.config_path), look(killed.data_dir)
    words = [
        ["queue", "peek", "telemetry", "--json", "-n", "30"],
        ["queue", "peek"],
        ["queue", "export"],
        ["queue", "export", "--from", "7", "--to", "31"],
        ["dlq", "list", "--json"],
        ["dlq", "list"],
        ["dlq", "export"],
        ["dlq", "show", "1"],
        ["queue", "peek", "nothing"],
    ]
    alone = [await fieldgate(*each, "-c", config) for each in words]
    assert look(killed.data_dir) == before
    said = f"No gateway runs on {killed.data_dir}: its folder is used directly.\n"
    assert all(result.stderr.startswith(said) for result in alone)
    assert [result.exit_code for result in alone] == [0] * 7 + [1] * 2
    lines = [json.loads(line) for line in alone[2].stdout.splitlines()]
    assert [payload_in(line) for line in lines] == PAYLOADS
    assert [line["seq"] for line in lines] == list(range(1, len(PAYLOADS) + 1))
    await killed.start()
    asked = [await fieldgate(*each, "-c", config) for each in words]
    assert [(result.stdout, result.exit_code) for result in asked] == [
        (result.stdout, result.exit_code) for result in alone
    ]
    assert not any("No gateway runs" in result.stderr for result in asked)
    assert "There is no dead letter with this id" in alone[7].stderr
    assert "There is no stream of that name; there is telemetry" in alone[8].stderr
    assert "recovery" not in killed.status()["spool"]
    assert await killed.stop() == 0
    assert (await fieldgate(*words[2], "-c", config)).stdout == alone[2].stdout, (
        "stopped in good order: no log any more"
    )


def payload_in(line: dict[str, Any]) -> bytes:
    return line["payload"].encode() if "payload" in line else base64.b64decode(line["payload_base64"])


async def test_two_may_look_at_once_and_a_gateway_may_start_meanwhile(killed: GatewayProcess, tmp_path: Path) -> None:
    config = str(killed.config_path)
    files = [tmp_path / f"{number}.ndjson" for number in range(2)]
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "queue", "export", "-c", config, "-o", str(file)), stderr=DEVNULL
        )
        for file in files
    ]
    await killed.start()
    async with asyncio.timeout(120):
        assert [await process.wait() for process in processes] == [0, 0]
    for file in files:
        assert [payload_in(json.loads(line)) for line in file.read_text().splitlines()] == PAYLOADS


async def test_a_gateway_whose_interface_is_elsewhere_is_named_and_may_be_looked_into_from_beside(
    killed: GatewayProcess, tmp_path: Path
) -> None:
    await killed.start()
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(yaml.safe_dump({**killed.configuration, "api": {"bind": f"127.0.0.1:{NOBODY}"}}))
    assert killed.process is not None
    holder = f"A gateway runs on {killed.data_dir} (process {killed.process.pid}), but its HTTP interface is not there"
    for words in (["queue", "peek"], ["dlq", "list"], ["status"], ["tail"], ["top", "--once"]):
        result = await fieldgate(*words, "-c", str(elsewhere))
        assert (result.exit_code, result.stdout) == (1, "")
        assert holder in result.stderr
    folder = str(killed.data_dir)
    result = await fieldgate("queue", "peek", "--data-dir", folder, "-n", "5")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 5)
    assert "its folder is read beside it" in result.stderr
    result = await fieldgate("queue", "pause", "-c", str(elsewhere), "--data-dir", folder)
    assert (result.exit_code, "is in use by another gateway" in result.stderr) == (1, True)
    assert killed.status()["uplinks"]["cloud"]["state"] != "paused"


async def test_a_gateway_that_hangs_is_told_of_and_looked_into_from_beside(killed: GatewayProcess) -> None:
    await killed.start()
    assert killed.process is not None
    killed.process.send_signal(signal.SIGSTOP)
    try:
        result = await fieldgate("queue", "peek", "-c", str(killed.config_path))
        assert (result.exit_code, "said nothing for 5 s" in result.stderr) == (1, True)
        assert "can read the folder beside it, with --data-dir" in result.stderr
        result = await fieldgate("queue", "export", "--data-dir", str(killed.data_dir))
        assert [payload_in(json.loads(line)) for line in result.stdout.splitlines()] == PAYLOADS
    finally:
        killed.process.send_signal(signal.SIGCONT)
    assert await killed.stop() == 0


@pytest.mark.parametrize("words", [["status"], ["tail"], ["top", "--once"], ["reload"]], ids=" ".join)
async def test_what_needs_a_gateway_says_that_none_runs_and_what_can_be_seen_all_the_same(
    words: list[str], tmp_path: Path
) -> None:
    leave(tmp_path / "data")
    result = await fieldgate(*words, "-c", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"No gateway runs on {tmp_path / 'data'}; `fieldgate run` starts it. What is kept there" in result.stderr


def configuration(folder: Path, *uplinks: str, **more: Any) -> str:
    """A file of the gateway whose spool `leave` makes in `folder`/data."""
    file = folder / "gateway.yaml"
    document = {
        "gateway": {"id": "edge-01", "data_dir": str(folder / "data")},
        "listeners": [{"name": "local", "bind": "127.0.0.1:0"}],
        "streams": [{"name": "telemetry", "topics": ["#"]}],
        "uplinks": [{"name": name, "url": f"mqtt://127.0.0.1:{NOBODY}"} for name in uplinks or ("cloud",)],
        "api": {"bind": f"127.0.0.1:{NOBODY}"},
        **more,
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)


async def test_with_settings_that_are_wrong_the_folder_can_be_read_but_not_acted_upon(tmp_path: Path) -> None:
    leave(tmp_path / "data")
    data = str(tmp_path / "data")
    file = configuration(tmp_path, nonsense=True)
    result = await fieldgate("queue", "peek", "-c", file)
    assert (result.exit_code, "--data-dir FOLDER" in result.stderr) == (78, True)
    result = await fieldgate("queue", "export", "-c", file, "--data-dir", data)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, RECORDS)
    assert (await fieldgate("dlq", "discard", "1", "--yes", "-c", file, "--data-dir", data)).exit_code == 78
    result = await fieldgate("dlq", "discard", "1", "--yes", "--data-dir", data)
    assert (result.exit_code, "Give it with -c FILE" in result.stderr) == (1, True)
    result = await fieldgate("dlq", "list", "--data-dir", str(tmp_path), "--api", "127.0.0.1:1")
    assert result.exit_code == 2


@pytest.mark.parametrize("words", [["queue", "peek"], ["dlq", "discard", "1", "--yes"]], ids=" ".join)
async def test_a_damaged_folder_is_told_of_and_left_to_the_gateway(tmp_path: Path, words: list[str]) -> None:
    leave(tmp_path / "data")
    database = tmp_path / "data" / "spool.db"
    (tmp_path / "data" / "spool.db-wal").unlink()
    database.write_bytes(b"no database at all" * 1000)
    before = look(tmp_path / "data")
    result = await fieldgate(*words, "-c", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is damaged" in result.stderr
    assert "The gateway saves what can be read of it into a new one when it is started next" in result.stderr
    assert look(tmp_path / "data") == before


async def test_dead_letters_are_seen_replayed_and_discarded_in_the_folder(tmp_path: Path) -> None:
    leave(tmp_path / "data")
    config = configuration(tmp_path)
    result = await fieldgate("dlq", "list", "-c", config)
    assert f"{LETTERS} shown; {LETTERS} in all, with {LETTERS * BLOCK} records." in spaced(result.stdout)
    assert (
        "Dead letter 1 of stream telemetry, uplink cloud" in (await fieldgate("dlq", "show", "1", "-c", config)).stdout
    )
    lines = [json.loads(line) for line in (await fieldgate("dlq", "export", "1", "-c", config)).stdout.splitlines()]
    assert [payload_in(line) for line in lines] == [payload_of(number) for number in range(1, BLOCK + 1)]
    asked = await fieldgate("dlq", "discard", "1", "-c", config)
    assert (asked.exit_code, "Give --yes" in asked.stderr) == (1, True)
    done = json.loads((await fieldgate("dlq", "replay", "1", "-c", config, "--json")).stdout)
    assert (done["letters"], done["records"], done["refused"]) == (1, BLOCK, [])
    done = json.loads((await fieldgate("dlq", "discard", "--all", "--yes", "-c", config, "--json")).stdout)
    assert (done["letters"], done["records"]) == (1, BLOCK)
    again = await fieldgate("dlq", "replay", "1", "-c", config)
    assert (again.exit_code, "There is no dead letter 1 any more" in again.stdout) == (1, True)
    async with running(settings(tmp_path / "data")) as spool:
        assert (spool.salvage, spool.dead_letters.letters) == (None, 0)
        back = await spool.queue.peek("telemetry", RECORDS + 1)
        assert [record.payload for record in back] == [payload_of(number) for number in range(1, BLOCK + 1)]
        assert spool.lanes["telemetry"].dropped["discarded_by_operator"] == BLOCK
        told = [msgpack.unpackb(body) for _, body in spool.load(Table.EVENT)]
        assert [event[3].partition(": ")[2] for event in told] == [
            "replay dead letters 1, while no gateway ran.",
            "discard dead letters all, while no gateway ran.",
            "replay dead letters 1, while no gateway ran.",
        ]


async def test_a_letter_whose_uplink_is_gone_stays_and_goes_where_somebody_says(tmp_path: Path) -> None:
    leave(tmp_path / "data", uplinks=2)
    config = configuration(tmp_path, "archive", "other")
    result = await fieldgate("dlq", "replay", "--all", "--yes", "-c", config)
    assert result.exit_code == 1
    assert f"{LETTERS} dead letters stayed: Uplink cloud, which could not deliver these records" in spaced(
        result.stdout
    )
    result = await fieldgate("dlq", "replay", "--all", "--yes", "--to", "other", "-c", config)
    assert result.exit_code == 0, result.output
    assert "wait for delivery again through uplink other." in result.stdout
    both = (Uplink(name="archive"), Uplink(name="other"))
    async with running(settings(tmp_path / "data", uplinks=both)) as spool:
        gaps = [gap for uplink, gap in spool.lanes["telemetry"].gaps if uplink == "archive"]
        assert [(gap.first_seq, gap.count) for gap in gaps] == [(RECORDS + 1, LETTERS * BLOCK)]


async def test_an_uplink_is_paused_before_the_gateway_is_started(tmp_path: Path) -> None:
    leave(tmp_path / "data")
    config = configuration(tmp_path)
    body = json.loads((await fieldgate("queue", "pause", "-c", config, "--json")).stdout)
    assert (body["name"], body["is_paused"], body["state"]) == ("cloud", True, "paused")
    assert "is paused already" in (await fieldgate("queue", "pause", "-c", config)).stderr
    async with running(settings(tmp_path / "data")) as spool:
        assert Notes(spool).paused_by("cloud") is not None
    result = await fieldgate("queue", "resume", "-c", config)
    assert (result.exit_code, "goes on when the gateway is started" in result.stdout) == (0, True)
    assert "is not paused" in (await fieldgate("queue", "resume", "cloud", "-c", config)).stderr
    assert "nothing can be sent now" in (await fieldgate("queue", "drain", "-c", config)).stderr
    assert "there is cloud" in (await fieldgate("queue", "pause", "nobody", "-c", config)).stderr
    async with running(settings(tmp_path / "data")) as spool:
        assert Notes(spool).paused_by("cloud") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_what_root_makes_in_the_folder_is_its_owners_but_no_file_that_a_link_there_leads_to(
    tmp_path: Path,
) -> None:
    leave(tmp_path / "data")
    secret = tmp_path / "secret"
    secret.touch()
    (tmp_path / "data" / "spool.link").symlink_to(secret)
    os.chown(tmp_path / "data" / "spool.db", 12345, 12345)
    assert (await fieldgate("queue", "pause", "-c", configuration(tmp_path))).exit_code == 0
    assert secret.stat().st_uid == 0
    assert {(tmp_path / "data" / name).stat().st_uid for name in ("lock", "spool.db", "spool.reserve")} == {12345}


async def test_a_pause_that_can_not_be_written_is_no_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "data")
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    database = sqlite3.connect(tmp_path / "data" / "spool.db", isolation_level=None, check_same_thread=False)
    paused = Notes.paused

    def paused_too_late(notes: Notes, uplink: str, by: str) -> None:
        database.execute("BEGIN IMMEDIATE")
        paused(notes, uplink, by)

    monkeypatch.setattr(Notes, "paused", paused_too_late)
    with contextlib.closing(database):
        result = await fieldgate("queue", "pause", "-c", configuration(tmp_path))
        database.execute("ROLLBACK")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Another program holds the spool's database" in result.stderr
    async with running(settings(tmp_path / "data")) as spool:
        assert Notes(spool).paused_by("cloud") is None
