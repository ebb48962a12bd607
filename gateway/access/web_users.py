"""Who may log in at the HTTP interface: the users of `api.password_file`, with Argon2id hashes alone.

The faster kinds that Mosquitto writes are good enough for what devices send on a wire of their own; a form that the
network reaches takes the slow one or none.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.web.gate import CannotVerify
from gateway.access.errors import AccessError, problem
from gateway.access.files import read_file
from gateway.access.hashing import CannotCheck, HashingPool
from gateway.access.password_file import MAX_FILE_BYTES, Users, parse_users, username_of
from gateway.access.password_hash import Argon2id

logger = logging.getLogger(__name__)

KEY: Final = "api.password_file"
SEED_BYTES: Final = 64


class WebUsers:
    """A `bridge.web.gate.Verifier`. Used on the event loop; `pool` belongs to who made it."""

    def __init__(self, users: Users, *, pool: HashingPool, seed: bytes) -> None:
        self._users = users
        self._pool = pool
        self._seed = seed

    async def verify(self, user: str, password: str) -> bool:
        """Whether it is the user's password; as slow for one who is not there. Raises CannotVerify."""
        hashed = self._users.hashes.get(user)
        try:
            matches = await self._pool.matches(hashed or self._users.decoy(user), password.encode())
        except CannotCheck as error:
            raise CannotVerify from error
        return matches and hashed is not None

    def mark(self, user: str) -> str | None:
        """A digest of the user's line under a key of this process; None: there is no such user."""
        hashed = self._users.hashes.get(user)
        if not isinstance(hashed, Argon2id):
            return None
        return hmac.digest(self._seed, hashed.encoded.encode(), hashlib.sha256).hex()


def web_users(
    pool: HashingPool, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> Callable[[Path], WebUsers]:
    """A `bridge.web.gate.OpenVerifier`: what it opens raises AccessError with every line that is wrong."""
    seed = random_bytes(SEED_BYTES)

    def opened(path: Path) -> WebUsers:
        return WebUsers(read_web_users(path, seed=seed), pool=pool, seed=seed)

    return opened


def read_web_users(path: Path, *, seed: bytes) -> Users:
    """Read the file. `seed`: 64 random bytes. Raises AccessError with every line that is wrong."""
    content, is_public = read_file(path, key=KEY, max_bytes=MAX_FILE_BYTES)
    if len(content) > MAX_FILE_BYTES:
        raise AccessError([problem(path, "is larger than 64 MiB. Write the name of a password file.")])
    if is_public:
        logger.warning(
            "The password file %s can be read by every user of this machine. Run: chmod o-rwx %s", path, path
        )
    users = parse_users(content, path=path, seed=seed)
    weak = [name for name, hashed in users.hashes.items() if not isinstance(hashed, Argon2id)]
    if weak:
        lines = _lines(content)
        raise AccessError(
            [
                problem(
                    path,
                    f"the password of {name!r} is not kept as Argon2id, and who can reach the dashboard could guess "
                    f"it. Set it anew with `fieldgate passwd`, or delete the line.",
                    line=lines.get(name),
                )
                for name in weak
            ]
        )
    return users


def _lines(content: bytes) -> dict[str, int]:
    text = content.decode(errors="replace").removeprefix("\ufeff")
    return {name: number for number, line in enumerate(text.split("\n"), 1) if (name := username_of(line)) is not None}
