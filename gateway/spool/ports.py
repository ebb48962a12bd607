"""What the broker and its connections see of the spool.

The way of a publish: `append` puts it into the open commit; `after_commit` says who waits for that commit; once it is
on disk, every waiter's `on_commit` is called once with all it was waiting for. One commit runs at a time, the next one
opens at once, so that under load they batch themselves and without load nothing waits.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from bridge.record import Properties

T = TypeVar("T")


class Outcome(enum.Enum):
    """How a commit ended."""

    DURABLE = "durable"
    FULL = "full"
    """No room and the operator's policy is to reject, or the disk is full: nothing of this commit was stored."""
    FAILED = "failed"
    """The store failed in another way: nothing of this commit was stored; the client may try again."""


class Waiter(Protocol):
    """Somebody who waits for a commit: a connection with acknowledgements to send."""

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        """The commit that held `items` (as given to `after_commit`, in that order) has ended."""


class Table(enum.StrEnum):
    """Tables of a key and a body that only its writer understands: the broker's, and those of the operator's pages."""

    MESSAGE = "message"
    """What waits for sessions, once each; the key is a number."""
    DELIVERY = "delivery"
    """That a session is to get a message; the key is a number, `session number << 32 | place in its queue`."""
    RETAINED = "retained"
    """Retained messages; the key is the topic."""
    HISTORY = "history"
    """What the charts show; the key is a number."""
    EVENT = "event"
    """What happened, for the operator; the key is a number."""
    NOTE = "note"
    """Small facts that outlive a restart (`gateway.spool.notes`); the key is a text."""

    @property
    def has_text_key(self) -> bool:
        """Whether the keys are texts, not numbers."""
        return self in (Table.RETAINED, Table.NOTE)


class Store(Protocol):
    """The spool as the broker uses it; every method runs on the event loop and none blocks."""

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
        """Put one client's publishes, oldest first, into the open commit. `stream` is its place in the settings."""

    def remember(self, client_id: str, snapshot: Callable[[], bytes | None]) -> None:
        """Have the session's state in the open commit; `snapshot` is called once when it closes (None: forget it)."""

    def keep(self, table: Table, key: int | str, body: bytes) -> None:
        """Have a row in the open commit, in the place of one with this key: on disk if the commit is DURABLE."""

    def discard(self, table: Table, key: int | str) -> None:
        """Take a row away with the open commit or, when nothing else hurries it, a moment later.

        A refusal for lack of room never loses a removal: it is carried out with the first commit that can. Of a `keep`
        and a `discard` of one key, the later one holds.
        """

    def discard_range(self, table: Table, first: int, last: int) -> None:
        """The same for all keys from `first` to `last`, both included."""

    def load(self, table: Table) -> list[tuple[int | str, bytes]]:
        """The rows that were on disk when the spool was opened, in the order of their keys; can be asked once."""

    def after_commit(self, waiter: Waiter, item: Any, *, held_bytes: int = 0) -> None:
        """Have `waiter.on_commit` called when the open commit ends, with `item` among the items.

        `held_bytes` is what the item keeps in memory until then beside what was appended; `is_congested` counts it.
        """

    @property
    def has_room(self) -> bool:
        """False when a new publish would be refused for lack of room (policy `reject`, or the disk is full)."""

    @property
    def is_congested(self) -> bool:
        """True when the open commit holds so much that readers should stop reading until `on_relief`."""

    def on_relief(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once, when the spool is no longer congested."""

    def sessions(self) -> dict[str, bytes]:
        """The sessions that were on disk when the spool was opened: client id to the last snapshot."""


class Reader(Protocol):
    """Where what is stored is read."""

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Call `fn` with a connection; what it returns or raises comes back."""
