"""The promises about sessions: durable before they are announced, there after a crash, one connection each."""

from __future__ import annotations

import pytest

from config import settings
from gateway.broker.connack import Terms
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import Auth, Connect, Disconnect, PingReq, PubAck, Unsubscribe, Version, Will
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome, Table
from tests.support.broker import House, pid, pubacks, run, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
DURABLE_311 = {"clean_start": False}
ACCEPTED = b"\x20\x02\x00\x00"
ACCEPTED_PRESENT = b"\x20\x02\x01\x00"
WILL = Will(topic="gone", payload=b"x", qos=1, retain=False)


@pytest.mark.parametrize("more", [DURABLE_311, DURABLE_5])
def test_a_durable_session_is_on_disk_before_connack_says_so(more: dict[str, object]) -> None:
    house = House()
    _, channel = house.knock(**more)
    assert channel.writes == []
    house.store.commit()
    assert channel.take()[0] == 0x20
    assert "device" in house.store.disk


def test_a_session_that_ends_with_its_connection_needs_no_disk() -> None:
    house = House()
    _, channel = house.knock()
    assert channel.take() == ACCEPTED
    assert house.store.open.is_empty


def test_session_present_is_true_after_a_crash_only_for_what_was_on_disk() -> None:
    house = House()
    house.connect("kept", **DURABLE_311)
    house.knock("uncommitted", **DURABLE_311)
    house = house.restarted()
    _, channel = house.knock("kept", **DURABLE_311)
    assert channel.take() == ACCEPTED_PRESENT
    _, channel = house.knock("uncommitted", **DURABLE_311)
    house.store.commit()
    assert channel.take() == ACCEPTED


def test_coming_back_to_an_unchanged_session_writes_nothing() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_311)
    client.lost()
    _, channel = house.knock(**DURABLE_311)
    assert channel.take() == ACCEPTED_PRESENT
    assert house.store.open.is_empty


@pytest.mark.parametrize("version", [Version.V311, Version.V5])
def test_a_session_that_cannot_be_stored_is_refused_and_not_found_present_later(version: Version) -> None:
    house = House()
    more = {"clean_start": False, "session_expiry_interval_s": 100 if version is Version.V5 else None}
    _, channel = house.knock(version=version, **more)
    house.store.commit(Outcome.FULL)
    assert channel.take() == (b"\x20\x02\x00\x03" if version is Version.V311 else b"\x20\x03\x00\x97\x00")
    assert channel.is_closed
    _, channel = house.knock(version=version, **more)
    house.store.commit()
    assert channel.take()[2:4] == b"\0\0"


def test_a_clean_start_forgets_the_session_on_disk_before_connack() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_311)
    client.handle(subscribe("a"))
    client.handle(run(2, "x"))
    house.store.commit()
    client.lost()
    _, channel = house.knock()
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == ACCEPTED
    assert house.store.disk == {}


def test_a_subscription_of_a_durable_session_is_on_disk_before_suback_and_there_after_a_crash() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_311)
    client.handle(subscribe("a/+", qos=1))
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == b"\x90\x03\x00\x4d\x01"
    house = house.restarted()
    device, _ = house.connect("other")
    device.handle(run(1, "a/b"))
    house.store.commit()
    _, channel = house.knock(**DURABLE_311)
    assert channel.take() == ACCEPTED_PRESENT + b"\x32\x08\x00\x03a/b\x00\x010"


def test_a_subscription_that_the_disk_did_not_take_is_refused_and_the_one_before_it_stays() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_5)
    client.handle(subscribe("a", qos=0))
    house.store.commit()
    channel.take()
    client.handle(subscribe("a", "b", qos=2))
    house.store.commit(Outcome.FULL)
    assert channel.take() == b"\x90\x05\x00\x4d\x00\x97\x97"
    assert {each: held.subscription.qos for each, held in client.session.subscriptions.items()} == {"a": 0}
    assert not house.broker.routes[b"b"].targets


def test_an_unsubscribe_of_a_durable_session_is_answered_when_it_is_on_disk() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_5)
    client.handle(subscribe("a"))
    house.store.commit()
    channel.take()
    client.handle(Unsubscribe(packet_id=5, topic_filters=("a", "b")))
    assert channel.writes == []
    house.store.commit(Outcome.FAILED)
    assert channel.writes == []
    house.pass_time(1.1)
    house.store.commit()
    assert channel.take() == b"\xb0\x05\x00\x05\x00\x00\x11"
    assert not house.restarted().broker.sessions["device"].subscriptions


