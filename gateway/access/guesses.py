"""How long somebody who was wrong has to wait before he is heard again; pure.

Three things are watched: one user name from one address, a user name from anywhere, and an address with whatever names.
Each has a few tries free, the narrower the fewer; then its tries are spaced, at first little, twice as far after each
that is wrong, up to MAX_INTERVAL_S. So a device with an old password costs the gateway next to nothing, and a list of
passwords can't be tried in a lifetime. To lock others out is what some attackers want: so a user who was right from an
address before waits there for nothing but what he did wrong from there himself.

A try takes its place in the line when it comes, so a thousand that come at once after a wrong one are spaced, too.
Where the line is longer than MAX_WAIT_S the answer is no at once. A client whose password is known to be right never
asks here (`Verified`).

A crowd of which nobody was wrong yet are devices that come back, and not spaced: any number from one address, and
CROWD_OF_USER who share a user (more of them ask the very same question, which is no guess). Without that bound a
thousand passwords could be tried for one user before the first turns out to be wrong.

The table is bounded, and so is each name in it: whoever was quiet longest is forgotten first, which an attacker with
many addresses can buy; what the pool bounds (`hashing.MAX_WAITING`) holds then, too. IPv6 addresses of one /64, which
one customer has all of, are one address.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from typing import Final

FREE_WITH_BOTH: Final = 3
FREE_OF_USER: Final = 20
FREE_OF_ADDRESS: Final = 50
"""Many devices may come from one address: a load balancer or a router that hides them."""
CROWD_OF_USER: Final = 50
FIRST_INTERVAL_S: Final = 0.25
MAX_INTERVAL_S: Final = 8.0
MAX_WAIT_S: Final = 5.0
"""Half of the time that a listener gives to a CONNECT."""
FORGET_AFTER_S: Final = 300.0
MAX_KEYS: Final = 20_000
MAX_NAME_LENGTH: Final = 64
"""Longer user names stand in the table as a digest."""

Key = tuple[str, str | None, str | None]


class _Record:
    __slots__ = ("failures", "last_s", "next_s", "running")

    def __init__(self) -> None:
        self.failures = 0
        self.running = 0
        self.next_s = 0.0
        self.last_s = 0.0

    def tries(self, crowd: int | None) -> int:
        """Those that were wrong, and those that are likely to be. Where none was, a crowd of so many (None: any
        number) is devices that come back."""
        if self.failures:
            return self.failures + self.running
        return 0 if crowd is None else max(0, self.running - crowd)


class Guesses:
    """Who was wrong, and how often. Every `admit` that was not refused is ended by one `settle`."""

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._records: OrderedDict[Key, _Record] = OrderedDict()
        self._proved: OrderedDict[Key, None] = OrderedDict()
        """Users and addresses that were right together."""
        self._max_keys = max_keys

    def __len__(self) -> int:
        return len(self._records)

    def admit(self, *, address: str, username: str | None, now_s: float) -> float | None:
        """How long to wait before the try, in seconds; None: too many wait already. `now_s` is monotonic."""
        keys = _keys(address, username)
        watched = keys[:1] if keys[0][0] in self._proved else keys
        records = [self._record(key, now_s) for key, _ in keys]
        found = [
            (record, free, None if key[0] == "address" else CROWD_OF_USER)
            for record, (key, free) in zip(records, watched, strict=False)
        ]
        at_s = now_s
        for record, free, crowd in found:
            if record.tries(crowd) >= free:
                at_s = max(at_s, record.next_s)
        if at_s - now_s > MAX_WAIT_S:
            return None
        for record, free, crowd in found:
            if record.tries(crowd) >= free:
                record.next_s = at_s + interval_s(record.tries(crowd) - free)
        for record in records:
            record.running += 1
        return at_s - now_s

    def settle(self, *, address: str, username: str | None, was_wrong: bool | None, now_s: float) -> None:
        """The try has ended; `was_wrong` None: nothing was found out (nobody could check it, or the client left)."""
        for key, _ in _keys(address, username):
            if was_wrong is False and key[0] == "both":
                self._proved[key] = None
                self._proved.move_to_end(key)
                if len(self._proved) > self._max_keys:
                    self._proved.popitem(last=False)
            record = self._records.get(key)
            if record is None:  # forgotten meanwhile
                continue
            record.running = max(0, record.running - 1)
            record.last_s = now_s
            if was_wrong:
                record.failures += 1
            elif was_wrong is False and key[0] != "address":
                # Of an address nothing is forgiven: a guesser may have one password that is right.
                record.failures = 0
                record.next_s = 0.0
            if record.failures == record.running == 0:
                del self._records[key]

    def note_wrong(self, *, address: str, username: str | None, now_s: float) -> None:
        """A try that was settled already turns out to have been wrong: its client left before that was known."""
        for key, _ in _keys(address, username):
            record = self._record(key, now_s)
            record.failures += 1
            record.last_s = now_s

    def _record(self, key: Key, now_s: float) -> _Record:
        record = self._records.get(key)
        if record is None:
            while len(self._records) >= self._max_keys:
                self._records.popitem(last=False)
            record = self._records[key] = _Record()
        elif record.running == 0 and now_s - record.last_s > FORGET_AFTER_S:
            record.failures = 0
            record.next_s = 0.0
        self._records.move_to_end(key)
        return record


def interval_s(tries_too_many: int) -> float:
    """How far apart the tries are."""
    return min(MAX_INTERVAL_S, FIRST_INTERVAL_S * 2.0 ** min(tries_too_many, 30))


def _group(address: str) -> str:
    """What counts as one address."""
    if ":" not in address:
        return address
    try:
        return ipaddress.IPv6Address(address.partition("%")[0]).packed[:8].hex()
    except ValueError:
        return address


def _keys(address: str, username: str | None) -> tuple[tuple[Key, int], ...]:
    address = _group(address)
    if username is not None and len(username) > MAX_NAME_LENGTH:
        username = hashlib.sha256(username.encode()).hexdigest()
    if username is None:
        return ((("address", address, None), FREE_OF_ADDRESS),)
    return (
        (("both", address, username), FREE_WITH_BOTH),
        (("user", None, username), FREE_OF_USER),
        (("address", address, None), FREE_OF_ADDRESS),
    )
