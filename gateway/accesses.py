"""Every `access` of the settings, at work: the entries that listeners and broker ask, and what they have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.ports import Clock
from config.errors import Problem
from config.settings import Access
from gateway.access.entry import SEED_BYTES, AccessEntry
from gateway.access.errors import AccessError
from gateway.access.hashing import HashingPool
from gateway.access.http_service import HttpService
from gateway.access.rights import Authorization
from gateway.access.ways import Ways, read_ways


def check_files(settings: Iterable[Access]) -> None:
    """Read the files of all, for who only wants to know. Raises AccessError with everything that is wrong."""
    problems: list[Problem] = []
    for access in settings:
        try:
            read_ways(access, read_rules=Authorization.load, seed=bytes(SEED_BYTES))
        except AccessError as error:
            problems += error.problems
    if problems:
        raise AccessError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was read for new settings, and is not in force yet."""

    ways: Mapping[str, Ways]
    """Of those that are there already, by name."""
    added: Mapping[str, AccessEntry]


class Accesses:
    """`open` once, `close` at the end; used on the event loop."""

    def __init__(self, entries: dict[str, AccessEntry], pool: HashingPool, clock: Clock) -> None:
        self.entries = entries
        """By name; the same dictionary for ever, so that others may hold it."""
        self._pool = pool
        self._clock = clock

    @property
    def pool(self) -> HashingPool:
        """Where passwords are checked; closed with this."""
        return self._pool

    @classmethod
    def open(cls, settings: Iterable[Access], *, clock: Clock) -> Accesses:
        """Read the files of all. Raises AccessError with everything that is wrong with any of them."""
        accesses = cls({}, HashingPool(), clock)
        problems: list[Problem] = []
        for access in settings:
            try:
                accesses.entries[access.name] = accesses.make(access)
            except AccessError as error:
                problems += error.problems
        if problems:
            accesses._pool.close()
            raise AccessError(problems)
        return accesses

    def make(self, settings: Access) -> AccessEntry:
        """An entry that is not one of them yet. Raises AccessError."""
        return AccessEntry.open(settings, clock=self._clock, read_rules=Authorization.load, pool=self._pool)

    async def prepare(self, settings: Iterable[Access]) -> Prepared:
        """Read the files of all again, and of those that are new. Raises AccessError with everything that is wrong;
        nothing has changed then."""
        ways: dict[str, Ways] = {}
        added: dict[str, AccessEntry] = {}
        problems: list[Problem] = []
        for access in settings:
            entry = self.entries.get(access.name)
            try:
                if entry is None:
                    added[access.name] = await asyncio.to_thread(self.make, access)
                else:
                    ways[access.name] = await entry.read(access)
            except AccessError as error:
                problems += error.problems
        if problems:
            raise AccessError(problems)
        return Prepared(ways=ways, added=added)

    async def adopt(self, prepared: Prepared) -> None:
        """Have it in force; ask the broker to look at everybody's rights afterwards."""
        gone = [name for name in self.entries if name not in prepared.ways]
        retired: list[AccessEntry | HttpService] = [self.entries.pop(name) for name in gone]
        self.entries.update(prepared.added)
        for name, ways in prepared.ways.items():
            service = self.entries[name].adopt(ways)
            if service is not None:
                retired.append(service)
        for each in retired:
            await each.close()
        # Who was let in by the old files in this very turn of the loop is connected in the next one, and has to be
        # before anybody asks who is still known.
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Idempotent."""
        for entry in self.entries.values():
            await entry.close()
        self._pool.close()