def test_an_unreadable_session_on_disk_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    house = House(sessions={"bad": b"\xc1"})
    assert house.broker.sessions == {}
    assert "'bad'" in caplog.text


@pytest.mark.parametrize(("version", "last"), [(Version.V5, b"\xe0\x01\x8e"), (Version.V311, b"")])
def test_a_second_connection_takes_the_session_over_and_the_first_is_closed_with_its_will(
    version: Version, last: bytes
) -> None:
    house = House()
    _, first = house.connect(version=version, will=WILL)
    _, second = house.connect(version=version)
    assert first.take() == last
    assert first.is_closed
    assert not second.is_closed
    house.store.commit()
    assert [(each.topic, each.client) for each in house.store.stored] == [(b"gone", "device")]
    assert house.broker.counters.connected_now == 1


def test_a_session_of_mqtt_5_ends_when_its_expiry_interval_has_passed() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.handle(Disconnect())
    house.pass_time(99)
    assert "device" in house.broker.sessions
    house.pass_time(2)
    assert "device" not in house.broker.sessions
    house.store.commit()
    assert house.store.disk == {}


def test_a_session_does_not_expire_while_its_client_is_connected() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.lost()
    house.pass_time(50)
    house.connect(**DURABLE_5)
    house.pass_time(500)
    assert "device" in house.broker.sessions


def test_disconnect_may_change_the_expiry_interval_but_not_from_zero() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.handle(Disconnect(session_expiry_interval_s=0))
    house.store.commit()
    assert house.store.disk == {}
    client, _ = house.connect(version=Version.V5)
    with pytest.raises(ProtocolError):
        client.handle(Disconnect(session_expiry_interval_s=5))


def test_a_session_made_temporary_is_gone_from_the_disk_before_connack() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.lost()
    _, channel = house.knock(version=Version.V5, clean_start=False)
    assert channel.writes == []
    house.store.commit()
    assert channel.take()[2] == 1
    assert house.store.disk == {}


def test_a_will_is_published_when_the_connection_is_lost_but_not_after_disconnect() -> None:
    house = House()
    client, _ = house.connect(will=WILL)
    client.handle(Disconnect())
    client, _ = house.connect(will=WILL)
    client.lost()
    client.lost()
    client, _ = house.connect("five", Version.V5, will=WILL)
    client.handle(Disconnect(reason_code=0x04))
    house.store.commit()
    assert [each.client for each in house.store.stored] == ["device", "five"]
    assert house.broker.counters.wills == 2


def test_a_will_reaches_local_subscribers_and_is_retained() -> None:
    house = House()
    reader, to_reader = house.connect("reader")
    reader.handle(subscribe("gone"))
    to_reader.take()
    client, _ = house.connect(will=Will(topic="gone", payload=b"x", qos=0, retain=True))
    client.lost()
    house.store.commit()
    assert to_reader.take() == b"\x30\x07\x00\x04gonex"
    assert len(house.broker.retained) == 1


def test_a_delayed_will_waits_and_is_called_off_by_coming_back() -> None:
    will = Will(topic="gone", payload=b"x", qos=0, retain=False, delay_interval_s=10)
    house = House()
    client, _ = house.connect(**DURABLE_5, will=will)
    client.lost()
    house.pass_time(9)
    assert house.broker.counters.wills == 0
    client, _ = house.connect(**DURABLE_5, will=will)
    house.pass_time(9)
    assert house.broker.counters.wills == 0
    client.lost()
    house.pass_time(11)
    assert house.broker.counters.wills == 1


def test_a_delayed_will_is_published_at_the_latest_when_the_session_ends() -> None:
    will = Will(topic="gone", payload=b"x", qos=0, retain=False, delay_interval_s=1000)
    house = House()
    client, _ = house.connect(version=Version.V5, will=will)
    client.lost()
    assert house.broker.counters.wills == 1
    client, _ = house.connect(**DURABLE_5, will=will)
    client.lost()
    house.connect(version=Version.V5, clean_start=True)
    assert house.broker.counters.wills == 2


def test_a_client_without_an_id_gets_one() -> None:
    house = House()
    client, channel = house.knock("", Version.V5)
    assert client is not None
    assert client.client_id == "auto-1"
    assert b"\x12\x00\x06auto-1" in channel.take()


