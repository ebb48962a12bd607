"""What an operator is shown of the clients."""

from __future__ import annotations

import pytest

from gateway.access.ports import Granted, Refusal, Refused
from gateway.broker.activity import MAX_CLIENT_ID_CHARS, MAX_REMEMBERED, Activities, Activity
from gateway.broker.connack import Terms
from gateway.broker.devices import MARK_EVERY_S, Device, Order, Presence
from gateway.broker.refused_connects import MAX_REFUSED, RefusedConnects
from gateway.broker.routes import MAX_CACHED_TOPIC_BYTES
from gateway.mqtt.packets import Connect, Disconnect, Version, Will
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome
from tests.support.broker import FakeChannel, House, run, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}


def one(house: House, client_id: str = "device") -> Device:
    found = house.broker.devices.one(client_id)
    assert found is not None
    return found.device


def names(house: House, **wishes: object) -> list[str]:
    return [each.client for each in house.broker.devices.page(**wishes).devices]  # type: ignore[arg-type]


def test_a_device_says_where_it_is_and_what_it_published() -> None:
    house = House()
    client, _ = house.connect(
        version=Version.V5, terms=Terms(listener="plant"), keep_alive_s=30, granted=Granted(username="ann")
    )
    since_us = house.clock.now_us()
    house.pass_time(5)
    client.handle(run(1, "a", "b"))
    house.store.commit()
    device = one(house)
    assert (device.is_connected, device.since_us, device.address) == (True, since_us, "192.0.2.1:5000")
    assert (device.listener, device.protocol, device.username, device.keep_alive_s) == ("plant", "5", "ann", 30)
    assert (device.published, device.published_bytes, device.last_topic) == (2, 40, "b")
    assert device.last_published_at_us == house.clock.now_us()
    assert not device.is_durable
    assert device.refused == 0


def test_what_a_subscriber_gets_waits_for_and_holds_is_told() -> None:
    house = House()
    reader, channel = house.connect("reader", **DURABLE_5, receive_maximum=1)
    reader.handle(subscribe("a/#", qos=1))
    reader.handle(subscribe("$share/group/b/+", qos=2))
    house.store.commit()
    channel.take()
    device, _ = house.connect()
    device.handle(run(1, "a/1", "a/2", "a/3"))
    house.store.commit()
    found = house.broker.devices.one("reader")
    assert found is not None
    assert (found.device.delivered, found.device.in_flight, found.device.queued) == (1, 1, 2)
    assert found.device.queued_bytes > 0
    assert (found.device.subscriptions, found.device.is_durable, found.session_expiry_s) == (2, True, 100)
    assert [(each.filter, each.qos, each.shared) for each in found.subscriptions] == [
        ("b/+", 2, "group"),
        ("a/#", 1, None),
    ]


def test_a_will_is_told() -> None:
    house = House()
    house.connect(will=Will(topic="gone", payload=b"x", qos=2, retain=False))
    found = house.broker.devices.one("device")
    assert found is not None
    assert (found.will_topic, found.will_qos) == ("gone", 2)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publishes_that_were_not_taken_are_counted_by_reason_for_their_device(qos: int) -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(qos, "a", "a"))
    house.store.commit(Outcome.FULL)
    client.handle(run(qos, "a", "$SYS/x", first_id=7))
    house.store.commit()
    found = house.broker.devices.one("device")
    assert found is not None
    assert found.refusals == {"full": 2, "not_authorized": 1}
    assert (found.device.refused, found.device.published) == (3, 4)


@pytest.mark.parametrize("more", [{}, {"clean_start": False}])
def test_counts_of_a_device_survive_its_reconnects(more: dict[str, bool]) -> None:
    house = House()
    for _ in range(3):
        client, _ = house.connect(**more)
        client.handle(run(0, "a"))
        house.store.commit()
        client.handle(Disconnect(reason_code=0))
        house.store.commit()
    house.connect(**more)
    assert one(house).published == 3


def test_a_device_without_a_session_is_not_there() -> None:
    house = House()
    client, _ = house.connect()
    client.lost()
    assert house.broker.devices.one("device") is None
    assert names(house, state=Presence.ALL) == []


def test_of_clients_without_a_session_no_more_is_remembered_than_has_room() -> None:
    activities = Activities()
    for number in range(MAX_REMEMBERED + 1):
        activity = Activity()
        activity.published = 7
        activities.keep(str(number), activity)
    assert activities.take("0").published == 0
    assert activities.take("1").published == 7
    assert activities.take("1").published == 0
    long = "x" * (MAX_CLIENT_ID_CHARS + 1)
    activities.keep(long, activity)
    assert activities.take(long) is not activity


