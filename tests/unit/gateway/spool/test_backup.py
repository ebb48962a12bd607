"""Backups: consistent while records come in, whole or not there, checked before anything changes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import Uplink
from gateway.spool import backup as backup_module
from gateway.spool.archive import Manifest
from gateway.spool.backup import BackedUp, back_up
from gateway.spool.errors import BackupError, DataFolderInUse, SpoolCorrupt
from gateway.spool.ports import Table
from gateway.spool.restore import look_at, restore
from tests.support.spool import Commits, running, settings, store
from tests.unit.gateway.spool.test_dead_letters import condemned
from tests.unit.gateway.spool.test_retention import noise
from tests.unit.gateway.spool.test_spool import payloads_of

NOW_US = 1_700_000_000_000_000


def made(data: Path, target: Path, configuration: list[Path] | None = None) -> BackedUp:
    return back_up(data, target, gateway="edge-01", configuration=configuration or [], now_us=NOW_US)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def filled(folder: Path) -> str:
    """A folder with all kinds of things in it; returns the epoch of its stream."""
    async with running(settings(folder)) as spool:
        await store(spool, [f"{i}".encode() for i in range(30)])
        await spool.outbox(Uplink()).release("telemetry", 11)
        await condemned(spool, [b"dead"])
        await store(spool, [b"last"])
        spool.keep(Table.RETAINED, "a", b"retained")
        spool.keep(Table.NOTE, "paused/cloud", b'{"by": "anna"}')
        spool.keep_lazily(Table.HISTORY, 60, b"history")
        spool.remember("device", lambda: b"session")
        await Commits().expect(spool)
        return spool.lanes["telemetry"].epoch


EXPECTED = [*(f"{i}".encode() for i in range(10, 30)), b"last"]


async def test_a_backup_gives_all_of_it_back_in_a_new_epoch_and_keeps_how_far_uplinks_have_come(tmp_path: Path) -> None:
    epoch = await filled(tmp_path / "data")
    users, more = tmp_path / "users.txt", tmp_path / "more" / "users.txt"
    more.parent.mkdir()
    users.write_text("anna:hash")
    more.write_text("ben:hash")
    done = made(tmp_path / "data", tmp_path / "b.tar.gz", [users, more, users])
    assert (done.records, done.dead_letters) == (32, 1)
    assert done.files == ["config/users.txt", "config/users-2.txt"]
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == {"data", "users.txt", "more", "b.tar.gz"}
    manifest = look_at(tmp_path / "b.tar.gz")
    assert (manifest.gateway, manifest.made_at) == ("edge-01", "2023-11-14T22:13:20.000000Z")
    assert manifest.members["config/users-2.txt"].path == str(more)

    back = restore(tmp_path / "b.tar.gz", tmp_path / "new" / "data", files_to=tmp_path / "etc")
    assert (back.records, back.streams, back.set_aside) == (32, 1, None)
    assert [path.name for path in back.files] == ["users-2.txt", "users.txt"]
    assert (tmp_path / "etc" / "users-2.txt").read_text() == "ben:hash"
    assert {path.name for path in (tmp_path / "new" / "data").iterdir()} == {"spool.db", "lock"}
    assert (tmp_path / "new" / "data" / "spool.db").stat().st_mode & 0o777 == 0o600
    async with running(settings(tmp_path / "new" / "data")) as spool:
        lane = spool.lanes["telemetry"]
        assert lane.epoch != epoch
        assert (lane.watermark("cloud"), lane.next_seq) == (11, 33)
        assert await payloads_of(spool.outbox(Uplink())) == EXPECTED
        assert [record.payload for record in await spool.dead_letters.read(1)] == [b"dead"]
        assert spool.load(Table.RETAINED) == [("a", b"retained")]
        assert spool.load(Table.HISTORY) == [(60, b"history")]
        assert [key for key, _ in spool.load(Table.NOTE)] == ["paused/cloud"]
        assert spool.sessions() == {"device": b"session"}


async def test_what_is_there_is_set_aside_and_can_be_brought_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await filled(data)
    made(data, tmp_path / "b.tar.gz")
    async with running(settings(data)) as spool:
        await store(spool, [b"after the backup"])
    (data / "spool.damaged").touch()
    back = restore(tmp_path / "b.tar.gz", data)
    assert back.set_aside == data / "replaced-1"
    assert {path.name for path in back.set_aside.iterdir()} == {"spool.db", "spool.damaged"}
    async with running(settings(data)) as spool:
        assert spool.salvage is None
        assert await payloads_of(spool.outbox(Uplink())) == EXPECTED
    assert restore(tmp_path / "b.tar.gz", data).set_aside == data / "replaced-2"
    (tmp_path / "old").mkdir()
    (back.set_aside / "spool.db").rename(tmp_path / "old" / "spool.db")
    async with running(settings(tmp_path / "old")) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == [*EXPECTED, b"after the backup"]


class PowerCut(BaseException):
    """Nothing of ours runs any more."""


@pytest.mark.parametrize("step", range(1, 8))
async def test_power_that_is_cut_while_the_database_is_replaced_leaves_one_or_the_other_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    data, cut = tmp_path / "data", tmp_path / "cut"
    await filled(data)
    made(data, tmp_path / "b.tar.gz")
    cut.mkdir()
    async with running(settings(data)) as spool:
        await store(spool, [b"after the backup"])
        for path in data.glob("spool.db*"):  # as a gateway leaves it that was killed: with a log beside
            (cut / path.name).write_bytes(path.read_bytes())
    steps = 0

    def before_step(real: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            nonlocal steps
            steps += str(cut) in str(arguments[0])
            if steps == step:
                raise PowerCut
            return real(*arguments)

        return wrapped

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "rename"), (Path, "replace"), (os, "link")):
            patched.setattr(owner, name, before_step(getattr(owner, name)))
        with contextlib.suppress(PowerCut):
            restore(tmp_path / "b.tar.gz", cut)
    async with running(settings(cut)) as spool:
        found = await payloads_of(spool.outbox(Uplink()))
    assert found == (EXPECTED if steps < step else [*EXPECTED, b"after the backup"])


async def test_a_file_of_the_configuration_that_is_there_and_differs_stays_beside_the_one_of_the_backup(
    tmp_path: Path,
) -> None:
    await filled(tmp_path / "data")
    users = tmp_path / "users.txt"
    users.write_text("old")
    made(tmp_path / "data", tmp_path / "b.tar.gz", [users])
    users.write_text("new")
    restore(tmp_path / "b.tar.gz", tmp_path / "data", files_to=tmp_path)
    assert (users.read_text(), (tmp_path / "users.txt.replaced-1").read_text()) == ("old", "new")
    restore(tmp_path / "b.tar.gz", tmp_path / "data", files_to=tmp_path)
    assert not (tmp_path / "users.txt.replaced-2").exists()


async def test_a_backup_beside_a_running_spool_holds_every_record_acknowledged_before_and_makes_no_commit_wait(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with running(settings(data)) as spool:
        for _ in range(200):
            await store(spool, noise(5, 8000))
        acknowledged, worst_s, stop = 1000, 0.0, False

        async def ingest() -> None:
            nonlocal acknowledged, worst_s
            while not stop:
                begun = time.monotonic()
                await store(spool, noise(5, 200))
                worst_s = max(worst_s, time.monotonic() - begun)
                acknowledged += 5

        ingesting = asyncio.create_task(ingest())
        before = acknowledged
        done = await asyncio.to_thread(made, data, tmp_path / "b.tar.gz")
        stop = True
        await ingesting
        assert before <= done.records <= acknowledged
        assert acknowledged > before
        assert worst_s < 2.0, "a lock would have held a commit up for as long as the backup takes"
    restore(tmp_path / "b.tar.gz", tmp_path / "copy")
    async with running(settings(tmp_path / "copy")) as spool:
        assert [r.seq async for r in spool.queue.export("telemetry")] == list(range(1, done.records + 1))


async def test_a_running_gateway_is_not_restored_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await filled(data)
    made(data, tmp_path / "b.tar.gz")
    async with running(settings(data)):
        with pytest.raises(DataFolderInUse, match=r"in use .* Stop that one.* while no gateway runs"):
            restore(tmp_path / "b.tar.gz", data)


def repacked(source: Path, target: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> Path:
    """The archive with its members as `change` has them."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        for entry in old:
            file = old.extractfile(entry)
            assert file is not None
            for name, data in change(entry.name, file.read()):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    return target


