"""The password file: lines `user:hash`, as Mosquitto has them, with Fieldgate's hashes beside Mosquitto's.

Empty lines and those that begin with `#` mean nothing; blanks around the user name and the hash neither. The first
colon ends the user name, so a name holds none; a password may hold any byte. What a line can't mean is refused, never
skipped: that a user was left out because of a typing error would show only when his device can't come back.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config.errors import Problem
from gateway.access import password_hash
from gateway.access.errors import AccessError, problem
from gateway.access.files import read_file
from gateway.access.password_hash import PasswordHash

logger = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_USERNAME_BYTES: Final = 65535
"""What a CONNECT can hold, §1.5.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """What one reading of the file came to; `decoys` hold one hash of each kind that is in it."""

    hashes: Mapping[str, PasswordHash] = field(repr=False)
    kinds: Sequence[str] = field(repr=False)
    """One for each user, or that of new passwords where there is no user."""
    decoys: Mapping[str, PasswordHash] = field(repr=False)
    seed: bytes = field(repr=False)

    def decoy(self, username: str) -> PasswordHash:
        """What stands in for the hash of a user who is not there, so that the time of a check does not tell that.

        Where a file has hashes of several kinds, an unknown name always meets the same one, and each as often as known
        names do. Each name has a decoy of its own: what is asked twice at once is worked out once, and two unknown
        names must not look like one.
        """
        drawn = hmac.digest(self.seed, username.encode(), hashlib.sha512)
        return self.decoys[self.kinds[int.from_bytes(drawn[:8]) % len(self.kinds)]].decoy(drawn)


def read_users(path: Path, *, seed: bytes) -> Users:
    """Read the file. `seed`: 64 random bytes, the same for each reading. Raises AccessError with every bad line."""
    content, is_public = read_file(path, key="password_file", max_bytes=MAX_FILE_BYTES)
    if is_public:
        logger.warning(
            "The password file %s can be read by every user of this machine. Run: chmod o-rwx %s", path, path
        )
    if len(content) > MAX_FILE_BYTES:
        raise AccessError([problem(path, "is larger than 64 MiB. Write the name of a password file.")])
    return parse_users(content, path=path, seed=seed)


def parse_users(content: bytes, *, path: Path, seed: bytes) -> Users:
    """The users of a file's bytes; `path` is for the sentences. Raises AccessError with every line that is wrong."""
    hashes: dict[str, PasswordHash] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in _lines(content, path):
        try:
            username, hashed = parse_line(line)
            if username in hashes:
                raise ValueError(
                    f"the user {username!r} is there already, in line {lines[username]}. Delete one of the two lines"
                )
        except ValueError as error:
            problems.append(problem(path, _sentence(error), line=number))
            continue
        hashes[username] = hashed
        lines[username] = number
    if problems:
        raise AccessError(problems)
    models = list(hashes.values())
    if not models:
        models = [password_hash.parse(password_hash.make(b"", salt=seed[: password_hash.SALT_BYTES]))]
    return Users(
        hashes=hashes,
        kinds=[hashed.kind for hashed in models],
        decoys={hashed.kind: hashed.decoy(seed) for hashed in models},
        seed=seed,
    )


def parse_line(line: str) -> tuple[str, PasswordHash]:
    """The user and the hash of a line that is neither empty nor a comment. Raises ValueError with what is wrong."""
    name, colon, text = line.partition(":")
    if not colon:
        raise ValueError("a line is a user name, a colon and a hash. Write it with `fieldgate passwd`, or delete it")
    username = name.strip()
    check_username(username)
    try:
        return username, password_hash.parse(text.strip())
    except ValueError as error:
        raise ValueError(
            f"the password of {username!r} can't be used: {error}. "
            f"Set it anew with `fieldgate passwd`, or delete the line"
        ) from None


def check_username(username: str) -> None:
    """Raises ValueError where a line can't hold the name, or no client could give it."""
    if not username:
        raise ValueError("there is no user name before the colon. Write one, or delete the line")
    if username != username.strip() or username.startswith("#") or ":" in username:
        raise ValueError("a user name has no colon in it, does not begin with #, and has no blanks around it")
    if not username.isprintable():
        raise ValueError("a user name holds no control characters")
    if len(username.encode(errors="surrogatepass")) > MAX_USERNAME_BYTES:
        raise ValueError(f"a user name is at most {MAX_USERNAME_BYTES} bytes long")


def username_of(line: str) -> str | None:
    """Whose line it is; None for a comment, an empty line, and one without a colon."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    name, colon, _ = line.partition(":")
    return name.strip() if colon else None


def _lines(content: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """The lines that mean something, numbered from 1."""
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError:
            raise AccessError(
                [problem(path, "the line is not UTF-8. Save the file as UTF-8, or delete the line.", line=number)]
            ) from None
        if line and not line.startswith("#"):
            yield number, line


def _sentence(error: ValueError) -> str:
    return f"{error}."
