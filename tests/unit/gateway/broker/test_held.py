"""What subscriptions make of the messages that they match."""

from __future__ import annotations

import pytest

from gateway.broker.held import Held, shared_target_of, target_of
from gateway.mqtt.packets import Subscription


def holding(qos: int = 0, identifier: int | None = None, **options: bool) -> Held:
    subscription = Subscription(topic_filter="a/#", qos=qos, **options)  # type: ignore[arg-type]
    return Held(subscription=subscription, identifier=identifier)


def test_a_subscription_alone_makes_one_target_and_keeps_it() -> None:
    held = holding(1, 7)
    target = target_of([held])
    assert (target.qos, target.identifiers, target.group) == (1, (7,), None)
    assert target_of([held]) is target


@pytest.mark.parametrize(("first", "second", "highest"), [(0, 2, 2), (1, 0, 1), (2, 2, 2)])
def test_several_make_one_target_with_the_highest_qos_and_all_identifiers(
    first: int, second: int, highest: int
) -> None:
    target = target_of([holding(first, 5), holding(second, 9, retain_as_published=True)])
    assert target.qos == highest
    assert target.identifiers == (5, 9)
    assert target.retain_as_published


def test_what_one_makes_alone_is_not_changed_by_others_beside_it() -> None:
    held = holding(1)
    target = target_of([held])
    assert target_of([held, holding(2)]).qos == 2
    assert target_of([held]) is target


def test_ones_own_messages_come_by_the_subscriptions_without_no_local_alone() -> None:
    """[MQTT-3.8.3-3]"""
    target = target_of([holding(2, 5, no_local=True), holding(1, 9)])
    assert target.own is not None
    assert (target.own.qos, target.own.identifiers) == (1, (9,))
    assert target_of([holding(2, no_local=True)]).own is None


def test_a_member_of_a_shared_subscription_gets_its_own_messages_too() -> None:
    target = shared_target_of(holding(1))
    assert target.group == "a/#"
    assert target.own is not None
    assert target.own.qos == 1