def manifest_with(data: bytes, **more: object) -> bytes:
    return json.dumps({**json.loads(data), **more}).encode()


HOSTILE: dict[str, Callable[[str, bytes], list[tuple[str, bytes]]]] = {
    "its checksum is another one": lambda name, data: [(name, data[:-1] + b"?" if name == "spool.db" else data)],
    "was cut short": lambda name, data: [] if name == "spool.db" else [(name, data)],
    "its manifest does not say so": lambda name, data: [(name, data), ("../../evil", b"x")],
    "does not begin with a manifest": lambda name, data: [(name, data)] if name == "spool.db" else [],
    "is of format 9": lambda name, data: [(name, manifest_with(data, format=9) if "json" in name else data)],
    "newer Fieldgate": lambda name, data: [(name, manifest_with(data, schema=99) if "json" in name else data)],
    "database in the backup is damaged": lambda name, data: [
        (name, manifest_with(data, schema=2) if "json" in name else data)
    ],
    "not what Fieldgate writes": lambda name, data: [(name, b"{]" if "json" in name else data)],
    "names files that no backup has": lambda name, data: [
        (name, data.replace(b'"spool.db"', b'"config/../x"') if "json" in name else data)
    ],
}


@pytest.mark.parametrize("complaint", HOSTILE)
async def test_what_is_no_whole_backup_changes_nothing(tmp_path: Path, complaint: str) -> None:
    data = tmp_path / "data"
    await filled(data)
    made(data, tmp_path / "b.tar.gz")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    hostile = repacked(tmp_path / "b.tar.gz", tmp_path / "hostile.tar.gz", HOSTILE[complaint])
    with pytest.raises(BackupError, match=complaint):
        restore(hostile, data)
    after = {path.name: path.read_bytes() for path in data.iterdir()}
    assert {name: body for name, body in after.items() if name != "lock"} == {
        name: body for name, body in before.items() if name != "lock"
    }
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
async def test_an_archive_that_is_cut_short_or_none_is_said_to_be(tmp_path: Path, keep: float) -> None:
    await filled(tmp_path / "data")
    made(tmp_path / "data", tmp_path / "b.tar.gz")
    whole = (tmp_path / "b.tar.gz").read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(BackupError):
        restore(tmp_path / "b.tar.gz", tmp_path / "data")
    (tmp_path / "b.tar.gz").write_bytes(b"not gzip at all" * 100)
    with pytest.raises(BackupError, match="no whole backup"):
        look_at(tmp_path / "b.tar.gz")


