"""QoS 2 ids whose PUBREL does not come, and PUBRELs that a failing disk does not take."""

from __future__ import annotations

import pytest

from gateway.broker import unreleased
from gateway.broker.client import Client
from gateway.mqtt.errors import LimitExceeded
from gateway.mqtt.packets import PubRel
from gateway.spool.ports import Outcome
from tests.support.broker import House, pid, pubcomps, pubrecs, run


def publish_until_refused(client: Client) -> None:
    for start in range(1, 60_000, 100):
        client.handle(run(2, *["a"] * 100, first_id=start))


def test_sessions_that_release_nothing_share_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreleased, "MAX_IDS", 30_000)
    house = House()
    pending = []
    for number in range(20):
        client, channel = house.connect(f"device{number}", clean_start=False)
        with pytest.raises(LimitExceeded):
            publish_until_refused(client)
        house.store.commit()
        assert channel.take()
        pending.append(len(client.session.awaiting_release))
        client.lost()
        house.pass_time(2)
    assert pending[0] == 2000
    assert pending == sorted(pending, reverse=True)
    assert pending[-1] >= unreleased.FREE_IDS
    assert sum(pending) < 31_000


def test_a_client_that_comes_to_its_share_is_answered_what_it_sent_before_and_can_release_it() -> None:
    house = House()
    client, channel = house.connect(clean_start=False)
    client.handle(run(2, *["a"] * 5000))
    house.store.commit()
    assert channel.take() == pubrecs(*range(1, 5001))
    client.handle(PubRel(packet_ids=[pid(number) for number in range(1, 5001)]))
    house.store.commit()
    assert channel.take() == pubcomps(*range(1, 5001))


def test_pubrels_that_come_again_while_the_disk_fails_are_tried_again_as_one() -> None:
    house = House()
    client, channel = house.connect(clean_start=False)
    for _ in range(5):
        client.handle(PubRel(packet_ids=[pid(1), pid(2)]))
        house.store.commit(Outcome.FAILED)
    house.pass_time(2)
    (_, waiting), *others = house.store.open.waiters.values()
    assert (len(waiting), others) == (1, [])
    house.store.commit()
    assert channel.take() == pubcomps(1, 2)
