"""SIGKILL while a backup is made, restored, and while the spool shrinks: it is one or the other, and whole."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bridge.crashpoints import VARIABLE
from config.settings import Uplink
from tests.support.spool import running, settings, store
from tests.unit.gateway.spool.test_spool import names, payloads_of


async def fieldgate(folder: Path, command: str, *, crash_at: str | None = None) -> int:
    """Run the command on the archive; returns its exit code."""
    config = folder / "gateway.yaml"
    config.write_text(f"gateway: {{id: edge-01, data_dir: {folder / 'data'}}}\n")
    environment = {**os.environ, "PYTHONWARNINGS": "error", **({VARIABLE: crash_at} if crash_at else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", command, "-c", str(config), str(folder / "b.tar.gz"), "--yes",
        stdout=asyncio.subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    async with asyncio.timeout(120):
        return await process.wait()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def found_in(folder: Path) -> tuple[str, list[bytes]]:
    """The epoch and the payloads that wait, in a spool that is sound and takes records."""
    async with running(settings(folder)) as spool:
        assert spool.salvage is None
        found = await payloads_of(spool.outbox(Uplink()))
        await store(spool, [b"later"])
        assert await payloads_of(spool.outbox(Uplink())) == [*found, b"later"]
        return spool.lanes["telemetry"].epoch, found


@pytest.mark.parametrize("point", ["backup.copied", "backup.packed"])
async def test_a_backup_that_is_killed_leaves_no_archive_and_the_next_one_is_whole(tmp_path: Path, point: str) -> None:
    async with running(settings(tmp_path / "data")) as spool:
        await store(spool, names(20))
    assert await fieldgate(tmp_path, "backup", crash_at=point) == -signal.SIGKILL
    assert not (tmp_path / "b.tar.gz").exists()
    assert len(names_in(tmp_path)) == 3 + (point == "backup.packed"), "the folder in which it was made stays"
    assert await fieldgate(tmp_path, "backup") == 0
    assert names_in(tmp_path) == {"data", "gateway.yaml", "b.tar.gz"}
    assert await fieldgate(tmp_path, "restore") == 0
    assert (await found_in(tmp_path / "data"))[1] == names(20)


@pytest.mark.parametrize("point", ["restore.checked", "restore.set_aside", "restore.in_place"])
async def test_a_restore_that_is_killed_leaves_what_was_there_or_the_backup_and_can_be_done_again(
    tmp_path: Path, point: str
) -> None:
    data = tmp_path / "data"
    async with running(settings(data)) as spool:
        await store(spool, names(20))
        epoch = spool.lanes["telemetry"].epoch
    assert await fieldgate(tmp_path, "backup") == 0
    async with running(settings(data)) as spool:
        await store(spool, names(5, "after-"))
    assert await fieldgate(tmp_path, "restore", crash_at=point) == -signal.SIGKILL
    if point == "restore.in_place":
        after, found = await found_in(data)
        assert (after != epoch, found) == (True, names(20))
    else:
        assert await found_in(data) == (epoch, [*names(20), *names(5, "after-")])
    assert await fieldgate(tmp_path, "restore") == 0
    again, found = await found_in(data)
    assert (again != epoch, found) == (True, names(20))
    assert not (data / "restore.partial").exists()
