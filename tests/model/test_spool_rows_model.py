"""The broker's rows in the spool against a model: a dictionary for each table.

Random steps keep and discard rows in commits that end well, that are refused for lack of room, and that could write
nothing at all, with and without records beside them. Whenever the spool is opened, it must load what the model says;
only a process that died may not have carried out its last removals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.spool import committer
from gateway.spool.ports import Outcome, Table
from gateway.spool.spool import Spool
from tests.support.examples import examples
from tests.support.spool import Commits, StepClock, put, settings

Change = tuple[str, Table, int, bytes]
"""keep, keep lazily, discard, or discard from the key to the end of its session; table, place of the key, body."""
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["keep", "keep", "lazy", "discard", "discard", "range"]),
        st.sampled_from(list(Table)),
        st.integers(0, 3),
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=16,
)


class RowsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("gateway.spool").setLevel(logging.CRITICAL)
        self.limit = committer.REMOVALS_AT_ONCE
        self.folder = Path(tempfile.mkdtemp(prefix="spool-rows-"))
        self.runner = asyncio.Runner()
        self.settings = settings(self.folder)
        self.rows: dict[Table, dict[int | str, bytes]] = {table: {} for table in Table}
        self.waiting: dict[tuple[Table, int | str], set[bytes]] = {}
        """What was removed since the last opening or flush: a process that dies may leave it."""
        self.spool: Spool
        self.task: asyncio.Task[None]

    @initialize(limit=st.sampled_from([1, 100]))
    def begin(self, limit: int) -> None:
        committer.REMOVALS_AT_ONCE = limit  # type: ignore[misc]
        self.open()

    def open(self) -> None:
        async def opened() -> None:
            self.spool = await Spool.open(self.settings, clock=StepClock())
            self.task = asyncio.create_task(self.spool.run())

        self.runner.run(opened())
        for table in Table:
            found = self.spool.load(table)
            assert [key for key, _ in found] == sorted(key for key, _ in found)
            assert dict(found).items() >= self.rows[table].items()
            for key, body in found:
                assert key in self.rows[table] or body in self.waiting.get((table, key), ())
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
        self.close_and_open()
        self.close()
        self.runner.close()
        shutil.rmtree(self.folder)
        committer.REMOVALS_AT_ONCE = self.limit  # type: ignore[misc]
        logging.getLogger("gateway.spool").setLevel(logging.NOTSET)

    def change(self, changes: list[Change], *, is_kept: bool, is_lazy_kept: bool | None = None) -> None:
        """Give the changes to the spool and, rows only if they will be kept, to the model."""
        lazy: dict[tuple[Table, int | str], bytes] = {}
        self.give(changes, lazy, is_kept=is_kept)
        if is_kept if is_lazy_kept is None else is_lazy_kept:
            for (table, key), body in lazy.items():
                if key in self.rows[table]:
                    self.waiting.setdefault((table, key), set()).add(self.rows[table][key])
                self.rows[table][key] = body

    def give(self, changes: list[Change], lazy: dict[tuple[Table, int | str], bytes], *, is_kept: bool) -> None:
        """The same; `lazy` has then what was kept lazily and nothing came after."""
        for kind, table, place, body in changes:
            rows = self.rows[table]
            key: int | str = f"plant/{place}" if table.has_text_key else (place // 2) << 32 | place % 2
            if kind == "lazy":
                self.spool.keep_lazily(table, key, body)
                lazy[table, key] = body
                continue
            if kind == "keep":
                self.spool.keep(table, key, body)
                lazy.pop((table, key), None)
                if is_kept or table is Table.NOTE:  # a note is never refused
                    if key in rows:  # where its removal could only be put off, the row may come back as it was
                        self.waiting.setdefault((table, key), set()).add(rows[key])
                    rows[key] = body
                continue
            gone = [key]
            if kind == "range" and isinstance(key, int):
                last = key | 0xFFFFFFFF
                self.spool.discard_range(table, key, last)
                for other, old in list(lazy):
                    if other is table and isinstance(old, int) and key <= old <= last:
                        del lazy[other, old]
                gone = [old for old in rows if isinstance(old, int) and key <= old <= last]
            else:
                self.spool.discard(table, key)
                lazy.pop((table, key), None)
            for old in gone:
                if old in rows:
                    self.waiting.setdefault((table, old), set()).add(rows.pop(old))

    @rule(changes=CHANGES, records=st.booleans(), wait=st.booleans())
    def keep_and_discard(self, changes: list[Change], records: bool, wait: bool) -> None:
        async def changed() -> None:
            self.change(changes, is_kept=True)
            if records:
                put(self.spool, [b"record"])
            if wait or any(kind in {"keep", "lazy"} for kind, *_ in changes):
                assert await Commits().expect(self.spool) is Outcome.DURABLE

        self.runner.run(changed())

    @rule(first=CHANGES, second=CHANGES)
    def keep_and_discard_while_a_commit_runs(self, first: list[Change], second: list[Change]) -> None:
        async def changed() -> None:
            self.change(first, is_kept=True)
            ended = Commits().expect(self.spool)
            while self.spool._committer.open:  # noqa: ASYNC110 - until the loop has come round to it
                await asyncio.sleep(0)
            self.change(second, is_kept=True)
            assert await Commits().expect(self.spool) is Outcome.DURABLE
            assert ended.result() is Outcome.DURABLE

        self.runner.run(changed())

    @rule(changes=CHANGES)
    def have_a_commit_refused_for_lack_of_room(self, changes: list[Change]) -> None:
        async def refused() -> None:
            self.change(changes, is_kept=False)
            put(self.spool, [b"refused"])
            transactor = self.spool._transactor
            pages, transactor._max_pages = transactor._max_pages, 0
            assert await Commits().expect(self.spool) is Outcome.FULL
            transactor._max_pages = pages

        self.runner.run(refused())

    @rule(changes=CHANGES)
    def have_a_commit_fail_altogether(self, changes: list[Change]) -> None:
        async def failed() -> None:
            with contextlib.closing(sqlite3.connect(self.folder / "spool.db", isolation_level=None)) as other:
                await self.spool._writer.execute("PRAGMA busy_timeout = 1")
                other.execute("BEGIN IMMEDIATE")
                self.change(changes, is_kept=False, is_lazy_kept=True)  # they wait for a commit that can
                put(self.spool, [b"refused"])
                assert await Commits().expect(self.spool) is Outcome.FAILED
                other.execute("ROLLBACK")
                await self.spool._writer.execute("PRAGMA busy_timeout = 10000")
                assert await Commits().expect(self.spool) is Outcome.DURABLE

        self.runner.run(failed())

    @rule()
    def die_and_open(self) -> None:
        self.close(finish=False)
        self.open()

    @rule()
    def close_and_open(self) -> None:
        self.close()
        self.open()


RowsModel.TestCase.settings = hypothesis_settings(
    max_examples=examples(20),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # every step waits for a real disk
)
TestRowsModel = RowsModel.TestCase
