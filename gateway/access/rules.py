"""The rules of an `access`, made ready to be asked; pure.

Which rules are about a client depends on its names, and is the same for many: they share one `Layer`, in which `%c` and
`%u` are filled in when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from config.settings import Effect, Rule
from gateway.access.filters import CLIENT_ID, USERNAME, Names, is_unsafe
from gateway.access.layer import Layer
from gateway.access.pattern import Pattern

MAX_LAYERS = 256
"""So many different sets of rules are kept ready; those of clients that are connected live on by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    rule: Rule
    users: tuple[Pattern, ...]
    clients: tuple[Pattern, ...]
    uses_username: bool
    uses_client_id: bool

    @classmethod
    def of(cls, rule: Rule) -> _Ready:
        return cls(
            rule=rule,
            users=tuple(map(Pattern, rule.users)),
            clients=tuple(map(Pattern, rule.clients)),
            uses_username=any(USERNAME in topic for topic in rule.topics),
            uses_client_id=any(CLIENT_ID in topic for topic in rule.topics),
        )

    def is_about(self, names: Names) -> bool:
        """Anonymous clients have no user name: only a rule for all users (`*`) is about them."""
        if names.username is None:
            is_user = any(pattern.is_any for pattern in self.users)
        else:
            is_user = any(pattern.matches(names.username) for pattern in self.users)
        return is_user and any(pattern.matches(names.client_id) for pattern in self.clients)


class RuleBook:
    """The rules, in any order: one that denies wins over those that allow."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(map(_Ready.of, rules))
        self.uses_username = any(ready.uses_username for ready in self._rules)
        self.uses_client_id = any(ready.uses_client_id for ready in self._rules)
        self._layer = lru_cache(MAX_LAYERS)(self._make)

    def layer_for(self, names: Names) -> Layer | None:
        """What the rules that are about this client say; None where its names are no good for one of them."""
        numbers = tuple(number for number, ready in enumerate(self._rules) if ready.is_about(names))
        for ready in map(self._rules.__getitem__, numbers):
            if (ready.uses_client_id and is_unsafe(names.client_id)) or (
                ready.uses_username and is_unsafe(names.username)
            ):
                return None
        return self._layer(numbers)

    def _make(self, numbers: tuple[int, ...]) -> Layer:
        layer = Layer(fills_in=True)
        for rule in (self._rules[number].rule for number in numbers):
            for topic_filter in rule.topics:
                if rule.effect is Effect.ALLOW:
                    layer.allow(topic_filter, rule.actions)
                else:
                    layer.deny(topic_filter, rule.actions)
        return layer
