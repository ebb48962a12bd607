"""Small facts that outlive a restart: which uplinks an operator has paused, and who it was."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final, Protocol

from gateway.spool.ports import Table
from gateway.spool.removals import Key

_PAUSED: Final = "paused/"


class NoteStore(Protocol):
    """What of the spool the notes use."""

    def keep(self, table: Table, key: Key, body: bytes) -> None:
        """Have a row on disk with the next commit, which is now."""

    def discard(self, table: Table, key: Key) -> None:
        """Take a row away."""

    def load(self, table: Table) -> list[tuple[Key, bytes]]:
        """The rows that were on disk at the opening."""


class Notes:
    """Read once at the start, written through at every change."""

    def __init__(self, store: NoteStore) -> None:
        self._store = store
        self._paused: dict[str, str] = {}
        for key, body in store.load(Table.NOTE):
            name = str(key)
            if name.startswith(_PAUSED):
                self._paused[name.removeprefix(_PAUSED)] = str(json.loads(body)["by"])

    def paused_by(self, uplink: str) -> str | None:
        """Who paused the uplink; None when nobody did."""
        return self._paused.get(uplink)

    def paused(self, uplink: str, by: str) -> None:
        """Write down that `by` paused the uplink."""
        self._paused[uplink] = by
        self._store.keep(Table.NOTE, _PAUSED + uplink, json.dumps({"by": by}).encode())

    def forget_others(self, uplinks: Collection[str]) -> None:
        """Forget the pauses of all but these: an uplink that is added under an old name is a new one."""
        for uplink in [name for name in self._paused if name not in uplinks]:
            self.resumed(uplink)

    def resumed(self, uplink: str) -> None:
        """Write down that it is not paused any more."""
        if self._paused.pop(uplink, None) is not None:
            self._store.discard(Table.NOTE, _PAUSED + uplink)
