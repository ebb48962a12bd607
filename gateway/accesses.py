"""Every `access` of the settings, at work: the entries that listeners and broker ask, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.ports import Clock
from config.errors import Problem
from config.settings import Access
from gateway.access.entry import SEED_BYTES, AccessEntry
from gateway.access.errors import AccessError
from gateway.access.hashing import HashingPool
from gateway.access.rights import Authorization
from gateway.access.ways import read_ways


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


class Accesses:
    """`open` once, `close` at the end; used on the event loop."""

    def __init__(self, entries: Mapping[str, AccessEntry], pool: HashingPool) -> None:
        self.entries = entries
        """By name."""
        self._pool = pool

    @classmethod
    def open(cls, settings: Iterable[Access], *, clock: Clock) -> Accesses:
        """Read the files of all. Raises AccessError with everything that is wrong with any of them."""
        pool = HashingPool()
        entries: dict[str, AccessEntry] = {}
        problems: list[Problem] = []
        for access in settings:
            try:
                entries[access.name] = AccessEntry.open(access, clock=clock, read_rules=Authorization.load, pool=pool)
            except AccessError as error:
                problems += error.problems
        if problems:
            pool.close()
            raise AccessError(problems)
        return cls(entries, pool)

    async def reload(self) -> list[str]:
        """Read the files again; where one is broken, its access stays as it was. Says what is broken, in sentences."""
        return [sentence for entry in self.entries.values() for sentence in await entry.reload()]

    async def close(self) -> None:
        """Idempotent."""
        for entry in self.entries.values():
            await entry.close()
        self._pool.close()
