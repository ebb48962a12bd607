"""The token file: lines `name:role:sha256`, as `fieldgate token` writes them.

A token is for a program: a scrape, a script. It is 256 random bits, so one pass of SHA-256 is enough to keep it by:
nobody can try them all. Empty lines and those that begin with `#` mean nothing. What a line can't mean is refused,
never skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.web.errors import TokenFileError
from bridge.web.files import read_file
from bridge.web.routes import Role
from config.errors import Problem, nearest

PREFIX: Final = "fgt_"
"""What a token begins with, so that people and scanners of secrets know one when they see it."""
TOKEN_BYTES: Final = 32
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_TOKENS: Final = 1000
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One line of the file. `digest`: the SHA-256 of the token, in hex."""

    name: str
    role: Role
    digest: str

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.role not in ROLES:
            raise ValueError(f"a role is viewer or operator, not {self.role!r}{nearest(self.role, ROLES)}")
        if _DIGEST.fullmatch(self.digest) is None:
            raise ValueError("a token is kept as its SHA-256, 64 digits in hex. Make a new one with `fieldgate token`")

    @property
    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name}:{self.role}:{self.digest}"


def check_name(name: str) -> None:
    """Raises ValueError where a token can't be called so."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "a token's name is of letters, digits, `_`, `.`, `@` and `-`, begins with a letter or digit, "
            "and is at most 64 long"
        )


def make(random_bytes: bytes) -> str:
    """A new token. `random_bytes`: TOKEN_BYTES of them."""
    if len(random_bytes) != TOKEN_BYTES:
        raise ValueError(f"A token is made of {TOKEN_BYTES} random bytes, not {len(random_bytes)}.")
    return PREFIX + base64.urlsafe_b64encode(random_bytes).decode().rstrip("=")


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Tokens:
    """What one reading of the file came to."""

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, name: object) -> bool:
        return any(known.name == name for known in self._tokens)

    def find(self, token: str) -> Token | None:
        """The line of a token; all lines are compared, each in constant time, so that the time tells nothing."""
        given = digest(token)
        found = None
        for known in self._tokens:
            if hmac.compare_digest(known.digest, given):
                found = known
        return found


def read_tokens(path: Path) -> Tokens:
    """Read the file. Raises TokenFileError with every line that is wrong."""
    return parse_tokens(read_file(path, key="api.token_file", max_bytes=MAX_FILE_BYTES), path)


def parse_tokens(content: bytes, path: Path) -> Tokens:
    """The tokens of a file's bytes; `path` is for the sentences. Raises TokenFileError."""
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        bad = content.count(b"\n", 0, error.start) + 1
        raise TokenFileError([_problem(path, bad, "the line is not UTF-8. Delete it")]) from error
    tokens: dict[str, Token] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            token = parse_line(line)
            for key in (token.name, token.digest):
                if key in lines:
                    what = f"the token {key!r}" if key == token.name else "the same token"
                    raise ValueError(f"{what} is there already, in line {lines[key]}. Delete one of the two lines")
            if len(tokens) == MAX_TOKENS:
                raise ValueError(f"there are more than {MAX_TOKENS} tokens. Delete those that nobody uses")
        except ValueError as error:
            problems.append(_problem(path, number, str(error)))
            continue
        tokens[token.name] = token
        lines[token.name] = lines[token.digest] = number
    if problems:
        raise TokenFileError(problems)
    return Tokens(list(tokens.values()))


def parse_line(line: str) -> Token:
    """The token of a line that is neither empty nor a comment. Raises ValueError with what is wrong."""
    parts = [part.strip() for part in line.split(":")]
    if len(parts) != 3:
        raise ValueError(
            "a line is a name, a role and a SHA-256, with a colon between them. Write it with "
            "`fieldgate token`, or delete it"
        )
    name, role, hashed = parts
    return Token(name=name, role=role, digest=hashed)  # type: ignore[arg-type]  # checked when made


def _problem(path: Path, line: int, sentence: str) -> Problem:
    return Problem(file=str(path), line=line, column=None, key="", message=f"{sentence}.")
