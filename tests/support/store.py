"""A store in memory, whose commits end when and how a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.record import Properties
from gateway.spool.ports import Outcome, Table, Waiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One record as `append` brought it."""

    stream: int
    client: str
    topic: bytes
    payload: bytes
    flags: int
    properties: Properties | None = None


@dataclass(slots=True)
class Commit:
    """What one commit holds."""

    records: list[Stored] = field(default_factory=list)
    snapshots: dict[str, Callable[[], bytes | None]] = field(default_factory=dict)
    waiters: dict[int, tuple[Waiter, list[Any]]] = field(default_factory=dict)
    kept: dict[tuple[Table, int | str], bytes] = field(default_factory=dict)
    discarded: list[tuple[Table, int | str, int | str]] = field(default_factory=list)
    held_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.records or self.snapshots or self.waiters or self.kept)


class FakeStore:
    """Everything goes into one open commit until the test calls `commit`; `disk` and `stored` are what would survive.

    With `auto` (a function such as `loop.call_soon`), commits end by themselves.
    """

    def __init__(
        self,
        sessions: dict[str, bytes] | None = None,
        *,
        rows: dict[Table, dict[int | str, bytes]] | None = None,
        auto: Callable[[Callable[[], None]], Any] | None = None,
    ) -> None:
        self.disk = dict(sessions or {})
        self.rows: dict[Table, dict[int | str, bytes]] = {table: dict((rows or {}).get(table, {})) for table in Table}
        """The broker's own tables, as they would survive."""
        self.stored: list[Stored] = []
        self.appends = 0
        self.commits = 0
        self.has_room = True
        self.is_congested = False
        self.outcome = Outcome.DURABLE
        self.open = Commit()
        self._auto = auto
        self._is_scheduled = False
        self._discarded: list[tuple[Table, int | str, int | str]] = []
        """Removals; they go with the next commit that ends, whatever its outcome."""
        self._relief: list[Callable[[], None]] = []

    def append(
        self,
        stream: int,
        *,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        plain_size_bytes: int,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        assert len(topics) == len(payloads) == len(flags) > 0
        assert plain_size_bytes > 0
        assert now_us > 0
        self.appends += 1
        for i, payload in enumerate(payloads):
            self.open.records.append(
                Stored(
                    stream=stream,
                    client=client,
                    topic=bytes(topics[i]),
                    payload=bytes(payload),
                    flags=flags[i],
                    properties=properties[i] if properties is not None else None,
                )
            )
        self._schedule()

    def remember(self, client_id: str, snapshot: Callable[[], bytes | None]) -> None:
        self.open.snapshots[client_id] = snapshot
        self._schedule()

    def keep(self, table: Table, key: int | str, body: bytes) -> None:
        self.open.kept[table, key] = body
        self._schedule()

    def discard(self, table: Table, key: int | str) -> None:
        self.open.kept.pop((table, key), None)
        self._discarded.append((table, key, key))
        self._schedule()

    def discard_range(self, table: Table, first: int, last: int) -> None:
        for kept in [key for key in self.open.kept if key[0] is table and first <= int(key[1]) <= last]:
            del self.open.kept[kept]
        self._discarded.append((table, first, last))
        self._schedule()

    def load(self, table: Table) -> list[tuple[int | str, bytes]]:
        return sorted(self.rows[table].items())

    def after_commit(self, waiter: Waiter, item: Any, *, held_bytes: int = 0) -> None:
        self.open.held_bytes += held_bytes
        self.open.waiters.setdefault(id(waiter), (waiter, []))[1].append(item)
        self._schedule()

    def on_relief(self, callback: Callable[[], None]) -> None:
        self._relief.append(callback)

    def sessions(self) -> dict[str, bytes]:
        return dict(self.disk)

    def relieve(self) -> None:
        """No longer congested."""
        self.is_congested = False
        callbacks, self._relief = self._relief, []
        for callback in callbacks:
            callback()

    def close_commit(self) -> tuple[Commit, dict[str, bytes | None]]:
        """The open commit closes and a new one opens: what it holds, for `end_commit`."""
        closed, self.open = self.open, Commit()
        closed.discarded, self._discarded = self._discarded, []
        return closed, {client_id: snapshot() for client_id, snapshot in closed.snapshots.items()}

    def end_commit(self, closed: tuple[Commit, dict[str, bytes | None]], outcome: Outcome = Outcome.DURABLE) -> None:
        """The commit ends."""
        commit, snapshots = closed
        self.commits += 1
        for table, first, last in commit.discarded:
            for key in [key for key in self.rows[table] if first <= key <= last]:
                del self.rows[table][key]
        if outcome is Outcome.DURABLE:
            self.stored += commit.records
            for (table, key), body in commit.kept.items():
                self.rows[table][key] = body
            for client_id, snapshot in snapshots.items():
                if snapshot is None:
                    self.disk.pop(client_id, None)
                else:
                    self.disk[client_id] = snapshot
        for waiter, items in commit.waiters.values():
            waiter.on_commit(items, outcome)

    def commit(self, outcome: Outcome = Outcome.DURABLE) -> None:
        """Close the open commit and end it."""
        self.end_commit(self.close_commit(), outcome)

    def _schedule(self) -> None:
        if self._auto is not None and not self._is_scheduled:
            self._is_scheduled = True
            self._auto(self._on_auto)

    def _on_auto(self) -> None:
        self._is_scheduled = False
        self.commit(self.outcome)
