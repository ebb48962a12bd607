"""What clients may do by the rules of entry that let them in: those of sessions, and of publishers who may be gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.access.ports import NO_RIGHTS, UNLIMITED, Entry, Rights
from gateway.broker.message import Message

MAX_PUBLISHERS: Final = 1000
"""Publishers of retained messages whose rights are remembered."""


class Entitlements:
    """Asks the rules of entry, by the names of accesses; without any everybody may do everything."""

    __slots__ = ("_entries", "_publishers")

    def __init__(self, entries: Mapping[str, Entry] | None) -> None:
        self._entries = entries
        self._publishers: dict[tuple[str, str, str | None], list[Rights]] = {}
        """What publishers of retained messages may do, as far as it was asked."""

    def entry(self, access: str) -> Entry | None:
        """The rules of an access; None where nobody asks, or where there is no such access."""
        return None if self._entries is None else self._entries.get(access)

    def is_lost(self, access: str) -> bool:
        """Whether the settings have no such access any more."""
        return bool(access) and self._entries is not None and access not in self._entries

    def rights(self, access: str, client_id: str, username: str | None) -> Rights:
        """What a client may do now. A session whose access was taken out of the settings may do nothing.

        One of the first version does not know its access. Where there is only one, it is that: what comes before its
        client is back is to wait for it. With several it may do nothing until then.
        """
        if self._entries is None:
            return UNLIMITED
        entry = self._entries.get(access)
        if not access and len(self._entries) == 1:
            (entry,) = self._entries.values()
        return NO_RIGHTS if entry is None else entry.rights(client_id=client_id, username=username)

    def may_still_publish(self, message: Message) -> bool:
        """Whether the publisher of a retained message may publish it now, by the rules of entry that let him in.

        By any of them, where the message is older than the note of which that was.
        """
        if not self._entries or message.topic.startswith("$SYS"):
            return True
        publisher = (message.origin_access, message.origin, message.origin_username)
        rights = self._publishers.get(publisher)
        if rights is None:
            if len(self._publishers) >= MAX_PUBLISHERS:
                self._publishers.clear()
            rights = self._publishers[publisher] = [
                self.rights(access, message.origin, message.origin_username)
                for access in ([message.origin_access] if message.origin_access else self._entries)
            ]
        return any(each.is_unlimited or each.may_publish(message.topic) for each in rights)

    def forget(self) -> None:
        """The rules have changed: ask them anew."""
        self._publishers.clear()
