"""`/api/v1/session`: who am I, log in, log out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.web.errors import Problem
from bridge.web.gate import MAX_PASSWORD_LENGTH, MAX_USER_LENGTH, Gate, Identity
from bridge.web.logins import LIFE_S
from bridge.web.operation import Operation
from bridge.web.routes import Answer, Call, Route

PATH: Final = "/api/v1/session"

_ANSWER: Final = {
    "type": "object",
    "required": ["user", "role", "is_login_needed", "csrf_token", "program", "name", "version"],
    "properties": {
        "user": {"type": ["string", "null"]},
        "role": {"type": ["string", "null"], "enum": ["viewer", "operator", None]},
        "is_login_needed": {"type": "boolean"},
        "csrf_token": {"type": ["string", "null"]},
        "program": {"type": "string", "enum": ["gateway", "receiver"]},
        "name": {"type": ["string", "null"]},
        "version": {"type": ["string", "null"]},
    },
}
_LOGIN: Final = {
    "type": "object",
    "required": ["user", "password"],
    "additionalProperties": False,
    "properties": {
        "user": {"type": "string", "minLength": 1, "maxLength": MAX_USER_LENGTH},
        "password": {"type": "string", "minLength": 1, "maxLength": MAX_PASSWORD_LENGTH},
    },
}


class SessionRoutes:
    """The three routes. `cookie`: the cookie's name; `now_s`: a monotonic clock."""

    def __init__(
        self,
        gate: Gate,
        *,
        program: str,
        name: str,
        version: str,
        cookie: str,
        now_s: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._program = program
        self._name = name
        self._version = version
        self._cookie = cookie
        self._now_s = now_s

    def routes(self) -> tuple[Route, ...]:
        """GET, POST and DELETE."""
        return (
            Route(
                method="GET",
                path=PATH,
                handler=self._show,
                role="open",
                operation=Operation(
                    summary="Who is logged in, and what an action needs",
                    description="Everybody may ask. `csrf_token` goes back as `X-CSRF-Token` with every action.",
                    tag="session",
                    answer=_ANSWER,
                ),
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._log_in,
                role="open",
                audit="log in",
                operation=Operation(
                    summary="Log in",
                    description=f"Sets the cookie `{self._cookie}`.",
                    tag="session",
                    body=_LOGIN,
                    answer=_ANSWER,
                    statuses={
                        401: "The user name or the password is wrong.",
                        409: "Nobody has to log in, or nobody can with a password.",
                        429: "Too many wrong passwords; `Retry-After` says when to try again.",
                        503: "Too many passwords are being checked.",
                    },
                ),
            ),
            Route(
                method="DELETE",
                path=PATH,
                handler=self._log_out,
                role="open",
                audit="log out",
                operation=Operation(summary="Log out", tag="session", status=204),
            ),
        )

    async def _show(self, call: Call) -> Any:
        return self._body(_identity(call))

    async def _log_in(self, call: Call) -> Any:
        user, password = call.body["user"], call.body["password"]
        call.target = user
        identity = await self._gate.log_in(user, password, address=call.address, now_s=self._now_s)
        if identity.session_id is None:
            raise Problem(500, "The session has no id.")
        if call.session_id is not None:
            self._gate.log_out(call.session_id)  # what was known before the login must not be good for more after it
        call.user, call.role = identity.user, identity.role
        cookie = f"{self._cookie}={identity.session_id}{_attributes(call)}; Max-Age={LIFE_S:.0f}"
        return Answer(body=self._body(identity), headers={"Set-Cookie": cookie})

    async def _log_out(self, call: Call) -> Any:
        if call.session_id is not None:
            self._gate.log_out(call.session_id)
        return Answer(status=204, headers={"Set-Cookie": f"{self._cookie}={_attributes(call)}; Max-Age=0"})

    def _body(self, identity: Identity | None) -> dict[str, Any]:
        """A stranger is told what the page needs to ask who he is, and nothing about this machine."""
        return {
            "user": identity.user if identity is not None else None,
            "role": identity.role if identity is not None else None,
            "is_login_needed": identity is None,
            "csrf_token": self._gate.csrf_token(identity),
            "program": self._program,
            "name": self._name,
            "version": self._version if identity is not None else None,
        }


def _attributes(call: Call) -> str:
    return "; HttpOnly; SameSite=Strict; Path=/" + ("; Secure" if call.is_https else "")


def _identity(call: Call) -> Identity | None:
    if call.user is None or call.role is None:
        return None
    return Identity(user=call.user, role=call.role, session_id=call.session_id)
