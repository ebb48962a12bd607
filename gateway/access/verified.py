"""What was found right before, so that ten thousand devices that come back after an outage need no ten thousand hashes.

Of a password nothing is kept but HMAC-SHA-256 under a key that was drawn when the process began and is never written
anywhere. Why that is no weaker than the file: who can read this process's memory reads the passwords themselves as they
come in, and who can't has neither key nor digests; the file on disk, which is what gets stolen, holds only slow hashes.
The hash that the password matched is kept beside the digest, so a changed line of the file is a new question by itself.
Only what was right is kept, one digest a user: wrong tries can neither fill the memory nor be found here, and each of
them costs the whole hash.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from gateway.access.password_hash import PasswordHash


class Verified:
    """A digest for each user of the file who was in since it was read. `key`: 32 random bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._digests: dict[str, tuple[PasswordHash, bytes]] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def holds(self, username: str, hashed: PasswordHash, password: bytes) -> bool:
        """Whether the password of the user was found to match this very hash."""
        found = self._digests.get(username)
        return found is not None and found[0] == hashed and hmac.compare_digest(found[1], self._digest(password))

    def add(self, username: str, hashed: PasswordHash, password: bytes) -> None:
        """The password was found to match the hash, which is that of a user of the file: their number is the bound."""
        self._digests[username] = (hashed, self._digest(password))

    def keep_only(self, hashes: Mapping[str, PasswordHash]) -> None:
        """The file was read again: forget those whose line is another one now, or gone."""
        self._digests = {name: kept for name, kept in self._digests.items() if hashes.get(name) == kept[0]}

    def _digest(self, password: bytes) -> bytes:
        return hmac.digest(self._key, password, hashlib.sha256)
