"""Who may come: users with a password, tokens, or, where neither is asked for, everybody as the local operator."""

from __future__ import annotations

import asyncio
import hmac
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bridge.listening import own_names
from bridge.web.errors import Problem
from bridge.web.logins import ID_BYTES, Logins
from bridge.web.routes import Role
from bridge.web.tokens import Tokens, read_tokens
from bridge.web.tries import Tries
from config.errors import ConfigError
from config.errors import Problem as FileProblem
from config.settings import Api

LOCAL_USER: Final = "local"
MAX_USER_LENGTH: Final = 256
MAX_PASSWORD_LENGTH: Final = 4096
MAX_ASKING: Final = 64
"""Who log in at a time: their passwords are checked one after the other. Those of devices are checked by the same
threads, and must not stand in line behind whoever can reach the dashboard."""


class CannotVerify(Exception):
    """The password can't be checked now: too many wait. The caller may try again later."""


class Verifier(Protocol):
    """Checks passwords of the file `api.password_file`; injected, since the hashes are the gateway's matter."""

    async def verify(self, user: str, password: str) -> bool:
        """Whether it is the user's password; as slow for one who is not there. Raises CannotVerify."""

    def mark(self, user: str) -> str | None:
        """What changes with the user's password; None: there is no such user. Sessions end when it changes."""


OpenVerifier = Callable[[Path], Verifier]
"""Reads a password file; blocks. Of all that it opens, a user with the same line has the same mark. Raises ConfigError
with every line that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who is known. `session_id` is that of his cookie, where he came by one."""

    user: str
    role: Role
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Who may come by some settings, as their files said it when they were read."""

    api: Api
    verifier: Verifier | None = None
    tokens: Tokens = field(default_factory=Tokens)

    def __post_init__(self) -> None:
        if (self.api.password_file is None) != (self.verifier is None):
            raise ValueError("Passwords are checked where there is a password file, and nowhere else.")


class Gate:
    """Made from the settings and their files. All methods are called on the event loop; times are monotonic seconds."""

    def __init__(
        self,
        lists: Lists,
        *,
        open_verifier: OpenVerifier | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._lists = lists
        self._open_verifier = open_verifier
        self._random_bytes = random_bytes
        self._csrf_key = random_bytes(32)
        self._logins = Logins()
        self._tries = Tries()
        self._asking = 0
        self._turn = asyncio.Semaphore(1)
        self._own_names = own_names()

    @classmethod
    def open(cls, api: Api, *, open_verifier: OpenVerifier | None = None) -> Gate:
        """Read the files. Raises ConfigError with every line that is wrong."""
        return cls(_read(api, open_verifier), open_verifier=open_verifier)

    @property
    def asks_who(self) -> bool:
        """Whether one has to log in, or to show a token."""
        return self._lists.api.asks_who

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names under which the server answers, besides addresses and localhost."""
        return (*self._own_names, *self._lists.api.hosts)

    @property
    def sessions(self) -> int:
        """How many are logged in."""
        return len(self._logins)

    async def read(self, api: Api) -> Lists:
        """Read the files that settings name; nothing has changed then. Raises ConfigError with all that is wrong."""
        return await asyncio.to_thread(_read, api, self._open_verifier)

    def adopt(self, lists: Lists) -> None:
        """Have them hold from now on. Sessions of users who left the file or have another password end."""
        self._lists = lists
        self._logins.keep_known(_nobody if lists.verifier is None else lists.verifier.mark)

    # ---- Who is it? -----------------------------------------------------------------------------------------------

    def identify(self, *, session_id: str | None, authorization: str | None, now_s: float) -> Identity | None:
        """Who asks; None: a stranger. A token that is given decides, right or wrong."""
        if not self.asks_who:
            return Identity(user=LOCAL_USER, role="operator")
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.casefold() == "bearer":  # other schemes may be a proxy's in front of us
            found = self._lists.tokens.find(token.strip())
            return None if found is None else Identity(user=found.name, role=found.role)
        verifier = self._lists.verifier
        if session_id is None or verifier is None:
            return None
        user = self._logins.user_of(session_id, verifier.mark, now_s)
        return None if user is None else Identity(user=user, role=self._role_of(user), session_id=session_id)

    async def log_in(self, user: str, password: str, *, address: str, now_s: Callable[[], float]) -> Identity:
        """Begin a session. Raises Problem 401, 409, 429 or 503."""
        if not self.asks_who:
            raise Problem(409, "Nobody has to log in here: no api.password_file is configured.")
        verifier = self._lists.verifier
        if verifier is None:
            raise Problem(409, "Nobody can log in with a password here: show a token, or configure api.password_file.")
        wait_s = self._tries.admit(address=address, user=user, now_s=now_s())
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            raise Problem(
                429,
                f"Too many wrong passwords. Try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )
        is_right: bool | None = None
        try:
            mark = verifier.mark(user)
            is_right = await self._verify(verifier, user, password)
        except CannotVerify as error:
            raise Problem(
                503, "Too many passwords are being checked. Try again in a moment.", headers={"Retry-After": "5"}
            ) from error
        finally:
            self._tries.settle(address=address, user=user, was_right=is_right, now_s=now_s())
        # The mark is that of before: a password that was changed meanwhile opens a session that has ended already.
        if not is_right or mark is None:
            raise Problem(401, "The user name or the password is wrong.")
        session_id = self._random_bytes(ID_BYTES).hex()
        self._logins.begin(session_id, user, mark, now_s())
        return Identity(user=user, role=self._role_of(user), session_id=session_id)

    async def _verify(self, verifier: Verifier, user: str, password: str) -> bool:
        if self._asking >= MAX_ASKING:
            raise CannotVerify
        self._asking += 1
        try:
            async with self._turn:
                return await verifier.verify(user, password)
        finally:
            self._asking -= 1

    def log_out(self, session_id: str) -> bool:
        """End a session; whether there was one."""
        return self._logins.end(session_id)

    def _role_of(self, user: str) -> Role:
        return "operator" if user in self._lists.api.operators else "viewer"

    # ---- Does his own page ask? -----------------------------------------------------------------------------------

    def csrf_token(self, identity: Identity | None) -> str:
        """What a page must send with every action. Known to who can read GET /api/v1/session: pages of this server."""
        if identity is None:
            who = "stranger"
        elif identity.session_id is not None:
            who = f"session:{identity.session_id}"
        else:
            who = f"user:{identity.user}"
        return hmac.digest(self._csrf_key, who.encode(errors="surrogateescape"), "sha256").hex()

    def is_csrf_token(self, identity: Identity | None, given: str | None) -> bool:
        """Whether it is his; in constant time."""
        right = self.csrf_token(identity).encode()
        return hmac.compare_digest(right, (given or "").encode(errors="surrogateescape"))


def _nobody(_user: str) -> None:
    """The mark of a user where there are none."""


def _read(api: Api, open_verifier: OpenVerifier | None) -> Lists:
    """Blocks. Raises ConfigError with what is wrong in both files."""
    verifier, tokens = None, Tokens()
    problems: list[FileProblem] = []
    try:
        if api.password_file is not None and open_verifier is not None:
            verifier = open_verifier(api.password_file)
    except ConfigError as error:
        problems += error.problems
    try:
        if api.token_file is not None:
            tokens = read_tokens(api.token_file)
    except ConfigError as error:
        if not problems:
            raise
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Lists(api=api, verifier=verifier, tokens=tokens)