def test_of_a_very_long_last_topic_the_beginning_is_kept() -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(0, "ö" * 1000))
    topic = one(house).last_topic
    assert topic is not None
    assert topic == "ö" * (MAX_CACHED_TOPIC_BYTES // 2)


def test_a_rate_is_over_the_last_seconds() -> None:
    house = House()
    client, _ = house.connect()

    def publish(seconds: int, per_s: int) -> None:
        for _ in range(seconds):
            if per_s:
                client.handle(run(0, *["a"] * per_s))
                house.store.commit()
            house.pass_time(1)
            if house.clock.s % MARK_EVERY_S == 0:
                house.broker.devices.mark(house.clock.s)

    publish(2, 4)
    assert one(house).per_s == pytest.approx(4)
    publish(18, 4)
    assert one(house).per_s == pytest.approx(4)
    publish(20, 0)
    assert one(house).per_s == 0.0


def test_the_page_is_searched_sorted_and_cut() -> None:
    house = House()
    for number, name in enumerate(["b", "a", "Cam"]):
        client, _ = house.connect(name, granted=Granted(username=f"user{number}"))
        client.handle(run(0, *["t"] * number or ["t"]))
        house.store.commit()
        house.pass_time(1)
    durable, _ = house.connect("away", **DURABLE_5)
    durable.lost()
    assert names(house) == ["Cam", "a", "b"]
    assert names(house, state=Presence.ABSENT) == ["away"]
    assert names(house, state=Presence.ALL, sort=Order.SINCE, is_descending=True) == ["Cam", "a", "b", "away"]
    assert names(house, sort=Order.PUBLISHED, is_descending=True, limit=1) == ["Cam"]
    assert names(house, limit=1, offset=1) == ["a"]
    assert names(house, search="CAM") == ["Cam"]
    assert names(house, search="USER1") == ["a"]
    assert len(names(house, search="192.0.2.1")) == 3
    page = house.broker.devices.page(search="a", state=Presence.ALL, limit=1)
    assert (page.total, page.connected, page.absent) == (3, 3, 1)
    assert [each.client for each in house.broker.devices.list()] == ["Cam", "a", "away", "b"]


# ---- those who were turned away -----------------------------------------------------------------------------------


def test_refused_connects_are_named_with_their_reason_and_equal_ones_are_one() -> None:
    house = House()
    for _ in range(3):
        house.pass_time(1)
        packet = Connect(version=Version.V5, client_id="thief", clean_start=True, keep_alive_s=0, username="ann")
        refused = Refused(reason=Refusal.BAD_USERNAME_OR_PASSWORD, detail="The password is wrong.")
        house.broker.refuse(FakeChannel(), packet, Terms(), refused)
    (found,) = house.broker.devices.refused
    assert (found.client, found.username, found.count) == ("thief", "ann", 3)
    assert (found.reason, found.detail) == ("bad_user_name_or_password", "The password is wrong.")
    assert found.at_us == house.clock.now_us()
    assert house.broker.counters.refused_connects.total() == 3


def test_a_session_that_the_disk_did_not_take_is_a_refused_connect() -> None:
    house = House()
    house.knock(**DURABLE_5)
    house.store.commit(Outcome.FULL)
    assert [(each.client, each.reason) for each in house.broker.devices.refused] == [("device", "quota_exceeded")]


def test_the_newest_are_remembered_and_what_strangers_say_is_cut() -> None:
    refused = RefusedConnects()
    for number in range(MAX_REFUSED + 5):
        refused.add(number, address=f"192.0.2.{number}:1", reason="x", client="y" * 70_000)
    refused.add(1000, address="192.0.2.6:77", reason="x", client="y" * 70_000)
    found = refused.newest_first()
    assert len(found) == MAX_REFUSED
    assert (found[0].address, found[0].count) == ("192.0.2.6:77", 2)
    assert found[1].address == f"192.0.2.{MAX_REFUSED + 4}:1"
    assert len(found[0].client) < 1000


# ---- an operator's disconnect -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [Version.V5, Version.V311])
def test_an_operator_disconnects_a_device_and_its_will_is_published(version: Version) -> None:
    house = House()
    _, channel = house.connect(version=version, will=Will(topic="gone", payload=b"x", qos=0, retain=False))
    assert house.broker.disconnect("device")
    assert channel.is_closed
    assert channel.take() == (b"\xe0\x01\x98" if version is Version.V5 else b"")
    house.store.commit()
    assert [each.topic for each in house.store.stored] == [b"gone"]
    assert house.broker.counters.disconnects == {ReasonCode.ADMINISTRATIVE_ACTION.name.lower(): 1}


def test_who_is_not_connected_cannot_be_disconnected() -> None:
    house = House()
    client, _ = house.connect("away", **DURABLE_5)
    client.lost()
    assert not house.broker.disconnect("away")
    assert not house.broker.disconnect("nobody")
