"""What a client may do: asked of its entry when it connects, and again when the rules have changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgpack
import pytest

from config import settings
from gateway.access.ports import Credentials, Granted, Refusal, Refused, Rights, Verdict
from gateway.broker.connack import Terms
from gateway.mqtt.packets import Connect, PubAck, PubComp, Version, Will
from gateway.spool.ports import Table
from tests.support.broker import FakeChannel, House, run, subscribe
from tests.support.store import FakeStore

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
ALICE = Granted(access="default", username="alice")
BOB = Granted(access="default", username="bob")


@dataclass
class Only:
    """Rights to the topics and filters that are named."""

    topics: set[str]
    is_unlimited: bool = False

    def may_publish(self, topic: str) -> bool:
        return topic in self.topics

    def may_subscribe(self, topic_filter: str) -> bool:
        return topic_filter in self.topics

    def may_read(self, topic: str) -> bool:
        return topic in self.topics


@dataclass
class FakeEntry:
    """Everybody may do what `topics` says; users in `unknown` are not known any more."""

    topics: set[str] = field(default_factory=set)
    unknown: set[str | None] = field(default_factory=set)
    removed: set[str | None] = field(default_factory=set)
    name: str = "default"

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        return Granted(username=credentials.username)

    async def decide(self, credentials: Credentials) -> Verdict:
        return Granted(username=credentials.username)

    def still_knows(self, username: str | None) -> bool:
        return username not in self.unknown | self.removed

    def has_removed(self, username: str | None) -> bool:
        return username in self.removed

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        return Only(set(self.topics) | {f"of/{username}"})


def a_house(*topics: str) -> tuple[House, FakeEntry]:
    entry = FakeEntry(set(topics))
    return House(entries={"default": entry}), entry


@pytest.mark.parametrize(
    ("reason", "code_5", "code_311"),
    [
        (Refusal.BAD_USERNAME_OR_PASSWORD, 0x86, 4),
        (Refusal.NOT_AUTHORIZED, 0x87, 5),
        (Refusal.CLIENT_ID_NOT_VALID, 0x85, 2),
        (Refusal.SERVER_BUSY, 0x89, 3),
        (Refusal.SERVER_UNAVAILABLE, 0x88, 3),
    ],
)
def test_who_is_not_let_in_is_told_why_as_his_version_can_say(reason: Refusal, code_5: int, code_311: int) -> None:
    """[MQTT-3.1.4-2], [MQTT-3.2.2-7], [MQTT-3.2.2-8]"""
    house = House()
    for version, expected in ((Version.V5, code_5), (Version.V311, code_311)):
        channel = FakeChannel()
        packet = Connect(version=version, client_id="x", clean_start=True, keep_alive_s=0)
        house.broker.refuse(channel, packet, Terms(), Refused(reason=reason, detail="Because."))
        data = channel.take()
        assert data[:1] == b"\x20"
        assert data[2:4] == bytes([0, expected])
        assert channel.is_closed
    assert house.broker.counters.refused_connects.total() == 2
    assert house.broker.sessions == {}


def test_the_log_names_who_is_not_let_in_and_who_is_refused_for_what_his_connect_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    house = House()
    packet = Connect(version=Version.V5, client_id="x", clean_start=True, keep_alive_s=0, username="ann")
    refused = Refused(reason=Refusal.BAD_USERNAME_OR_PASSWORD, detail="Because.")
    house.broker.refuse(FakeChannel(), packet, Terms(), refused)
    house.broker.connect(
        FakeChannel(), replace(packet, authentication_method="SCRAM"), Terms(), Granted(username="ann")
    )
    first, second = caplog.messages
    assert "Client 'x' of user 'ann' from" in first
    assert "(bad_user_name_or_password). Because." in first
    assert "Client 'x' of user 'ann' from" in second
    assert "enhanced authentication" in second


def test_messages_wait_for_an_absent_session_of_the_first_version_by_the_rights_of_the_only_access() -> None:
    old = msgpack.packb([1, 100, [["#", 1, 0, None]], b""])
    house = House(sessions={"absent": old}, entries={"default": FakeEntry({"free"})})
    publisher, _ = house.connect("publisher", granted=Granted(access="default"))
    publisher.handle(run(1, "free"))
    house.store.commit()
    assert house.broker.sessions["absent"].outgoing.queued == 1
    two = House(sessions={"absent": old}, entries={"a": FakeEntry({"free"}), "b": FakeEntry({"free"})})
    assert not two.broker.sessions["absent"].rights.may_read("free")


def test_a_filter_that_is_not_allowed_is_refused_and_the_others_are_granted() -> None:
    """§3.9.3: 0x80, in 3.1.1 too. A shared one counts by the part behind its share name."""
    house, _ = a_house("a", "c")
    client, channel = house.connect(version=Version.V5, granted=ALICE)
    client.handle(subscribe("a", "b", "$share/g/c", "$share/g/d", "of/alice", "of/bob"))
    assert channel.take() == b"\x90\x09\x00\x4d\x00\x00\x80\x00\x80\x00\x80"
    client, channel = house.connect(granted=ALICE)
    client.handle(subscribe("a", "b"))
    assert channel.take() == b"\x90\x04\x00\x4d\x00\x80"


def test_a_will_that_may_not_be_published_is_refused_at_connect() -> None:
    house, _ = a_house("a")
    will = Will(topic="b", payload=b"", qos=0, retain=False)
    client, channel = house.knock(version=Version.V5, granted=ALICE, will=will)
    assert client is None
    assert channel.take()[3] == 0x87


def test_a_right_withdrawn_while_connected_stops_delivery_and_the_will() -> None:
    house, entry = a_house("a", "gone")
    will = Will(topic="gone", payload=b"x", qos=0, retain=False)
    client, channel = house.connect("reader", Version.V5, granted=ALICE, will=will)
    client.handle(subscribe("a"))
    channel.take()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a"))
    house.store.commit()
    assert b"\x00\x01a" in channel.take()
    entry.topics.clear()
    house.broker.rights_changed()
    publisher, _ = house.connect("publisher", granted=Granted(access="default"))
    house.broker.sessions["publisher"].rights = Only({"a"})
    assert not house.broker.routes[b"a"].targets
    client.lost()
    house.store.commit()
    assert house.broker.counters.wills == 0
    assert house.broker.counters.refused["not_authorized"] >= 1


def waiting_for_alice(house: House) -> None:
    """A durable session of hers with a message on each of two topics in its queue."""
    client, _ = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", "b", qos=1))
    house.store.commit()
    client.lost()
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(1, "a", "b"))
    house.store.commit()
    assert house.broker.sessions["device"].outgoing.queued == 2


def test_what_waits_in_a_queue_is_not_delivered_when_the_right_to_read_it_is_withdrawn() -> None:
    house, entry = a_house("a", "b")
    waiting_for_alice(house)
    entry.topics.remove("b")
    house.broker.rights_changed()
    _, channel = house.knock(**DURABLE_5, granted=ALICE)
    house.store.commit()
    data = channel.take()
    assert b"\x00\x01a" in data
    assert b"\x00\x01b" not in data
    assert house.broker.counters.dropped["not_authorized"] == 1
    house.store.commit()
    assert len(house.store.rows[Table.MESSAGE]) == 1


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("is_connected", [True, False])
def test_what_is_in_flight_is_not_sent_again_when_the_right_to_read_it_is_withdrawn(
    qos: int, *, is_connected: bool
) -> None:
    """Of QoS 2 only PUBREL comes, so that the client can end the exchange."""
    house, entry = a_house("a", "b")
    client, _ = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", "b", qos=2))
    house.store.commit()
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(qos, "a", "b"))
    house.store.commit()
    assert len(client.session.outgoing.in_flight) == 2
    if not is_connected:
        client.lost()
    entry.topics.remove("b")
    house.broker.rights_changed()
    assert bool(client.is_open) is is_connected
    client.lost()
    again, channel = house.knock(**DURABLE_5, granted=ALICE)
    house.store.commit()
    data = channel.take()
    assert b"\x00\x01a" in data
    assert b"\x00\x01b" not in data
    assert (b"\x62\x02\x00\x02" in data) is (qos == 2)
    assert again is not None
    if qos == 2:
        again.handle(PubComp(packet_id=2))
    house.store.commit()
    assert list(again.session.outgoing.in_flight) == [1]
    house.store.commit()
    assert len(house.store.rows[Table.DELIVERY]) == 1


def test_what_a_slow_reader_never_got_is_not_delivered_after_a_restart_with_other_rules() -> None:
    """It is on disk as sent, since its subscriber was connected."""
    house, entry = a_house("b")
    client, channel = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("b", qos=1))
    house.store.commit()
    channel.is_writable = False
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(1, *["b"] * 50))
    house.store.commit()
    entry.topics.remove("b")
    again = House(store=FakeStore(house.store.disk, rows=house.store.rows), entries={"default": entry})
    _, channel = again.knock(**DURABLE_5, granted=ALICE)
    again.store.commit()
    assert b"\x00\x01b" not in channel.take()
    assert again.broker.counters.dropped["not_authorized"] == 50
    again.store.commit()
    assert not again.store.rows[Table.DELIVERY]
    assert not again.store.rows[Table.MESSAGE]


def test_who_is_no_longer_known_is_disconnected_and_the_others_stay() -> None:
    house, entry = a_house("a")
    _, to_alice = house.connect("alices", Version.V5, granted=ALICE)
    _, to_bob = house.connect("bobs", Version.V5, granted=BOB)
    entry.unknown.add("alice")
    house.broker.rights_changed()
    assert to_alice.take() == b"\xe0\x01\x87"
    assert to_alice.is_closed
    assert not to_bob.is_closed


def test_a_session_is_not_handed_to_another_user() -> None:
    """What waits in it was meant for its own user only."""
    house, _ = a_house("a")
    client, _ = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    client.lost()
    _, channel = house.knock(**DURABLE_5, granted=BOB)
    house.store.commit()
    assert channel.take()[2] == 0
    assert not house.broker.sessions["device"].subscriptions
    assert house.broker.sessions["device"].rights.may_publish("of/bob")


def test_a_restored_session_has_the_rights_of_its_user_and_a_vanished_access_none() -> None:
    house, entry = a_house("a")
    client, _ = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    again = House(sessions=house.store.disk, entries={"default": entry})
    session = again.broker.sessions["device"]
    assert (session.username, session.access) == ("alice", "default")
    assert session.rights.may_read("of/alice")
    assert again.broker.routes[b"a"].targets
    other = House(sessions=house.store.disk, entries={"other": entry})
    assert not other.broker.sessions["device"].rights.may_read("a")
    assert not other.broker.routes[b"a"].targets


def test_a_retained_message_is_not_given_when_its_publisher_may_no_longer_publish_it() -> None:
    house, entry = a_house("a", "b")
    publisher, _ = house.connect("publisher", Version.V5, granted=ALICE)
    publisher.handle(run(0, "a", "b", retain=True))
    house.store.commit()
    entry.topics.remove("b")
    house.broker.rights_changed()
    entry.topics.update({"#"})
    reader, channel = house.connect("reader", Version.V5, granted=BOB)
    reader.session.rights = Only({"a", "b", "#"})
    reader.handle(subscribe("#"))
    house.store.commit()
    data = channel.take()
    assert b"\x00\x01a" in data
    assert b"\x00\x01b" not in data


def test_a_connection_ends_when_its_token_does() -> None:
    """0xA0, Maximum connect time."""
    house = House()
    _, channel = house.connect(version=Version.V5, granted=Granted(username="alice", valid_for_s=10))
    house.pass_time(9)
    assert not channel.is_closed
    house.pass_time(2)
    assert channel.take() == b"\xe0\x01\xa0"
    assert channel.is_closed


def test_a_token_that_was_renewed_by_connecting_again_holds_for_its_own_time() -> None:
    house = House()
    house.connect(version=Version.V5, granted=Granted(username="alice", valid_for_s=10))
    house.pass_time(9)
    _, channel = house.connect(version=Version.V5, granted=Granted(username="alice", valid_for_s=10))
    house.pass_time(9)
    assert not channel.is_closed
    house.pass_time(2)
    assert channel.is_closed


def test_retained_messages_that_still_wait_are_not_given_when_the_right_to_read_them_is_withdrawn() -> None:
    entry = FakeEntry({f"t/{number:02}" for number in range(100)} | {"t/#"})
    house = House(entries={"default": entry}, limits=settings.Sessions(max_queued_messages=10))
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(1, *[f"t/{number:02}" for number in range(100)], retain=True))
    house.store.commit()
    client, channel = house.connect("reader", Version.V5, granted=ALICE, receive_maximum=5)
    client.handle(subscribe("t/#", qos=1))
    house.store.commit()
    assert channel.take().count(b"\x00\x04t/") == 5
    assert client.session.feed is not None
    entry.topics -= {f"t/{number:02}" for number in range(100) if number >= 5}
    house.broker.rights_changed()
    for number in range(1, 101):
        client.handle(PubAck(packet_id=number))
    assert b"\x00\x04t/" not in channel.take()
    assert client.session.feed is None


def test_a_retained_message_is_judged_by_the_access_that_let_its_publisher_in_and_by_no_other() -> None:
    """Also after a restart: the row says which it was."""
    strict, open_ = FakeEntry({"a"}, name="strict"), FakeEntry({"a", "#"}, name="open")
    entries = {"strict": strict, "open": open_}
    house = House(entries=entries)
    publisher, _ = house.connect("publisher", Version.V5, granted=Granted(access="strict", username="alice"))
    publisher.handle(run(1, "a", retain=True))
    publisher.lost()
    house.store.commit()
    strict.topics.clear()
    house.broker.rights_changed()
    for each in (house, House(store=FakeStore(house.store.disk, rows=house.store.rows), entries=entries)):
        reader, channel = each.connect("reader", Version.V5, granted=Granted(access="open", username="bob"))
        reader.handle(subscribe("a"))
        each.store.commit()
        assert b"\x00\x01a" not in channel.take()


def test_a_will_is_judged_by_the_access_of_its_client_too() -> None:
    strict, open_ = FakeEntry({"a"}, name="strict"), FakeEntry({"a"}, name="open")
    house = House(entries={"strict": strict, "open": open_})
    will = Will(topic="a", payload=b"gone", qos=1, retain=True)
    client, _ = house.connect("publisher", will=will, granted=Granted(access="strict", username="alice"))
    client.lost()
    house.store.commit()
    message = house.broker.retained.get("a")
    assert message is not None
    assert message.origin_access == "strict"
    assert house.broker.sessions.entitlements.may_still_publish(message)
    strict.topics.clear()
    house.broker.rights_changed()
    assert not house.broker.sessions.entitlements.may_still_publish(message)


def test_a_session_is_not_handed_to_the_same_name_that_came_by_another_access() -> None:
    """There it may be somebody else's."""
    entries = {name: FakeEntry({"a"}, name=name) for name in ("near", "far")}
    house = House(entries=entries)
    client, _ = house.connect(**DURABLE_5, granted=Granted(access="near", username="alice"))
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    client.lost()
    _, channel = house.knock(**DURABLE_5, granted=Granted(access="far", username="alice"))
    house.store.commit()
    assert channel.take()[2] == 0
    session = house.broker.sessions["device"]
    assert (session.access, session.subscriptions) == ("far", {})


