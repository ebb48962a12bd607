"""Rows of the broker's own tables that are to go: collected until a commit takes them, and back when it could not."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.spool.ports import Table

Key = int | str


class Removals:
    """Keys and ranges of keys. All of them go before the rows that their commit keeps, so they have no order."""

    __slots__ = ("keys", "ranges")

    def __init__(self) -> None:
        self.keys: dict[Table, set[Key]] = {}
        self.ranges: set[tuple[Table, int, int]] = set()
        """First and last key, both included."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.ranges)

    def add(self, table: Table, key: Key) -> None:
        """One row is to go."""
        keys = self.keys.get(table)
        if keys is None:
            self.keys[table] = {key}
        else:
            keys.add(key)

    def has(self, table: Table, key: Key) -> bool:
        """Whether that row is to go."""
        if key in self.keys.get(table, ()):
            return True
        return isinstance(key, int) and any(of is table and first <= key <= last for of, first, last in self.ranges)

    def add_all(self, other: Removals) -> None:
        """All that the other one holds is to go, too."""
        for table, keys in other.keys.items():
            self.keys.setdefault(table, set()).update(keys)
        self.ranges |= other.ranges

    def cut(self, limit: int, *kept: Mapping[Table, Mapping[Key, bytes]]) -> Removals:
        """Leave about `limit` keys here, and every one that is in one of `kept`; returns the others, for a later one.

        A removal that came before a row of this commit must not come after it.
        """
        rest = Removals()
        for table, keys in self.keys.items():
            if len(keys) > limit:
                later = [key for key in keys if not any(key in rows.get(table, ()) for rows in kept)][limit:]
                keys.difference_update(later)
                rest.keys[table] = set(later)
        return rest
