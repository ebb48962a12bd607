"""What a part of the program gives to the HTTP house: its routes, and what their handlers see and return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bridge.web.errors import Problem
from bridge.web.operation import Operation

__all__ = ["Answer", "Call", "EventStream", "Handler", "Problem", "Role", "Route", "is_enough"]

Role = Literal["open", "viewer", "operator"]
"""`open`: everybody, strangers too."""

_RANKS: Final[dict[str, int]] = {"open": 0, "viewer": 1, "operator": 2}
_METHODS: Final = ("GET", "POST", "PUT", "DELETE")


def is_enough(role: Role | None, needed: Role) -> bool:
    """Whether a caller of this role may do what needs that one; None: a stranger."""
    return _RANKS[role or "open"] >= _RANKS[needed]


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as a handler sees it.

    `path` and `query` are decoded; the query is read by the route's parameters (numbers are numbers, defaults are
    filled in, lists are lists). `body` is the JSON object of a POST, checked against the route's schema. Of a live
    route `user` and `role` are None in a stream: one body serves all who look, so it must not depend on them.
    """

    method: str
    url_path: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    role: Role | None = None
    session_id: str | None = None
    """That of the caller's cookie; for the session's own routes."""
    address: str = ""
    is_https: bool = False
    """Whether it came encrypted, up to here or up to a trusted proxy."""
    target: str | None = None
    """What an action is about, for the audit log; a handler may set it. By default the parameters of the path."""

    @property
    def is_known(self) -> bool:
        """Whether the caller is somebody: strangers get no details."""
        return self.role is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that is more than a JSON body with status 200.

    `body`: something JSON-able, bytes or text as they are, chunks of bytes that are sent as they come, or None.
    `content_type` is for all but JSON.
    """

    body: Any = None
    status: int = 200
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """An answer of server-sent events that is one caller's own: (event, JSON-able) as they come, until it is closed."""

    events: AsyncIterator[tuple[str, Any]]


Handler = Callable[[Call], Awaitable[Any]]
"""Returns a JSON-able body, an `Answer` or an `EventStream`; raises `Problem`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and a path of the interface.

    `path` may hold `{name}`: one segment, percent-decoded, so it may hold `/`. `is_live`: a GET whose body can be
    followed. `audit`: what an action does ("pause the uplink"); every call of it, done or refused, is in the audit log.
    """

    method: str
    path: str
    handler: Handler
    role: Role = "viewer"
    is_live: bool = False
    audit: str | None = None
    operation: Operation | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ValueError(f"A route's method is one of {', '.join(_METHODS)}, not {self.method!r}.")
        if not self.path.startswith("/"):
            raise ValueError(f"A route's path begins with /: {self.path!r} does not.")
        if self.is_live and self.method != "GET":
            raise ValueError(f"Only what is read with GET can be live: {self.method} {self.path} is not.")
        if self.method == "GET" and (self.audit is not None or self.role == "operator"):
            raise ValueError(f"GET changes nothing, so it needs no operator and no audit: {self.path}.")
        if self.method != "GET" and self.role == "operator" and self.audit is None:
            raise ValueError(f"Every operator's action is in the audit log: say what {self.method} {self.path} does.")