def test_a_removed_user_leaves_no_session_that_messages_wait_in_and_no_will() -> None:
    house, entry = a_house("a", "w")
    will = Will(topic="w", payload=b"gone", qos=0, retain=True)
    absent, _ = house.connect("absent", **DURABLE_5, granted=ALICE)
    absent.handle(subscribe("a", qos=1))
    house.store.commit()
    absent.lost()
    _, present = house.connect("present", **DURABLE_5, granted=ALICE, will=will)
    delayed, _ = house.connect("delayed", **DURABLE_5, granted=ALICE, will=replace(will, delay_interval_s=50))
    delayed.lost()
    entry.removed.add("alice")
    house.broker.rights_changed()
    house.store.commit()
    assert present.take() == b"\xe0\x01\x87"
    assert house.broker.sessions == {}
    assert house.store.disk == {}
    assert house.broker.retained.get("w") is None
    house.pass_time(60)
    assert house.broker.retained.get("w") is None


def test_who_only_has_a_new_password_finds_his_session() -> None:
    house, entry = a_house("a")
    client, channel = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    entry.unknown.add("alice")
    house.broker.rights_changed()
    assert channel.is_closed
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(1, "a"))
    house.store.commit()
    _, channel = house.knock(**DURABLE_5, granted=ALICE)
    house.store.commit()
    assert b"\x00\x01a" in channel.take()


