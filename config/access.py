"""The `access` section: who may come in at a listener, and what he may do then."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class Anonymous(enum.Enum):
    """Who may come without proving who he is."""

    LOCAL = "local"
    """Where the access has no way to prove it, clients of this machine: listeners on loopback and Unix sockets."""
    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """The `jwt` section: tokens as passwords (RFC 7519). Off while `key_file` is None."""

    key_file: Path | None = None
    """A secret for HS256, or a public key (PEM) for RS256 and ES256."""
    algorithm: str = "RS256"
    username_claim: str = "sub"
    audience: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAuthentication:
    """The `http` section: a service that is asked (POST, JSON). Off while `url` is None."""

    url: str | None = None
    timeout_s: float = 5.0
    cache_s: float = 60.0


class Effect(enum.Enum):
    """What a rule says."""

    ALLOW = "allow"
    DENY = "deny"


class Action(enum.Enum):
    """What a rule speaks of; `read` is the delivery of a message to its subscriber."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of authorisation. `users` and `clients` are patterns with `*` and `?`; in `topics`, `%u` and `%c` stand
    for the user name and the client id. A rule that denies wins over those that allow."""

    name: str = "rule"
    effect: Effect = Effect.ALLOW
    users: tuple[str, ...] = ("*",)
    clients: tuple[str, ...] = ("*",)
    actions: tuple[Action, ...] = (Action.PUBLISH, Action.SUBSCRIBE, Action.READ)
    topics: tuple[str, ...] = ("#",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Rules of entry, for the listeners that name them: who may come in, and what he may do then.

    The ways to prove who one is are tried in this order: certificate, password file, token, HTTP service. Without
    `acl_file` and `rules` everything is allowed; with one of them, nothing that they don't allow. Rules of which there
    are none allow nothing: only who never wrote the word has none.
    """

    name: str = "default"
    anonymous: Anonymous = Anonymous.LOCAL
    password_file: Path | None = None
    jwt: Jwt = Jwt()
    http: HttpAuthentication = HttpAuthentication()
    client_id_is_username: bool = False
    """A client is refused whose client id is not its user name."""
    acl_file: Path | None = None
    """In Mosquitto's syntax."""
    rules: tuple[Rule, ...] | None = None

    @property
    def has_authentication(self) -> bool:
        """Whether there is a way to prove who one is, besides certificates."""
        return self.password_file is not None or self.jwt.key_file is not None or self.http.url is not None

    @property
    def has_authorization(self) -> bool:
        """Whether anything is denied."""
        return self.acl_file is not None or self.rules is not None