async def test_no_backup_is_made_of_nothing_or_of_a_damaged_database_and_none_is_left_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupError, match="nothing to back up"):
        made(tmp_path, tmp_path / "b.tar.gz")
    await filled(tmp_path / "data")
    database = tmp_path / "data" / "spool.db"
    whole = database.read_bytes()
    with contextlib.closing(sqlite3.connect(database)) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'session'").fetchone()
    database.write_bytes(whole[: (page - 1) * 4096] + b"\xff" * 4096 + whole[page * 4096 :])
    with pytest.raises(SpoolCorrupt, match=r"is damaged"):
        made(tmp_path / "data", tmp_path / "b.tar.gz")
    database.write_bytes(whole)
    monkeypatch.setattr(backup_module.archive, "write", _no_room)
    with pytest.raises(OSError, match="No space"):
        made(tmp_path / "data", tmp_path / "b.tar.gz")
    assert names_in(tmp_path) == {"data"}


def _no_room(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_manifest_is_read_as_it_was_written() -> None:
    with pytest.raises(BackupError, match="no database"):
        Manifest.decode(Manifest(fieldgate="1", gateway="g", made_at="t", schema=3).encode())


async def test_while_another_program_reads_what_is_there_nothing_is_restored_over_it(tmp_path: Path) -> None:
    """Its log can't be brought in then, and without the log numbers would be given twice should power be cut."""
    await filled(tmp_path / "data")
    made(tmp_path / "data", tmp_path / "b.tar.gz")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "spool.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM block").fetchone()
        async with running(settings(tmp_path / "data")) as spool:
            await store(spool, [b"later"])
        before = names_in(tmp_path / "data")
        assert "spool.db-wal" in before
        with pytest.raises(BackupError, match="Another program"):
            restore(tmp_path / "b.tar.gz", tmp_path / "data")
        assert names_in(tmp_path / "data") == before
    async with running(settings(tmp_path / "data")) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == [*EXPECTED, b"later"]


