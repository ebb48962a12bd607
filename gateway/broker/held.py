"""A subscription that a session holds, and what it makes of the messages that it matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.mqtt.packets import Subscription


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """How one session gets a topic's messages, once, whatever its number of matching filters [MQTT-3.3.4-2].

    `qos` is the highest of the matching subscriptions; `identifiers` are those of all of them [MQTT-3.3.4-3].
    `own` is the target that holds for messages the session's own client published, which subscriptions with No Local
    do not get [MQTT-3.8.3-3]: None, when all of them have it.
    """

    qos: int
    retain_as_published: bool
    identifiers: tuple[int, ...]
    own: Target | None
    group: str | None = None
    """The shared subscription that makes it, by its whole filter."""


@dataclass(slots=True, kw_only=True, eq=False)
class Held:
    """A subscription that a session holds, with the identifier that the SUBSCRIBE gave it; never changed."""

    subscription: Subscription
    identifier: int | None = None
    target: Target | None = field(default=None, init=False, repr=False)
    """What it makes where no other filter of the session matches; `target_of` keeps it here."""


def target_of(held: Sequence[Held]) -> Target:
    """What all these of one session make; that of one alone is made once: the session may have ten thousand beside it,
    and one of them comes or goes."""
    if len(held) == 1 and held[0].target is not None:
        return held[0].target
    others = [item for item in held if not item.subscription.no_local]
    target = _merged(held, _merged(others, None) if others else None)
    if len(held) == 1:
        held[0].target = target
    return target


def shared_target_of(held: Held) -> Target:
    """What a member of a shared subscription gets; the publisher itself may be it (§3.8.3.1)."""
    target = replace(_merged([held], None), group=held.subscription.topic_filter)
    return replace(target, own=target)


def _merged(held: Sequence[Held], own: Target | None) -> Target:
    return Target(
        qos=max(item.subscription.qos for item in held),
        retain_as_published=any(item.subscription.retain_as_published for item in held),
        identifiers=tuple(item.identifier for item in held if item.identifier is not None),
        own=own,
    )
