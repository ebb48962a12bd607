"""What can go wrong in the HTTP house.

Problem                   one request can't be answered as asked; becomes a JSON sentence with its status
CannotServe (BridgeError) the address can't be had
└── CannotUseCertificate  the files of `api.tls` can't be used; the message is a whole sentence
TokenFileError            (config.errors.ConfigError) the token file can't be used as it stands
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bridge.errors import BridgeError
from config.errors import ConfigError


class Problem(Exception):
    """A request that is answered with an error: `status`, a sentence, and where it helps a list of what is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        problems: Sequence[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        if not 400 <= status <= 599:
            raise ValueError(f"An error has a status from 400 to 599, not {status}.")
        self.status = status
        self.message = message
        self.problems = problems
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """As it is answered."""
        error: dict[str, Any] = {"status": self.status, "message": self.message}
        if self.problems is not None:
            error["problems"] = list(self.problems)
        return {"error": error}


class CannotServe(BridgeError):
    """The HTTP interface can't listen; the message is the half of a sentence that says why."""

    code: ClassVar[str] = "cannot_serve"

    def __init__(self, message: str, *, error: OSError | OverflowError | ValueError) -> None:
        super().__init__(message)
        self.error = error


class CannotUseCertificate(CannotServe):
    """Certificate or key of the HTTP interface can't be used; the message says which, why, and what is expected."""

    code: ClassVar[str] = "cannot_use_certificate"


class TokenFileError(ConfigError):
    """The token file can't be used. `problems` holds all mistakes, each with its place and what to do."""

    code: ClassVar[str] = "tokens"