def test_connack_says_what_the_server_takes() -> None:
    _, channel = House().knock(
        version=Version.V5,
        keep_alive_s=0,
        terms=Terms(receive_maximum=7, max_packet_size_bytes=1000, max_keep_alive_s=60),
    )
    data = channel.take()
    assert b"\x21\x00\x07" in data
    assert b"\x27\x00\x00\x03\xe8" in data
    assert b"\x2a\x00" not in data  # shared subscriptions are available
    assert b"\x13\x00\x3c" in data
    assert b"\x24" not in data


def test_a_client_that_cannot_even_take_connack_is_closed() -> None:
    client, channel = House().knock(version=Version.V5, maximum_packet_size_bytes=2)
    assert client is None
    assert channel.is_closed
    assert channel.writes == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"authentication_method": "x"}, ReasonCode.BAD_AUTHENTICATION_METHOD),
        ({"will": Will(topic="a/#", payload=b"", qos=0, retain=False)}, ReasonCode.TOPIC_NAME_INVALID),
        ({"will": Will(topic="$SYS/x", payload=b"", qos=0, retain=False)}, ReasonCode.NOT_AUTHORIZED),
    ],
)
def test_a_connect_that_asks_for_what_is_not_there_is_refused(more: dict[str, object], reason: ReasonCode) -> None:
    house = House()
    client, channel = house.knock(version=Version.V5, **more)
    assert client is None
    assert channel.take()[3] == reason
    assert channel.is_closed
    assert house.broker.counters.refused_connects == {reason.name.lower(): 1}


def test_nothing_is_written_before_connack() -> None:
    house = House()
    client, channel = house.knock(**DURABLE_311)
    assert client is not None
    client.handle(PingReq())
    client.handle(run(1, "a"))
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == ACCEPTED + b"\xd0\x00" + pubacks(1)


@pytest.mark.parametrize(
    "packet", [Auth(), Connect(version=Version.V5, client_id="x", clean_start=True, keep_alive_s=1)]
)
def test_packets_out_of_place_are_an_error(packet: Auth | Connect) -> None:
    client, channel = House().connect(version=Version.V5)
    with pytest.raises(ProtocolError) as caught:
        client.handle(packet)
    client.fail(caught.value)
    data = channel.take()
    assert data[0] == 0xE0
    assert data[2] == 0x82
    assert str(caught.value).encode() in data  # the Reason String
    assert channel.is_closed


def test_when_accepting_is_stopped_a_connect_is_refused_and_the_connected_stay() -> None:
    house = House()
    client, channel = house.connect()
    house.broker.stop_accepting()
    refused, to_refused = house.knock("other", Version.V5)
    assert refused is None
    assert to_refused.take()[3] == 0x88  # CONNACK has no code for shutting down [MQTT-3.2.2-8]
    client.handle(PingReq())
    assert channel.take() == b"\xd0\x00"


async def test_draining_acknowledges_the_open_commit_before_it_disconnects() -> None:
    import asyncio

    house = House()
    client, channel = house.connect(version=Version.V5, will=WILL)
    client.handle(run(1, "a"))
    draining = asyncio.create_task(house.broker.drain())
    await asyncio.sleep(0)
    assert not channel.is_reading
    assert channel.writes == []
    house.store.commit()
    await draining
    assert channel.writes == [pubacks(1), b"\xe0\x01\x8b"]
    assert channel.is_closed
    assert [each.topic for each in house.store.stored] == [b"a", b"gone"]


def test_a_repeated_id_in_a_restored_session_is_still_released() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_311)
    client.handle(run(2, "a", ids=[500]))
    house.store.commit()
    assert set(house.restarted().broker.sessions["device"].awaiting_release) == {pid(500)}


def test_sessions_and_subscriptions_are_bounded() -> None:
    house = House(limits=settings.Sessions(max_sessions=1, max_subscriptions=2))
    client, channel = house.connect(version=Version.V5)
    refused, to_refused = house.knock("other", Version.V5)
    assert refused is None
    assert to_refused.take()[3] == 0x97
    client.handle(subscribe("a", "b", "c", "a"))
    assert channel.take() == b"\x90\x07\x00\x4d\x00\x00\x00\x97\x00"


def test_much_that_is_said_before_connack_comes_in_order_after_it() -> None:
    house = House()
    client, channel = house.knock(**DURABLE_311)
    assert client is not None
    for _ in range(5000):
        client.handle(PingReq())
    house.store.commit()
    assert channel.take() == ACCEPTED + b"\xd0\x00" * 5000


