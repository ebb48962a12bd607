"""What some rules say of one action and one topic: yes, no, or nothing. Within a layer, what denies wins; pure."""

from __future__ import annotations

from collections.abc import Iterable

from config.settings import Action
from gateway.access.filters import FilterSet, Names


class Layer:
    """Topic filters that are allowed and denied, by action. Filled once, then shared by all whom it is about."""

    __slots__ = ("allowed", "denied")

    def __init__(self, *, fills_in: bool) -> None:
        self.allowed = {action: FilterSet(fills_in=fills_in) for action in Action}
        self.denied = {action: FilterSet(fills_in=fills_in) for action in Action}

    def allow(self, topic_filter: str, actions: Iterable[Action]) -> None:
        """Allow these actions on what the filter takes."""
        for action in actions:
            self.allowed[action].add(topic_filter)

    def deny(self, topic_filter: str, actions: Iterable[Action]) -> None:
        """Deny these actions on what the filter takes. What must not be subscribed to must not be read either: a wider
        filter would go around the rule."""
        actions = set(actions)
        if Action.SUBSCRIBE in actions:
            actions.add(Action.READ)
        for action in actions:
            self.denied[action].add(topic_filter)

    def decide(self, action: Action, topic: str, names: Names) -> bool | None:
        """Whether the action on the topic is allowed; None where the layer says nothing."""
        denied = self.denied[action]
        if denied and denied.covers(topic, names):
            return False
        return True if self.allowed[action].covers(topic, names) else None

    def decide_subscription(self, topic_filter: str, names: Names) -> bool | None:
        """By the filters for `subscribe`: allowed where one of them takes all that the filter takes.

        A filter wider than one that is denied is granted: delivery leaves out what is denied.
        """
        denied = self.denied[Action.SUBSCRIBE]
        if denied and denied.covers(topic_filter, names):
            return False
        return True if self.allowed[Action.SUBSCRIBE].covers(topic_filter, names) else None

    def decide_delivery(self, topic_filter: str, names: Names) -> bool | None:
        """By the filters for `read`: allowed where something that the filter takes might be delivered."""
        denied = self.denied[Action.READ]
        if denied and denied.covers(topic_filter, names):
            return False
        return True if self.allowed[Action.READ].overlaps(topic_filter, names) else None