def test_an_access_that_has_another_name_now_is_told_and_what_waits_is_there_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house, entry = a_house("a")
    client, _ = house.connect(**DURABLE_5, granted=ALICE)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    client.lost()
    publisher, _ = house.connect("publisher", granted=BOB)
    publisher.handle(run(1, "a"))
    house.store.commit()

    def restarted(name: str) -> House:
        return House(store=FakeStore(house.store.disk, rows=house.store.rows), entries={name: entry})

    renamed = restarted("devices")
    assert "no access 'default' in the settings any more: what waits for its sessions (device)" in caplog.text
    renamed.broker.rights_changed()
    renamed.store.commit()
    assert renamed.broker.counters.dropped.total() == 0
    caplog.clear()
    again = restarted("default")
    assert not caplog.records
    _, channel = again.knock(**DURABLE_5, granted=ALICE)
    again.store.commit()
    assert b"\x00\x01a" in channel.take()


def test_what_the_log_says_of_who_is_not_let_in_is_short_whatever_he_sent(caplog: pytest.LogCaptureFixture) -> None:
    packet = Connect(version=Version.V5, client_id="x" * 60_000, clean_start=True, keep_alive_s=0)
    refused = Refused(reason=Refusal.NOT_AUTHORIZED, detail="y" * 60_000)
    with caplog.at_level("INFO"):
        House().broker.refuse(FakeChannel(), packet, Terms(), refused)
    (record,) = caplog.records
    assert len(record.getMessage()) < 600
