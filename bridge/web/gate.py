"""Who may come: users with a password, tokens, or, where neither is asked for, everybody as the local operator."""

from __future__ import annotations

from typing import Protocol

from config.settings import Api


class CannotVerify(Exception):
    """The password can't be checked now: too many wait. The caller may try again later."""


class Verifier(Protocol):
    """Checks passwords of the file `api.password_file`; injected, since the hashes are the gateway's matter."""

    async def verify(self, user: str, password: str) -> bool:
        """Whether it is the user's password; as slow for one who is not there. Raises CannotVerify."""

    def mark(self, user: str) -> str | None:
        """What changes with the user's password; None: there is no such user. Sessions end when it changes."""

    async def reload(self) -> list[str]:
        """Read the file again. Returns what is wrong with it, as sentences; then the old one stays in force."""


class Gate:
    """Made from the settings and their files."""

    def __init__(self, api: Api, *, verifier: Verifier | None = None) -> None:
        self._api = api
        self._verifier = verifier

    @classmethod
    def open(cls, api: Api, *, verifier: Verifier | None = None) -> Gate:
        """Read the token file. Raises TokenFileError (a ConfigError) with every line that is wrong."""
        return cls(api, verifier=verifier)

    async def reload(self, api: Api | None = None) -> list[str]:
        """Read the files again, with new `operators` and `hosts` where settings are given.

        Returns what is wrong, as sentences with file and line; then that file stays in force as it was.
        """
        self._api = api or self._api
        return [] if self._verifier is None else await self._verifier.reload()