@pytest.mark.parametrize(
    ("has_room", "outcome", "word"), [(False, Outcome.DURABLE, "full"), (True, Outcome.FAILED, "failed")]
)
def test_a_will_that_cannot_be_stored_is_counted_and_still_reaches_local_subscribers(
    has_room: bool, outcome: Outcome, word: str
) -> None:
    house = House()
    reader, to_reader = house.connect("reader")
    reader.handle(subscribe("gone"))
    to_reader.take()
    client, _ = house.connect(will=WILL)
    house.store.has_room = has_room
    client.lost()
    house.store.commit(outcome)
    assert to_reader.take() == b"\x30\x07\x00\x04gonex"
    assert house.store.stored == []
    assert house.broker.counters.refused == {word: 1}


@pytest.mark.parametrize(("reason", "wills"), [(0x00, 0), (0x04, 1), (0x80, 1), (0x97, 1)])
def test_only_a_normal_disconnect_deletes_the_will(reason: int, wills: int) -> None:
    house = House()
    client, _ = house.connect(version=Version.V5, will=WILL)
    client.handle(Disconnect(reason_code=reason))
    assert house.broker.counters.wills == wills


def test_a_session_that_ended_is_taken_off_the_disk_however_often_that_fails() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.handle(Disconnect(session_expiry_interval_s=0))
    house.store.commit(Outcome.FULL)
    house.pass_time(2)
    house.store.commit(Outcome.FULL)
    assert "device" in house.store.disk
    house.pass_time(2)
    house.store.commit()
    assert house.store.disk == {}
    house.pass_time(10)
    assert house.store.open.is_empty


def test_a_new_session_waits_for_the_disk_to_forget_the_one_before() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5)
    client.handle(Disconnect(session_expiry_interval_s=0))
    _, channel = house.knock()
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == ACCEPTED
    assert house.store.disk == {}


def test_a_subscription_that_was_made_again_stays_when_the_first_one_could_not_be_stored() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_311)
    client.handle(subscribe("a", "b", qos=0, packet_id=1))
    first = house.store.close_commit()
    client.handle(subscribe("a", qos=1, packet_id=2))
    house.store.end_commit(first, Outcome.FAILED)
    house.store.commit()
    assert channel.take() == b"\x90\x04\x00\x01\x80\x80" + b"\x90\x03\x00\x02\x01"
    assert {key: held.subscription.qos for key, held in client.session.subscriptions.items()} == {"a": 1}
    assert list(house.restarted().broker.sessions["device"].subscriptions) == ["a"]


def test_all_subscriptions_together_have_a_bound_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.broker.subscribing.MAX_SUBSCRIPTIONS_BYTES", 900)
    house = House()
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe("a/b/c", "d", "a/b/c", packet_id=1))
    assert channel.take() == b"\x90\x06\x00\x01\x00\x00\x97\x00"


def test_what_waits_for_a_session_that_cannot_be_read_stays_on_disk_and_goes_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    for client_id in ("good", "bad"):
        reader, _ = house.connect(client_id, **DURABLE_5)
        reader.handle(subscribe("#", qos=1))
        house.store.commit()
        reader.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "t", payloads=[b"both"]))
    house.store.commit()
    house.store.disk["bad"] = b"\xc1"
    rows = {table: dict(house.store.rows[table]) for table in (Table.MESSAGE, Table.DELIVERY)}

    house = house.restarted()
    assert house.broker.counters.set_aside == 1
    assert "1 messages wait for 1 sessions that cannot be read" in caplog.text
    good, _ = house.connect("good", **DURABLE_5)
    assert list(good.session.outgoing.in_flight) == [1]
    good.handle(PubAck(packet_id=1))
    other, _ = house.knock("bad", **DURABLE_5)
    assert other is not None
    assert other.session.number not in {key >> 32 for key in rows[Table.DELIVERY]}
    house.store.commit(Outcome.FULL)
    assert house.store.disk["bad"] == b"\xc1"
    other, _ = house.connect("bad", **DURABLE_5)
    assert not other.session.outgoing.in_flight
    house.store.commit()
    assert b"\xc1" in house.store.disk.values()
    assert house.store.rows[Table.MESSAGE] == rows[Table.MESSAGE]

    house = house.restarted()
    assert set(house.broker.sessions) == {"good", "bad"}
    assert house.broker.counters.set_aside == 1
    house.store.commit()
    assert house.store.rows[Table.MESSAGE] == rows[Table.MESSAGE]
    assert set(house.store.rows[Table.DELIVERY]) < set(rows[Table.DELIVERY])
