"""Runs as bytes that were made once, and the limits and the order that hold for them too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.settings import WhenQueueFull
from gateway.broker.fanout import Run
from gateway.broker.queue_limits import QueueLimits, Total
from gateway.mqtt import writer
from gateway.mqtt.packets import PubAck, Version
from tests.support.broker import FakeChannel, House, run, subscribe

PUBLISHES = st.lists(
    st.tuples(st.sampled_from([b"a", b"b/c", "ä".encode(), b"x" * 200]), st.binary(max_size=300)), min_size=1
)


@given(PUBLISHES, st.sampled_from(list(Version)), st.data())
def test_a_parcel_is_what_the_writer_makes_of_each_publish(
    publishes: list[tuple[bytes, bytes]], version: Version, data: st.DataObject
) -> None:
    made = Run([topic for topic, _ in publishes], [payload for _, payload in publishes])
    packets = [writer.publish(topic, payload, version=version) for topic, payload in publishes]
    parcel = made.parcel(version)
    assert parcel.data == b"".join(packets)
    assert parcel.count == len(publishes)
    assert parcel.longest_bytes >= max(map(len, packets))
    assert made.parcel(version) is parcel
    start = data.draw(st.integers(0, len(publishes) - 1))
    stop = data.draw(st.integers(start + 1, len(publishes)))
    assert made.part(version, start, stop).data == b"".join(packets[start:stop])


@given(PUBLISHES, st.sampled_from(list(Version)), st.sampled_from([1, 2]))
def test_packets_that_differ_in_their_packet_ids_alone_are_what_the_writer_makes_too(
    publishes: list[tuple[bytes, bytes]], version: Version, qos: int
) -> None:
    made = Run([topic for topic, _ in publishes], [payload for _, payload in publishes])
    for first, count in ((0x102, len(publishes)), (0x102, 1), (0x103, len(publishes))):
        packet_ids = range(first, first + count)
        expected = b"".join(
            writer.publish(topic, payload, version=version, qos=qos, packet_id=packet_id)
            for (topic, payload), packet_id in zip(publishes, packet_ids, strict=False)
        )
        data = made.numbered(version, qos, packet_ids)
        assert data == expected == made.numbered(version, qos, list(packet_ids))
        assert made.numbered(version, qos, packet_ids) is data


def reading(house: House, client_id: str, *filters: str, **options: object) -> FakeChannel:
    client, channel = house.connect(client_id, options.pop("version", Version.V311), **options.pop("connect", {}))  # type: ignore[arg-type, misc]
    client.handle(subscribe(*filters, **options))  # type: ignore[arg-type]
    channel.take()
    return channel


def packet(topic: str, payload: bytes, version: Version = Version.V311) -> bytes:
    return writer.publish(topic, payload, version=version)


def test_a_run_is_one_write_of_the_same_bytes_for_all_its_subscribers() -> None:
    house = House()
    channels = [reading(house, f"reader{i}", "#") for i in range(3)]
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a", "b", "a"))
    house.store.commit()
    first = channels[0].writes[0]
    assert first == packet("a", b"0") + packet("b", b"1") + packet("a", b"2")
    assert all(len(channel.writes) == 1 and channel.writes[0] is first for channel in channels)
    assert house.broker.counters.delivered == 9


def test_each_gets_what_it_subscribed_to_in_the_order_of_the_run() -> None:
    house = House()
    everything = reading(house, "everything", "#")
    some = reading(house, "some", "b", version=Version.V5)
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a", "b", "c", "b"))
    house.store.commit()
    assert everything.take() == b"".join(packet(topic, b"%d" % i) for i, topic in enumerate("abcb"))
    assert some.take() == packet("b", b"1", Version.V5) + packet("b", b"3", Version.V5)


def test_what_waits_is_not_overtaken_by_a_run() -> None:
    house = House()
    channel = reading(house, "reader", "#")
    publisher, _ = house.connect("publisher")
    channel.is_writable = False
    publisher.handle(run(0, "a", "a"))
    house.store.commit()
    channel.is_writable = True
    publisher.handle(run(0, "a", payloads=[b"later"]))
    house.store.commit()
    assert channel.writes == []
    client = house.broker.sessions["reader"].client
    assert client is not None
    client.pump()
    assert channel.take() == packet("a", b"0") + packet("a", b"1") + packet("a", b"later")


def stalled(when_full: WhenQueueFull) -> tuple[House, FakeChannel]:
    house = House(queue_limits=QueueLimits(max_messages=3, when_full=when_full))
    channel = reading(house, "reader", "#")
    channel.is_writable = False
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, *"ab"))
    publisher.handle(run(0, *"cdefg"))
    house.store.commit()
    assert channel.writes == []
    channel.is_writable = True
    client = house.broker.sessions["reader"].client
    assert client is not None
    client.pump()
    return house, channel


def test_a_subscriber_that_does_not_read_keeps_the_first_of_a_run_as_far_as_its_queue_has_room() -> None:
    house, channel = stalled(WhenQueueFull.DROP_NEWEST)
    assert channel.take() == packet("a", b"0") + packet("b", b"1") + packet("c", b"0")
    assert house.broker.counters.dropped == {"queue_full": 4}
    assert house.broker.counters.delivered == 3


def test_or_the_last_where_that_is_the_policy() -> None:
    house, channel = stalled(WhenQueueFull.DROP_OLDEST)
    assert channel.take() == packet("e", b"2") + packet("f", b"3") + packet("g", b"4")
    assert house.broker.counters.dropped == {"queue_full": 4}


def test_subscribers_that_do_not_read_hold_the_bytes_of_a_run_once() -> None:
    total = Total(1_000_000)
    house = House(queue_limits=QueueLimits(total=total))
    channels = [reading(house, f"reader{i}", "#") for i in range(20)]
    for channel in channels:
        channel.is_writable = False
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a", payloads=[b"x" * 100_000]))
    house.store.commit()
    assert 100_000 <= total.held_bytes < 120_000
    for session in list(house.broker.sessions.values()):
        if session.client is not None:
            session.client.lost()
    assert total.held_bytes == 0


def test_a_packet_over_the_subscribers_maximum_is_left_out_and_the_rest_of_the_run_comes() -> None:
    house = House()
    channel = reading(house, "reader", "#", version=Version.V5, connect={"maximum_packet_size_bytes": 40})
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a", "a", "a", payloads=[b"1", b"x" * 50, b"3"]))
    house.store.commit()
    assert channel.take() == packet("a", b"1", Version.V5) + packet("a", b"3", Version.V5)
    assert house.broker.counters.dropped == {"too_large": 1}


def test_the_publisher_itself_is_a_subscriber_like_the_others_but_for_no_local() -> None:
    house = House()
    client, channel = house.connect("both")
    client.handle(subscribe("a"))
    channel.take()
    client.handle(run(0, "a", "a"))
    house.store.commit()
    assert channel.take() == packet("a", b"0") + packet("a", b"1")


def test_a_run_that_was_refused_for_lack_of_room_comes_all_the_same_with_qos_0() -> None:
    house = House()
    channel = reading(house, "reader", "#")
    house.store.has_room = False
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "a", "b"))
    house.store.commit()
    assert channel.take() == packet("a", b"0") + packet("b", b"1")
    assert house.broker.counters.refused == {"full": 2}


def test_with_qos_1_a_run_goes_out_as_far_as_the_window_and_the_rest_follows_in_order() -> None:
    house = House()
    client, channel = house.connect("reader", Version.V5, receive_maximum=2)
    client.handle(subscribe("#", qos=1))
    channel.take()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", "b", "c", "d"))
    house.store.commit()
    expected = [
        writer.publish(topic, b"%d" % i, version=Version.V5, qos=1, packet_id=i + 1) for i, topic in enumerate("abcd")
    ]
    assert channel.take() == expected[0] + expected[1]
    client.handle(PubAck(packet_id=2))
    client.handle(PubAck(packet_id=1))
    assert channel.take() == expected[2] + expected[3]
    publisher.handle(run(1, "e", first_id=5))
    house.store.commit()
    assert channel.writes == []
    for packet_id in (3, 4):
        client.handle(PubAck(packet_id=packet_id))
    assert channel.take() == writer.publish("e", b"0", version=Version.V5, qos=1, packet_id=5)
    client.handle(PubAck(packet_id=5))
    assert not client.session.outgoing.in_flight
