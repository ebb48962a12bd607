"""The spool against a model: a list of payloads for each stream, and a set of what each uplink still has to get.

Random steps (publish, release, dead-letter, damage a block, close and open again) go to the real spool on a real disk
and to the model. After each of them every uplink must see exactly what the model says, in order, with every missing
number declared as a gap. Rows of the broker are kept and discarded in commits that end well, that are refused, and that
could write nothing at all; whenever the spool is opened, it must load what the model says, except that a process that
died may not have carried out its last removals.
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

from bridge.record import decode_blocks
from config.settings import Batch, Stream, Uplink
from gateway.spool.outbox import UplinkOutbox
from gateway.spool.ports import Outcome, Table
from gateway.spool.schema import key_of, seq_of
from gateway.spool.spool import Spool
from tests.support.spool import Commits, StepClock, put, settings

STREAMS = ("alarms", "telemetry")
Change = tuple[str, Table, int, bytes]
"""keep, discard, or discard from the key to the end of its session; table, place of the key, body."""
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["keep", "keep", "keep", "discard", "discard", "range"]),
        st.sampled_from(list(Table)),
        st.integers(0, 11),
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=12,
)
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
        self.rows: dict[Table, dict[int | str, bytes]] = {table: {} for table in Table}
        self.waiting: dict[tuple[Table, int | str], set[bytes]] = {}
        """What was removed since the last commit that could write: a process that dies may leave it."""
        self.spool: Spool
        self.task: asyncio.Task[None]

    @initialize()
    def open(self) -> None:
        async def opened() -> None:
            self.spool = await Spool.open(self.settings, clock=StepClock())
            self.task = asyncio.create_task(self.spool.run())

        self.runner.run(opened())
        for table in Table:
            found = self.spool.load(table)
            assert [key for key, _ in found] == sorted(key for key, _ in found)
            for key, body in found:
                if key not in self.rows[table]:
                    assert body in self.waiting.get((table, key), ())
            assert dict(found).items() >= self.rows[table].items()
            self.rows[table] = dict(found)
        self.waiting.clear()

    def close(self, *, finish: bool = True) -> None:
        async def closed() -> None:
            if finish:
                await self.spool.flush()
                self.waiting.clear()
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

    @precondition(lambda self: any(self.stored.values()))
    @rule(data=st.data())
    def damage_a_block_while_closed(self, data: st.DataObject) -> None:
        self.close()
        with sqlite3.connect(self.folder / "spool.db", isolation_level=None) as other:
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

    def change(self, changes: list[Change], *, is_kept: bool) -> None:
        """Give the changes to the spool and, rows only if they will be kept, to the model."""
        for kind, table, place, body in changes:
            rows = self.rows[table]
            key: int | str = f"plant/{place}" if table is Table.RETAINED else (place // 4) << 32 | place % 4
            gone = [key]
            if kind == "keep":
                self.spool.keep(table, key, body)
                if is_kept:
                    rows[key] = body
                continue
            if kind == "range" and isinstance(key, int):
                last = key | 0xFFFFFFFF
                self.spool.discard_range(table, key, last)
                gone = [old for old in rows if isinstance(old, int) and key <= old <= last]
            else:
                self.spool.discard(table, key)
            for old in gone:
                if old in rows:
                    self.waiting.setdefault((table, old), set()).add(rows.pop(old))

    @rule(changes=CHANGES, records=st.integers(0, 3), wait=st.booleans())
    def keep_and_discard(self, changes: list[Change], records: int, wait: bool) -> None:
        async def changed() -> None:
            self.change(changes, is_kept=True)
            if records:
                payloads = [f"{self.written + i}".encode() for i in range(records)]
                self.written += records
                self.stored[STREAMS[1]] += payloads
                put(self.spool, payloads, stream=1)
            if wait or records or any(kind == "keep" for kind, *_ in changes):
                assert await Commits().expect(self.spool) is Outcome.DURABLE
                self.waiting.clear()

        self.runner.run(changed())

    @rule(changes=CHANGES)
    def have_a_commit_refused_for_lack_of_room(self, changes: list[Change]) -> None:
        async def refused() -> None:
            self.change(changes, is_kept=False)
            put(self.spool, [b"refused"], stream=0)
            transactor = self.spool._transactor
            pages, transactor._max_pages = transactor._max_pages, 0
            assert await Commits().expect(self.spool) is Outcome.FULL
            transactor._max_pages = pages
            self.waiting.clear()

        self.runner.run(refused())

    @rule(changes=CHANGES)
    def have_a_commit_fail_altogether(self, changes: list[Change]) -> None:
        async def failed() -> None:
            with contextlib.closing(sqlite3.connect(self.folder / "spool.db", isolation_level=None)) as other:
                await self.spool._writer.execute("PRAGMA busy_timeout = 1")
                other.execute("BEGIN IMMEDIATE")
                self.change(changes, is_kept=False)
                put(self.spool, [b"refused"], stream=0)
                assert await Commits().expect(self.spool) is Outcome.FAILED
                other.execute("ROLLBACK")
                await self.spool._writer.execute("PRAGMA busy_timeout = 10000")

        self.runner.run(failed())

    @precondition(lambda self: not self.spool._committer._dirty_watermarks)
    @rule()
    def die_and_open(self) -> None:
        self.close(finish=False)
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
