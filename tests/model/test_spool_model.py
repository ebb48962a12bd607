"""The spool against a model: a list of payloads for each stream, and a set of what each uplink still has to get.

Random steps (publish, release, dead-letter, replay and discard letters, damage a block, close and open again) go to
the real spool on a real disk and to the model. After each of them every uplink must see exactly what the model says, in
order, with every missing number declared as a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.block import decode_blocks
from config.settings import Batch, Stream, Uplink
from gateway.spool.outbox import UplinkOutbox
from gateway.spool.ports import Outcome
from gateway.spool.schema import key_of, seq_of
from gateway.spool.spool import Spool
from gateway.spool.stored_record import StoredRecord
from tests.support.spool import Commits, StepClock, put, settings

STREAMS = ("alarms", "telemetry")
UPLINKS = (Uplink(name="cloud", batch=Batch(max_records=7)), Uplink(name="archive", batch=Batch(max_records=7)))


class SpoolModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("gateway.spool").setLevel(logging.CRITICAL)
        self.folder = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.runner = asyncio.Runner()
        self.settings = settings(
            self.folder,
            streams=tuple(Stream(name=name, topics=("#",)) for name in STREAMS),
            uplinks=UPLINKS,
        )
        self.stored: dict[str, list[bytes]] = {name: [] for name in STREAMS}
        self.released = {(uplink.name, name): 1 for uplink in UPLINKS for name in STREAMS}
        self.missing: dict[tuple[str, str], set[int]] = {key: set() for key in self.released}
        self.written = 0
        self.spool: Spool
        self.task: asyncio.Task[None]

    @initialize()
    def open(self) -> None:
        async def opened() -> None:
            self.spool = await Spool.open(self.settings, clock=StepClock())
            self.task = asyncio.create_task(self.spool.run())

        self.runner.run(opened())

    def close(self) -> None:
        async def closed() -> None:
            await self.spool.flush()
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            await self.spool.close()

        self.runner.run(closed())

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        shutil.rmtree(self.folder)
        logging.getLogger("gateway.spool").setLevel(logging.NOTSET)

    @rule(batches=st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 20)), min_size=1, max_size=4))
    def publish(self, batches: list[tuple[int, int]]) -> None:
        async def published() -> Outcome:
            for stream, count in batches:
                payloads = [f"{self.written + i}".encode() * 9 for i in range(count)]
                self.written += count
                self.stored[STREAMS[stream]] += payloads
                put(self.spool, payloads, stream=stream)
            return await Commits().expect(self.spool)

        assert self.runner.run(published()) is Outcome.DURABLE

    @rule(uplink=st.sampled_from([0, 1]), stream=st.sampled_from(STREAMS), part=st.floats(0, 1), wait=st.booleans())
    def release(self, uplink: int, stream: str, part: float, wait: bool) -> None:
        key = (UPLINKS[uplink].name, stream)
        ahead = len(self.stored[stream]) + 1 - self.released[key]
        self.released[key] += int(ahead * part)

        async def released() -> None:
            await self.spool.outbox(UPLINKS[uplink]).release(stream, self.released[key])
            if wait:
                await self.spool.flush()

        self.runner.run(released())

    @precondition(lambda self: any(self.stored.values()))
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        uplink = data.draw(st.sampled_from(UPLINKS))
        stream = data.draw(st.sampled_from([name for name in STREAMS if self.stored[name]]))
        key = (uplink.name, stream)
        end = len(self.stored[stream]) + 1
        alive = [seq for seq in range(self.released[key], end) if seq not in self.missing[key]]
        if not alive:
            return
        first = data.draw(st.sampled_from(alive))
        count = data.draw(st.integers(1, min(5, end - first)))
        if not set(range(first, first + count)) <= set(alive):
            return
        self.runner.run(self.spool.outbox(uplink).dead_letter(stream, first, count, reason="payload_format_invalid"))
        self.missing[key] |= set(range(first, first + count))

    @rule(data=st.data())
    def replay_dead_letters(self, data: st.DataObject) -> None:
        letters = {letter.id: letter for letter in self.runner.run(self.spool.dead_letters.list(limit=1000))}
        if not letters:
            return
        ids = data.draw(st.lists(st.sampled_from(sorted(letters)), min_size=1, max_size=6, unique=True))
        sound = [number for number in ids if letters[number].uplink]
        read = {number: self.runner.run(self.spool.dead_letters.read(number)) for number in sound}
        replayed = self.runner.run(self.spool.dead_letters.replay([*ids, 1 << 40]))
        assert [refused.id for refused in replayed.refused] == [*(n for n in ids if n not in read), 1 << 40]
        assert replayed.letters == len(read)
        assert replayed.records == sum(map(len, read.values()))
        for number, records in read.items():
            letter = letters[number]
            old = self.stored[letter.stream][letter.first_seq - 1 : letter.first_seq - 1 + letter.count]
            assert [record.payload for record in records] == old
            first = len(self.stored[letter.stream]) + 1
            self.stored[letter.stream] += old
            for uplink in UPLINKS:
                if uplink.name != letter.uplink:  # it has had them under their first numbers
                    self.missing[uplink.name, letter.stream] |= set(range(first, first + letter.count))

    @rule(data=st.data())
    def discard_dead_letters(self, data: st.DataObject) -> None:
        ids = self.runner.run(self.spool.dead_letters.find(uplink=data.draw(st.sampled_from(["cloud", "archive"]))))
        if not ids:
            return
        before = self.spool.dead_letters.letters
        chosen = data.draw(st.lists(st.sampled_from(list(ids)), min_size=1, max_size=3))
        assert self.runner.run(self.spool.dead_letters.discard(chosen)) == len(set(chosen))
        assert self.spool.dead_letters.letters == before - len(set(chosen))

    @precondition(lambda self: any(self.stored.values()))
    @rule(data=st.data())
    def damage_a_block_while_closed(self, data: st.DataObject) -> None:
        self.close()
        with contextlib.closing(sqlite3.connect(self.folder / "spool.db", isolation_level=None)) as other:
            blocks: list[Any] = other.execute("SELECT key, count, body FROM block ORDER BY key").fetchall()
            if blocks:
                key, count, body = data.draw(st.sampled_from(blocks))
                where = data.draw(st.integers(0, len(body) - 1))
                damaged = body[:where] + bytes([body[where] ^ 1]) + body[where + 1 :]
                other.execute("UPDATE block SET body = ? WHERE key = ?", (damaged, key))
                names = dict(other.execute("SELECT id, name FROM stream").fetchall())
                for uplink in UPLINKS:
                    gone = range(seq_of(key), seq_of(key) + count)
                    self.missing[uplink.name, names[key >> 48]] |= set(gone)
                assert key_of(key >> 48, seq_of(key)) == key
        other.close()
        self.open()

    @rule()
    def close_and_open(self) -> None:
        self.close()
        self.open()

    @invariant()
    def every_uplink_sees_what_it_still_has_to_get(self) -> None:
        if not hasattr(self, "spool"):
            return
        for uplink in UPLINKS:
            outbox = self.spool.outbox(uplink)
            for stream in STREAMS:
                key = (uplink.name, stream)
                end = len(self.stored[stream]) + 1
                expected = {
                    seq: self.stored[stream][seq - 1]
                    for seq in range(self.released[key], end)
                    if seq not in self.missing[key]
                }
                seen, gaps = self.runner.run(everything(outbox, stream))
                assert list(seen.items()) == list(expected.items())
                assert gaps == set(range(self.released[key], end)) - set(expected)
                backlog = outbox.backlog(stream)
                assert (backlog.next_to_deliver_seq, backlog.next_seq) == (self.released[key], end)

    @invariant()
    def what_somebody_still_has_to_get_can_be_looked_at(self) -> None:
        if not hasattr(self, "spool"):
            return
        letters = self.runner.run(self.spool.dead_letters.list(limit=1000))
        assert self.spool.dead_letters.letters == len(letters)
        assert self.spool.dead_letters.records == sum(letter.count for letter in letters)
        for stream in STREAMS:
            seen = {record.seq: record.payload for record in self.runner.run(exported(self.spool, stream))}
            assert list(seen) == sorted(seen)
            assert all(self.stored[stream][seq - 1] == payload for seq, payload in seen.items())
            for uplink in UPLINKS:
                needed = range(self.released[uplink.name, stream], len(self.stored[stream]) + 1)
                assert set(needed) - self.missing[uplink.name, stream] <= set(seen)


async def exported(spool: Spool, stream: str) -> list[StoredRecord]:
    return [record async for record in spool.queue.export(stream)]


async def everything(outbox: UplinkOutbox, stream: str) -> tuple[dict[int, bytes], set[int]]:
    """What one uplink would send of a stream, and the numbers that it would declare as gaps."""
    seen: dict[int, bytes] = {}
    gaps: set[int] = set()
    seq = outbox.backlog(stream).next_to_deliver_seq
    while True:
        peek = await outbox.peek(stream, seq, max_records=10, max_bytes=10_000)
        for gap in peek.gaps:
            gaps |= set(range(gap.first_seq, gap.first_seq + gap.count))
        if not peek.blocks:
            return seen, gaps
        for block in peek.blocks:
            raw = zstandard.decompress(block.body) if block.compressed else block.body
            for whole in decode_blocks(raw, block.first_seq):
                seen |= {record.seq: record.payload for record in whole}
        seq = peek.blocks[-1].next_seq


SpoolModel.TestCase.settings = hypothesis_settings(
    max_examples=15,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # every step waits for a real disk: shrinking would take hours
)
TestSpoolModel = SpoolModel.TestCase