async def test_of_a_backup_with_a_damaged_block_the_rest_is_restored_only_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with running(settings(tmp_path / "data")) as spool:
        for word in ("first", "second", "third"):
            await store(spool, [f"{word} {i}".encode() for i in range(10)])
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "spool.db")) as other, other:
        key, body = other.execute("SELECT key, body FROM block ORDER BY key LIMIT 1 OFFSET 1").fetchone()
        other.execute("UPDATE block SET body = ? WHERE key = ?", (body[:-1] + bytes([body[-1] ^ 1]), key))
    made(tmp_path / "data", tmp_path / "b.tar.gz")
    with pytest.raises(
        BackupError, match="Of the backup 10 records and 0 other rows can't be read, so nothing was changed"
    ):
        restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert not (tmp_path / "new" / "spool.db").exists()
    back = restore(tmp_path / "b.tar.gz", tmp_path / "new", partly=True)
    assert (back.records, back.lost_records) == (20, 10)
    async with running(settings(tmp_path / "new")) as spool:
        expected = [f"{word} {i}".encode() for word in ("first", "third") for i in range(10)]
        assert await payloads_of(spool.outbox(Uplink())) == expected
        assert spool.lanes["telemetry"].dropped["corrupt"] == 10


@contextlib.contextmanager
def a_disk_that_takes(size_bytes: int) -> Iterator[None]:
    """No file gets larger meanwhile: the system says so as it says that a disk is full, without a name."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_does_not_take_what_is_restored_is_not_laid_to_the_backup(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "data")) as spool:
        await store(spool, noise(20))
    made(tmp_path / "data", tmp_path / "b.tar.gz")
    with a_disk_that_takes(100_000), pytest.raises(OSError, match="File too large") as caught:
        restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert caught.value.filename == str(tmp_path / "new" / "restore.partial" / "spool.db")
    assert names_in(tmp_path / "new") == {"lock"}
    assert restore(tmp_path / "b.tar.gz", tmp_path / "new").records == 20


async def test_a_disk_that_does_not_take_the_backup_is_told_from_that_of_the_spool(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "data")) as spool:
        await store(spool, noise(20))
    (tmp_path / "usb").mkdir()
    said = f"There is no room for the backup in {tmp_path / 'usb'} .*Nothing is left of it"
    with a_disk_that_takes(100_000), pytest.raises(BackupError, match=said):
        made(tmp_path / "data", tmp_path / "usb" / "b.tar.gz")
    assert names_in(tmp_path / "usb") == set()


async def test_an_archive_that_finds_no_room_names_itself(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_bytes(os.urandom(100_000))
    async with running(settings(tmp_path / "data")) as spool:
        await store(spool, [b"a"])
    size = (tmp_path / "data" / "spool.db").stat().st_size
    with a_disk_that_takes(max(100_000, size)), pytest.raises(OSError, match="File too large") as caught:
        made(tmp_path / "data", tmp_path / "b.tar.gz", [tmp_path / "users.txt"])
    assert caught.value.filename == str(tmp_path / "b.tar.gz.partial")
    assert names_in(tmp_path) == {"data", "users.txt"}
