"""What the listeners and the broker see of authentication and authorisation.

The way of a CONNECT: the connection makes `Credentials` and asks `Entry.decide_now`; where that needs time (hashing, an
HTTP service), it reads nothing more and awaits `Entry.decide`. What was `Granted` goes with the CONNECT to the broker,
which asks `Entry.rights` once a client and keeps the answer until the rules change.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a client shows of itself."""

    client_id: str
    """Empty where the server is to assign one."""
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    certificate_username: str | None = None
    """The user name in its verified certificate, where the listener takes it from there."""
    address: str = ""
    """The host it comes from; the one behind the load balancer; empty for a Unix socket."""
    is_local: bool = False
    """Whether the listener can only be reached from this machine: loopback or a Unix socket."""


class Refusal(enum.Enum):
    """Why a client does not come in; the broker turns it into a reason code."""

    BAD_USERNAME_OR_PASSWORD = "bad_username_or_password"  # noqa: S105 - a word for counters
    NOT_AUTHORIZED = "not_authorized"
    CLIENT_ID_NOT_VALID = "client_id_not_valid"
    SERVER_BUSY = "server_busy"
    """Too many wait to be checked."""
    SERVER_UNAVAILABLE = "server_unavailable"
    """The service that knows did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A client that may come in. `username` is None for an anonymous one."""

    access: str = "default"
    """The name of the `Entry` that let it in."""
    username: str | None = None
    valid_for_s: float | None = None
    """How long; None: as long as it stays (a token ends with its `exp`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A client that may not come in. `detail` is a sentence for the log; never a secret."""

    reason: Refusal
    detail: str = ""


Verdict = Granted | Refused


class Rights(Protocol):
    """What one client may do; cheap to ask, and never changed: new rules make new rights."""

    def may_publish(self, topic: str) -> bool:
        """Whether it may publish to the topic."""

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether it may subscribe to the filter (of a shared subscription: the part behind the share name)."""

    def may_read(self, topic: str) -> bool:
        """Whether a message on the topic may be delivered to it."""

    @property
    def is_unlimited(self) -> bool:
        """Whether every answer is yes, so that nobody need ask."""


class Rules(Protocol):
    """All rules of authorisation of one `access`; never changed: files that were read again make new ones."""

    @property
    def uses_username(self) -> bool:
        """Whether the user name is put into a pattern, so that a name with `+`, `#` or `/` must not come in."""

    @property
    def uses_client_id(self) -> bool:
        """Likewise for the client id."""

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        """What a client may do."""


class Entry(Protocol):
    """One `access` of the settings, at work. Every method runs on the event loop, and none blocks."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        """The verdict, where it costs nothing to find; None where `decide` has to be awaited."""

    async def decide(self, credentials: Credentials) -> Verdict:
        """The verdict. Never raises but CancelledError."""

    def still_knows(self, username: str | None) -> bool:
        """Whether a user that was let in would still be known now; asked after the rules were read again."""

    def has_removed(self, username: str | None) -> bool:
        """Of one that is not known: whether he was taken out, and need not only prove himself anew."""

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        """What a client may do, by the rules of now."""


class Unlimited:
    """Everything is allowed."""

    is_unlimited = True

    def may_publish(self, topic: str) -> bool:  # noqa: ARG002 - whatever it is
        return True

    def may_subscribe(self, topic_filter: str) -> bool:  # noqa: ARG002 - whatever it is
        return True

    def may_read(self, topic: str) -> bool:  # noqa: ARG002 - whatever it is
        return True


UNLIMITED = Unlimited()


class NoRights:
    """Nothing is allowed."""

    is_unlimited = False

    def may_publish(self, topic: str) -> bool:  # noqa: ARG002 - whatever it is
        return False

    def may_subscribe(self, topic_filter: str) -> bool:  # noqa: ARG002 - whatever it is
        return False

    def may_read(self, topic: str) -> bool:  # noqa: ARG002 - whatever it is
        return False


NO_RIGHTS = NoRights()
