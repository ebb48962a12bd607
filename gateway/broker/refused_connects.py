"""CONNECTs, and connections before them, that were turned away: the newest ones, for an operator who wonders why a
device is not there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_REFUSED: Final = 50
MAX_NAME_CHARS: Final = 256
"""What a stranger says of itself is cut after so many characters: it may be 64 KiB long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedConnect:
    """Equal ones (client, host, reason) are one, with the time of the last."""

    at_us: int
    client: str
    """The client id; empty where it was not said."""
    address: str
    """Of the last of them, with its port."""
    reason: str
    """A word, as in the counters."""
    detail: str
    """A sentence; empty where the word says it all."""
    username: str | None
    count: int


class RefusedConnects:
    """The newest 50."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, str], RefusedConnect] = OrderedDict()

    def add(
        self,
        now_us: int,
        *,
        address: str,
        reason: str,
        client: str = "",
        username: str | None = None,
        detail: str = "",
    ) -> None:
        """One more."""
        client = client[:MAX_NAME_CHARS]
        key = (client, address.rpartition(":")[0] or address, reason)
        before = self._entries.pop(key, None)
        self._entries[key] = RefusedConnect(
            at_us=now_us,
            client=client,
            address=address,
            reason=reason,
            detail=detail[:MAX_NAME_CHARS],
            username=None if username is None else username[:MAX_NAME_CHARS],
            count=1 if before is None else before.count + 1,
        )
        if len(self._entries) > MAX_REFUSED:
            self._entries.popitem(last=False)

    def newest_first(self) -> Sequence[RefusedConnect]:
        """All that are remembered."""
        return list(reversed(self._entries.values()))
