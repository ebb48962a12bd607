"""What the settings and files of one access come to: who is known, how tokens are checked, what the rules are.

Made as a whole or not at all: with one file broken, everything that was in force before stays in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.errors import ConfigError, Problem
from config.settings import Access, Anonymous
from gateway.access.errors import AccessError
from gateway.access.password_file import Users, read_users
from gateway.access.ports import UNLIMITED, Rights, Rules

if TYPE_CHECKING:
    from gateway.access.jwt_tokens import Tokens

ReadRules = Callable[[Access], Rules]
"""Reads the rules and the ACL file of an access, in a thread when reloading. Raises ConfigError, or AccessError."""


class NoRules:
    """Everything is allowed."""

    uses_username = False
    uses_client_id = False

    def rights(self, *, client_id: str, username: str | None) -> Rights:  # noqa: ARG002 - whoever it is
        return UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """One reading; a new one takes its place as a whole. `users` and `tokens` are None where that way is off."""

    settings: Access
    users: Users | None
    tokens: Tokens | None
    rules: Rules

    @property
    def lets_anonymous_in(self) -> bool:
        """Whether there is a place for clients that don't say who they are, at least for those of this machine."""
        return self.settings.anonymous is Anonymous.ALLOW or self.lets_local_in

    @property
    def lets_local_in(self) -> bool:
        """Whether clients of this machine need not say who they are."""
        return self.settings.anonymous is Anonymous.LOCAL and not self.settings.has_authentication


def read_ways(settings: Access, *, read_rules: ReadRules, seed: bytes) -> Ways:
    """Read all files. `seed`: 64 random bytes, always the same. Raises AccessError with the problems of all of them."""
    problems: list[Problem] = []
    users: Users | None = None
    tokens: Tokens | None = None
    rules: Rules = NoRules()
    if settings.password_file is not None:
        try:
            users = read_users(settings.password_file, seed=seed)
        except ConfigError as error:
            problems += error.problems
    if settings.jwt.key_file is not None:
        from gateway.access.jwt_tokens import Tokens

        try:
            tokens = Tokens.open(settings.jwt)
        except ConfigError as error:
            problems += error.problems
    if settings.has_authorization:
        try:
            rules = read_rules(settings)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise AccessError(problems)
    return Ways(settings=settings, users=users, tokens=tokens, rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who is to prove himself anew after the files were read again."""

    gone: frozenset[str] = frozenset()
    """Users of the password file whose line is another one now, or gone."""
    is_in_doubt: bool = False
    """A token's key or the service is another one: any name may be that of a token which proves nothing any more, also
    one that is in the password file."""
    anonymous: bool = True
    """Whether those without a name may stay."""
    removed: frozenset[str] = frozenset()
    """Those of `gone` who have no line any more."""

    def still_knows(self, username: str | None) -> bool:
        """Whether a client that came in under this name before may stay."""
        if username is None:
            return self.anonymous
        return username not in self.gone and not self.is_in_doubt

    def has_removed(self, username: str | None) -> bool:
        """Whether nobody can come back under this name."""
        return not self.anonymous if username is None else username in self.removed


def change(before: Ways, after: Ways) -> Change:
    """What is different. Nobody knows by which way a client came: one in doubt has to come back and prove itself."""
    old = before.users.hashes if before.users is not None else {}
    new = after.users.hashes if after.users is not None else {}
    old_http, new_http = before.settings.http.url, after.settings.http.url
    has_same_tokens = before.tokens is None or (after.tokens is not None and after.tokens.accepts_same(before.tokens))
    return Change(
        gone=frozenset(name for name, hashed in old.items() if new.get(name) != hashed),
        is_in_doubt=not (has_same_tokens and old_http in {None, new_http}),
        anonymous=after.lets_anonymous_in,
        removed=frozenset(old.keys() - new.keys()),
    )
