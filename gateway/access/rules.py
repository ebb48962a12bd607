"""The rules of an `access`, made ready to be asked; pure.

Which rules are about a client depends on its names, and is the same for many: they share one `Layer`, in which `%c` and
`%u` are filled in when it is asked. Sets of rules are numbers with one bit a rule, so that a client that connects costs
no more than the different patterns with a `*` or `?` in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from config.settings import Effect, Rule
from gateway.access.filters import CLIENT_ID, USERNAME, Names, is_unsafe
from gateway.access.layer import Layer
from gateway.access.pattern import Pattern

MAX_LAYERS: Final = 256
"""So many different sets of rules are kept ready; those of clients that are connected live on by themselves."""


class _About:
    """Which rules are about a name: each rule has some patterns, and one of them has to fit."""

    def __init__(self, patterns: Sequence[tuple[str, ...]]) -> None:
        self._all = 0
        self._plain: dict[str, int] = {}
        wild: dict[str, int] = {}
        for number, texts in enumerate(patterns):
            for text in texts:
                if text and not text.strip("*"):
                    self._all |= 1 << number
                else:
                    found = wild if "*" in text or "?" in text else self._plain
                    found[text] = found.get(text, 0) | 1 << number
        self._wild = [(Pattern(text), rules) for text, rules in wild.items()]

    def rules(self, name: str | None) -> int:
        """Those; who has no name is only one of all (`*`)."""
        rules = self._all
        if name is None:
            return rules
        rules |= self._plain.get(name, 0)
        for pattern, more in self._wild:
            if rules | more != rules and pattern.matches(name):
                rules |= more
        return rules


class RuleBook:
    """The rules, in any order: one that denies wins over those that allow."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._users = _About([rule.users for rule in self._rules])
        self._clients = _About([rule.clients for rule in self._rules])
        self._with_username = self._with(USERNAME)
        self._with_client_id = self._with(CLIENT_ID)
        self._layer = lru_cache(MAX_LAYERS)(self._make)
        self._closed_layer = lru_cache(MAX_LAYERS)(self._make_closed)

    def _with(self, place: str) -> int:
        return sum(1 << number for number, rule in enumerate(self._rules) if any(place in text for text in rule.topics))

    @property
    def uses_username(self) -> bool:
        """Whether a rule puts the user name into a filter."""
        return self._with_username != 0

    @property
    def uses_client_id(self) -> bool:
        """Whether a rule puts the client id into a filter."""
        return self._with_client_id != 0

    def layer_for(self, names: Names) -> Layer:
        """What the rules that are about this client say; where its names are no good for one of them, only what they
        deny, and that as if any name stood there."""
        rules = self._users.rules(names.username) & self._clients.rules(names.client_id)
        if (rules & self._with_client_id and is_unsafe(names.client_id)) or (
            rules & self._with_username and is_unsafe(names.username)
        ):
            return self._closed_layer(rules)
        return self._layer(rules)

    def _make(self, rules: int) -> Layer:
        layer = Layer(fills_in=True)
        for number, rule in enumerate(self._rules):
            if not rules >> number & 1:
                continue
            for topic_filter in rule.topics:
                if rule.effect is Effect.ALLOW:
                    layer.allow(topic_filter, rule.actions)
                else:
                    layer.deny(topic_filter, rule.actions)
        return layer

    def _make_closed(self, rules: int) -> Layer:
        layer = Layer(fills_in=False)
        for number, rule in enumerate(self._rules):
            if rules >> number & 1 and rule.effect is Effect.DENY:
                for topic_filter in rule.topics:
                    layer.deny(_widened(topic_filter), rule.actions)
        return layer


def _widened(topic_filter: str) -> str:
    """The filter without the names in it: all below the level that the first of them is in."""
    levels = topic_filter.split("/")
    for i, level in enumerate(levels):
        if USERNAME in level or CLIENT_ID in level:
            return "/".join([*levels[:i], "#"])
    return topic_filter
