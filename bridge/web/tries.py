"""How long somebody whose password was wrong has to wait. Pure: `now` in seconds of a monotonic clock.

Two things have a few tries free and wait then, twice as long after each that is wrong, up to MAX_WAIT_S: one user from
one address, and an address with whatever users. To lock others out is what some attackers want, so nothing that is done
from one address can refuse another one: wrong tries for a user from many addresses only leave a new address fewer tries
for him before it waits, and one always. And who was right before from an address does not wait for what others there
do with other names (an office, a proxy).

A try counts as wrong while it is at work, so a thousand at once are no way around. Memory is bounded: whoever was quiet
longest is forgotten first. IPv6 addresses of one /64, which one customer has all of, are one address.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FREE_OF_BOTH: Final = 5
FREE_OF_BOTH_UNDER_ATTACK: Final = 1
FREE_OF_ADDRESS: Final = 20
ATTACK_ON_USER: Final = 20
"""So many wrong tries for a user, wherever from, and a new address has fewer free."""
FIRST_WAIT_S: Final = 2.0
MAX_WAIT_S: Final = 300.0
FORGET_AFTER_S: Final = 3600.0
MAX_KEYS: Final = 10_000

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


class Tries:
    """Who was wrong, and how often. Every `admit` that let a try pass is ended by one `settle`."""

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._records: OrderedDict[Key, _Record] = OrderedDict()
        self._proved: OrderedDict[Key, None] = OrderedDict()
        """Users and addresses that were right together."""
        self._max_keys = max_keys

    def __len__(self) -> int:
        return len(self._records)

    def admit(self, *, address: str, user: str, now_s: float) -> float:
        """0.0 when the try may be made now, else how long to wait before the next one, in seconds."""
        both, of_address, of_user = _keys(address, user)
        watched = [both] if both in self._proved else [both, of_address]
        for key in watched:
            record = self._records.get(key)
            if record is not None and record.until_s > now_s and not _is_old(record, now_s):
                return record.until_s - now_s
        attacked = self._record(of_user, now_s).wrong >= ATTACK_ON_USER and both not in self._proved
        self._note(both, FREE_OF_BOTH_UNDER_ATTACK if attacked else FREE_OF_BOTH, now_s)
        self._note(of_address, FREE_OF_ADDRESS, now_s)
        self._note(of_user, ATTACK_ON_USER, now_s)
        return 0.0

    def settle(self, *, address: str, user: str, was_right: bool | None, now_s: float) -> None:
        """The try has ended; None: nothing was found out, so it is as if it had not been."""
        both, of_address, of_user = _keys(address, user)
        if was_right is False:
            return
        for key in (both, of_address, of_user):
            record = self._records.get(key)
            if record is None:  # forgotten meanwhile
                continue
            record.wrong = max(0, record.wrong - 1)
            record.until_s = 0.0 if key == both else min(record.until_s, now_s + _wait_s(record.wrong, key))
            record.last_s = now_s
        if was_right:
            self._records.pop(both, None)
            self._proved[both] = None
            self._proved.move_to_end(both)
            if len(self._proved) > self._max_keys:
                self._proved.popitem(last=False)

    def _note(self, key: Key, free: int, now_s: float) -> None:
        record = self._record(key, now_s)
        record.wrong += 1
        record.last_s = now_s
        if record.wrong >= free:
            record.until_s = now_s + interval_s(record.wrong - free)

    def _record(self, key: Key, now_s: float) -> _Record:
        record = self._records.get(key)
        if record is None or _is_old(record, now_s):
            record = _Record(last_s=now_s)
            self._records[key] = record
        self._records.move_to_end(key)
        while len(self._records) > self._max_keys:
            self._records.popitem(last=False)
        return record


def interval_s(too_many: int) -> float:
    """How long after the try that was one of so many too many."""
    return min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** min(too_many, 30))


def _wait_s(wrong: int, key: Key) -> float:
    free = FREE_OF_ADDRESS if key[0] == "address" else ATTACK_ON_USER
    return interval_s(wrong - free) if wrong >= free else 0.0


def _is_old(record: _Record, now_s: float) -> bool:
    return now_s - record.last_s > FORGET_AFTER_S


def _keys(address: str, user: str) -> tuple[Key, Key, Key]:
    address = one_address(address)
    user = hashlib.sha256(user.encode(errors="surrogateescape")).hexdigest()
    return (("both", address, user), ("address", address, ""), ("user", "", user))


def one_address(address: str) -> str:
    """What counts as one: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped) if found.ipv4_mapped is not None else found.packed[:8].hex()
