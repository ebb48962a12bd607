"""Dead letters: seen, read, replayed, discarded, exported, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bridge.ports import Gap
from config.settings import Spool as SpoolSettings
from config.settings import Stream, Uplink, WhenFull
from gateway.spool import replay
from gateway.spool.dead_letters import Replayed
from gateway.spool.errors import SpoolFull
from gateway.spool.letters import DeadLetter
from gateway.spool.spool import Spool
from tests.support.spool import StepClock, put, running, settings, store
from tests.unit.gateway.spool.test_retention import noise
from tests.unit.gateway.spool.test_spool import payloads_of

MIB = 1024 * 1024
BOTH = (Uplink(), Uplink(name="archive"))


async def condemned(spool: Spool, payloads: list[bytes], *, reason: str = "refused", **where: Any) -> None:
    """Store records, and move them to the dead letters of the first uplink."""
    stream = list(spool.lanes)[where.get("stream", 0)]
    first = spool.lanes[stream].next_seq
    await store(spool, payloads, **where)
    await spool.outbox(Uplink()).dead_letter(stream, first, len(payloads), reason=reason)


async def reasons(spool: Spool, **wanted: Any) -> list[str]:
    return [letter.reason for letter in await spool.dead_letters.list(**wanted)]


async def test_letters_are_listed_newest_first_by_page_and_by_what_they_have_in_common(tmp_path: Path) -> None:
    streams = (Stream(name="alarms", topics=("a",)), Stream(name="telemetry", topics=("#",)))
    clock = StepClock()
    async with running(settings(tmp_path, streams=streams), clock) as spool:
        await condemned(spool, [b"x" * 900] * 3, reason="too_large", stream=0, topic="plant/Kühler")
        clock.us += 60_000_000
        await condemned(spool, [b"y"], reason="refused", stream=1)
        await condemned(spool, [b"z", b"zz"], reason="refused", stream=0)
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (3, 6)
        assert await reasons(spool) == ["refused", "refused", "too_large"]
        assert await reasons(spool, limit=1) == ["refused"]
        newest = (await spool.dead_letters.list(limit=1))[0].id
        assert await reasons(spool, before=newest) == ["refused", "too_large"]
        assert await reasons(spool, stream="telemetry") == ["refused"]
        assert await reasons(spool, stream="alarms", reason="refused", uplink="cloud") == ["refused"]
        assert await reasons(spool, uplink="archive") == []
        oldest = await spool.dead_letters.one(1)
        assert oldest is not None
        expected = DeadLetter(
            id=1, at_us=clock.us - 60_000_000, uplink="cloud", stream="alarms", epoch=spool.lanes["alarms"].epoch,
            first_seq=1, count=3, reason="too_large", size_bytes=oldest.size_bytes, topics=("plant/Kühler",),
        )  # fmt: skip
        assert oldest == expected
        assert 20 < oldest.size_bytes < 900, "it is stored compressed"
        assert oldest.explanation == "The record is larger than the cloud's broker takes."
        assert await spool.dead_letters.one(99) is None
    async with running(settings(tmp_path, streams=streams), clock) as spool:
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (3, 6)


async def test_the_records_of_a_letter_can_be_read_and_exported(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"before"])
        await condemned(spool, [f"p{i}".encode() for i in range(5)], topic="plant/b", client="pump")
        await condemned(spool, [b"last"])
        records = await spool.dead_letters.read(1)
        assert [(r.seq, r.payload, r.topic, r.client, r.qos) for r in records][:2] == [
            (2, b"p0", "plant/b", "pump", 1), (3, b"p1", "plant/b", "pump", 1),
        ]  # fmt: skip
        assert len(records) == 5
        assert len(await spool.dead_letters.read(1, 2)) == 2
        assert list(await spool.dead_letters.read(99)) == []
        everything = [(letter.id, r.payload) async for letter, r in spool.dead_letters.export()]
        assert everything == [*((1, f"p{i}".encode()) for i in range(5)), (2, b"last")]
        assert [r.payload async for _, r in spool.dead_letters.export([2, 99])] == [b"last"]


async def test_replayed_records_come_again_as_new_ones_with_the_time_they_were_received_at(tmp_path: Path) -> None:
    clock = StepClock()
    async with running(settings(tmp_path), clock) as spool:
        received_us = clock.us
        await condemned(spool, [b"a" * 900, b"b"])
        clock.us += 3_600_000_000
        await store(spool, [b"live"])
        assert await spool.dead_letters.replay([1]) == Replayed(letters=1, records=2)
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (0, 0)
        lane = spool.lanes["telemetry"]
        assert (lane.next_seq, lane.accepted, lane.replayed) == (6, 3, 2)
        assert await payloads_of(spool.outbox(Uplink())) == [b"live", b"a" * 900, b"b"]
        found = await spool.queue.peek("telemetry", 4)
        assert [(r.seq, r.received_at_us) for r in found] == [(4, received_us), (5, received_us)]
        await store(spool, [b"later"])
    async with running(settings(tmp_path), clock) as spool:
        assert (await payloads_of(spool.outbox(Uplink())))[-2:] == [b"b", b"later"]
        assert spool.dead_letters.letters == 0


async def test_another_uplink_that_has_delivered_the_records_gets_a_gap_in_their_place(tmp_path: Path) -> None:
    async with running(settings(tmp_path, uplinks=BOTH)) as spool:
        await condemned(spool, [b"a", b"b"])
        assert (await spool.dead_letters.replay([1])).records == 2
        archive = spool.outbox(BOTH[1])
        assert await payloads_of(archive) == [b"a", b"b"]
        peek = await archive.peek("telemetry", 3, max_records=10, max_bytes=1000)
        assert (list(peek.blocks), list(peek.gaps)) == ([], [Gap(first_seq=3, count=2, reason="replayed")])
        await archive.release("telemetry", 5)
        await spool.flush()
        assert await payloads_of(spool.outbox(BOTH[0])) == [b"a", b"b"]
    async with running(settings(tmp_path, uplinks=BOTH)) as spool:
        assert await payloads_of(spool.outbox(BOTH[0])) == [b"a", b"b"]


async def test_a_letter_goes_back_once_however_often_and_by_how_many_it_is_asked_for(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(5):
            await condemned(spool, [f"{i}".encode()])
        done = await asyncio.gather(*(spool.dead_letters.replay([1, 2, 2, 3, 4, 5]) for _ in range(4)))
        assert sorted(each.letters for each in done) == [0, 0, 0, 5]
        assert [len(each.refused) for each in done if not each.letters] == [5, 5, 5]
        assert await payloads_of(spool.outbox(Uplink())) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(("bound", "most"), [("MAX_BYTES", 2000), ("MAX_RECORDS", 7), ("MAX_LETTERS", 3)])
async def test_many_letters_go_back_in_portions_with_live_records_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(replay, bound, most)
    async with running(settings(tmp_path)) as spool:
        for i in range(12):
            await condemned(spool, [noise(1, 600)[0], f"{i}".encode()])
        commits = spool.counters.commits
        replaying = asyncio.create_task(spool.dead_letters.replay(await spool.dead_letters.find()))
        assert (await replaying).records == 24
        assert spool.counters.commits - commits >= 4
        found = await payloads_of(spool.outbox(Uplink()))
        assert found[1::2] == [f"{i}".encode() for i in range(12)]


async def test_what_can_not_go_back_stays_and_says_why(tmp_path: Path) -> None:
    old = (Stream(name="old", topics=("o",)), Stream(name="telemetry", topics=("#",)))
    clock = StepClock()
    async with running(settings(tmp_path, streams=old), clock) as spool:
        await condemned(spool, [b"a"], stream=0)
        await condemned(spool, [b"b"], stream=1)
        await condemned(spool, [b"c"], stream=1, reason="corrupt")
        await condemned(spool, [b"d"], stream=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("UPDATE dead_letter SET body = x'9301' WHERE id = 4")
    clock.us += 61_000_000
    new = (Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),)
    async with running(settings(tmp_path, streams=new), clock) as spool:
        done = await spool.dead_letters.replay([1, 2, 3, 4, 5])
        assert (done.letters, done.records) == (0, 0)
        told = {refused.id: refused.message for refused in done.refused}
        assert "no stream old in the configuration any more" in told[1]
        assert told[2] == "Its records are past the time-to-live of stream telemetry, and would be dropped at once."
        assert "damaged" in told[3]
        assert "damaged" in told[4]
        assert told[5] == "There is no dead letter 5 any more."
        assert spool.dead_letters.letters == 4
        assert (await spool.dead_letters.list())[0].topics == ()
        assert [record.payload async for _, record in spool.dead_letters.export()] == [b"a", b"b", b"c"]
        assert await payloads_of(spool.outbox(Uplink())) == []


async def test_a_letter_whose_uplink_is_gone_stays_until_somebody_chooses_another(tmp_path: Path) -> None:
    async with running(settings(tmp_path, uplinks=BOTH)) as spool:
        await condemned(spool, [b"a", b"b"])
        await spool.outbox(BOTH[1]).release("telemetry", 3)
        await spool.flush()
    left = (Uplink(name="archive"), Uplink(name="other"))
    async with running(settings(tmp_path, uplinks=left)) as spool:
        for to, said in (
            (None, "Uplink cloud, which could not deliver these records, does not carry stream telemetry any more."),
            ("nobody", "Uplink nobody does not carry stream telemetry; choose one that does: archive, other."),
        ):
            done = await spool.dead_letters.replay([1], to)
            assert (done.letters, spool.dead_letters.letters) == (0, 1)
            assert said in done.refused[0].message
        assert spool.lanes["telemetry"].next_seq == 3
        assert await spool.dead_letters.replay([1], "other") == Replayed(letters=1, records=2)
        assert (await payloads_of(spool.outbox(left[1])))[-2:] == [b"a", b"b"]
        archive = await spool.outbox(left[0]).peek("telemetry", 3, max_records=10, max_bytes=1000)
        assert (list(archive.blocks), list(archive.gaps)) == ([], [Gap(first_seq=3, count=2, reason="replayed")])


async def test_an_uplink_that_is_chosen_gets_the_records_in_the_place_of_their_own(tmp_path: Path) -> None:
    async with running(settings(tmp_path, uplinks=BOTH)) as spool:
        await condemned(spool, [b"a"])
        assert (await spool.dead_letters.replay([1], "archive")).records == 1
        assert await payloads_of(spool.outbox(BOTH[1])) == [b"a", b"a"]
        cloud = await spool.outbox(BOTH[0]).peek("telemetry", 2, max_records=10, max_bytes=1000)
        assert (list(cloud.blocks), [gap.reason for gap in cloud.gaps]) == ([], ["replayed"])


async def test_where_no_uplink_carries_the_stream_a_letter_stays(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await condemned(spool, [b"a"])
    async with running(settings(tmp_path, uplinks=())) as spool:
        (refused,) = (await spool.dead_letters.replay([1])).refused
        assert "No uplink carries stream telemetry" in refused.message
        assert spool.dead_letters.letters == 1


@pytest.mark.parametrize("when_full", WhenFull)
async def test_a_full_spool_refuses_a_replay_and_drops_nothing_for_it(tmp_path: Path, when_full: WhenFull) -> None:
    async with running(settings(tmp_path, max_size_bytes=4 * MIB, when_full=when_full)) as spool:
        await condemned(spool, noise(10, 5000))
        for _ in range(100):
            await store(spool, noise(5, 4000))
        lane = spool.lanes["telemetry"]
        before = (lane.first_seq, lane.next_seq, dict(lane.dropped))
        spool.resize(SpoolSettings(max_size_bytes=MIB, when_full=when_full))
        done = await spool.dead_letters.replay([1])
        assert done.letters == 0
        assert "is full" in done.refused[0].message
        assert "The letter was kept" in done.refused[0].message
        assert (spool.dead_letters.letters, len(await spool.dead_letters.read(1))) == (1, 10)
        assert (lane.first_seq, lane.next_seq, dict(lane.dropped)) == before
        spool.resize(SpoolSettings(max_size_bytes=4 * MIB, when_full=when_full))
        assert (await spool.dead_letters.replay([1])).records == 10


async def test_discarded_letters_are_counted_as_dropped_with_their_reason(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await condemned(spool, [b"a", b"b"])
        await condemned(spool, [b"c"])
        assert await spool.dead_letters.discard([1, 1, 99]) == 1
        assert spool.lanes["telemetry"].dropped["discarded_by_operator"] == 2
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (1, 1)
    async with running(settings(tmp_path)) as spool:
        assert spool.lanes["telemetry"].dropped["discarded_by_operator"] == 2


async def test_dead_letters_are_bounded_and_the_oldest_that_go_are_counted_at_once(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        for _ in range(12):
            await condemned(spool, noise(10, 4000))
        lane, letters = spool.lanes["telemetry"], spool.dead_letters.letters
        assert 4 <= letters <= 6, "one eighth of the spool"
        assert lane.dropped["discarded_dead_letter"] == (12 - letters) * 10
        assert spool.dead_letters.records == letters * 10
        assert [letter.id for letter in await spool.dead_letters.list()] == list(range(12, 12 - letters, -1))


async def test_a_discard_that_can_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(settings(tmp_path)) as spool:
        await condemned(spool, [b"a"])

        async def full(*_: Any) -> Any:
            raise SpoolFull("The disk is full.")

        monkeypatch.setattr(spool._committer, "do", full)
        with pytest.raises(SpoolFull):
            await spool.dead_letters.discard([1])
        assert spool.dead_letters.letters == 1
        put(spool, [b"x"])


@pytest.mark.parametrize("turns", range(6))
async def test_a_dead_letter_whose_writing_was_cancelled_is_there_with_its_gap_or_neither(
    tmp_path: Path, turns: int
) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"a", b"b"])
        outbox = spool.outbox(Uplink())
        writing = asyncio.create_task(outbox.dead_letter("telemetry", 1, 2, reason="refused"))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await spool.flush()
        assert len(await payloads_of(outbox)) == (0 if spool.dead_letters.letters else 2)
        if not spool.dead_letters.letters:
            await outbox.dead_letter("telemetry", 1, 2, reason="refused")
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (1, 2)
        assert await payloads_of(outbox) == []


async def test_a_damaged_block_that_was_found_by_somebody_who_was_cancelled_is_one_gap(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"a", b"b"])
        await store(spool, [b"c"])
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("UPDATE block SET body = x'00' WHERE count = 2")
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        while not spool.dead_letters.letters:
            finding = asyncio.create_task(outbox.peek("telemetry", 1, max_records=9, max_bytes=999))
            async with asyncio.timeout(10):
                while not (finding.done() or spool._committer._asked or not spool._committer._idle.is_set()):  # noqa: ASYNC110 - until the job is on its way
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
            finding.cancel()
            await asyncio.gather(finding, return_exceptions=True)
            await spool.flush()
        assert await payloads_of(outbox) == [b"c"]
        assert spool.lanes["telemetry"].dropped["corrupt"] == 2
        assert spool.dead_letters.letters == 1


async def test_a_letter_that_goes_while_letters_are_listed_does_not_end_the_listing(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for _ in range(3):
            await condemned(spool, [b"x"])
        opened = sqlite3.Connection.blobopen

        class Racing:
            """The reader's connection, beside which somebody discards letter 2 before its body is opened."""

            def __init__(self, connection: sqlite3.Connection) -> None:
                self.execute = connection.execute
                self._connection = connection

            def blobopen(self, *where: Any, **how: Any) -> sqlite3.Blob:
                with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
                    other.execute("DELETE FROM dead_letter WHERE id = 2")
                return opened(self._connection, *where, **how)

        run = spool.dead_letters._reader.run
        with patch.object(spool.dead_letters._reader, "run", lambda fn: run(lambda conn: fn(Racing(conn)))):
            found = await spool.dead_letters.list()
        assert [(letter.id, letter.topics) for letter in found] == [(3, ("plant/a",)), (2, ()), (1, ("plant/a",))]
