"""The cloud's broker keeps what it has acknowledged, until its subscriber has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from simulators.cloud import CloudBroker
from simulators.cloud_session import WINDOW
from simulators.units import Endpoint
from tests.support.plain_mqtt import PlainClient

ANYWHERE = Endpoint(host="127.0.0.1", port=0)


@pytest.fixture
async def broker() -> AsyncIterator[CloudBroker]:
    broker = CloudBroker(ANYWHERE)
    await broker.start()
    yield broker
    await broker.stop()


async def client(broker: CloudBroker, client_id: str, *, clean: bool = False, keep_alive_s: int = 0) -> PlainClient:
    address = broker.address
    return await PlainClient.connect(address.host, address.port, client_id, clean=clean, keep_alive_s=keep_alive_s)


async def publish(publisher: PlainClient, count: int, *, start: int = 0, size: int = 0) -> None:
    """Publish numbered payloads with QoS 1 and wait for every PUBACK."""
    for n in range(start, start + count):
        publisher.publish("fieldgate/v1/edge/telemetry", str(n).encode().ljust(size, b"."), packet_id=n % 65535 + 1)
    assert [(await publisher.read()).kind for _ in range(count)] == [4] * count


async def waits(broker: CloudBroker, count: int) -> None:
    async with asyncio.timeout(10):
        while broker.waiting != count:  # noqa: ASYNC110 -- the broker has no event for it
            await asyncio.sleep(0.001)


async def received(subscriber: PlainClient, count: int, *, ack: bool = True) -> list[int]:
    numbers = []
    for _ in range(count):
        one = await subscriber.read()
        assert one.kind == 3
        numbers.append(int(one.payload.rstrip(b".")))
        if ack:
            subscriber.ack(one.packet_id)
    return numbers


async def test_messages_reach_a_subscriber_in_order(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    assert await subscriber.subscribe("fieldgate/v1/+/+") == 1
    await publish(publisher, 500)
    assert await received(subscriber, 500) == list(range(500))
    await subscriber.abort()
    await publisher.abort()


async def test_messages_wait_while_the_subscriber_is_away_and_come_in_order(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway", clean=True)
    await subscriber.subscribe("fieldgate/v1/+/+")
    await subscriber.abort()
    await publish(publisher, 300)
    await publisher.abort()
    again = await client(broker, "receiver")
    assert again.session_present
    assert await received(again, 300) == list(range(300))
    await again.abort()


async def test_what_was_in_flight_comes_first_again_with_dup(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await subscriber.subscribe("#")
    await publish(publisher, 5)
    first = [await subscriber.read() for _ in range(5)]
    subscriber.ack(first[1].packet_id)
    await waits(broker, 4)
    await subscriber.abort()
    again = await client(broker, "receiver")
    repeated = [await again.read() for _ in range(4)]
    assert [(one.payload, one.dup, one.packet_id) for one in repeated] == [
        (one.payload, True, one.packet_id) for one in first if one.payload != b"1"
    ]
    await again.abort()
    await publisher.abort()


async def test_a_slow_acknowledgement_loses_nothing_and_bounds_what_is_in_flight(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await subscriber.subscribe("#")
    await publish(publisher, WINDOW + 1)
    held = [await subscriber.read() for _ in range(WINDOW)]
    subscriber.write(0xC0, b"")  # the answer to a PINGREQ comes next: nothing more was sent
    assert (await subscriber.read()).kind == 13
    subscriber.ack(held[0].packet_id)
    assert (await subscriber.read()).payload == str(WINDOW).encode()
    await subscriber.abort()
    await publisher.abort()


async def test_a_publisher_that_leaves_right_after_its_acknowledgement_was_heard(broker: CloudBroker) -> None:
    subscriber = await client(broker, "receiver")
    await subscriber.subscribe("#")
    for round_ in range(10):
        publisher = await client(broker, "gateway", clean=True)
        await publish(publisher, 20, start=20 * round_)
        await publisher.abort()
    assert await received(subscriber, 200) == list(range(200))
    await subscriber.abort()


async def test_a_large_frame_comes_whole(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await subscriber.subscribe("#")
    await publish(publisher, 20, size=128 * 1024)
    assert await received(subscriber, 20) == list(range(20))
    await subscriber.abort()
    await publisher.abort()


async def test_a_second_connection_with_the_same_client_id_takes_over_with_all_that_waits(broker: CloudBroker) -> None:
    first, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await first.subscribe("#")
    await publish(publisher, 3)
    await received(first, 3, ack=False)
    second = await client(broker, "receiver")
    await first.closed()
    assert await received(second, 3) == [0, 1, 2]
    await publish(publisher, 2, start=3)
    assert await received(second, 2) == [3, 4]
    await second.abort()
    await publisher.abort()


async def test_a_publish_with_qos_2_comes_once_however_often_it_is_sent(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await subscriber.subscribe("#", 2)
    for _ in range(2):
        publisher.publish("t", b"1", qos=2, packet_id=9)
        assert (await publisher.read()).kind == 5
    publisher.write(0x62, b"\0\x09")
    assert (await publisher.read()).kind == 7
    await publish(publisher, 1, start=2)
    assert await received(subscriber, 2) == [1, 2]
    await subscriber.abort()
    await publisher.abort()


async def test_a_clean_session_is_forgotten_with_its_connection(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver", clean=True), await client(broker, "gateway")
    await subscriber.subscribe("#")
    await subscriber.abort()
    again = await client(broker, "receiver")
    assert not again.session_present
    await publish(publisher, 1)
    assert broker.waiting == 0
    await again.subscribe("#")
    await again.abort()
    await publish(publisher, 1, start=1)
    last = await client(broker, "receiver")
    assert last.session_present
    assert await received(last, 1) == [1]
    await last.abort()
    await publisher.abort()


async def test_a_retained_message_comes_with_the_subscription_and_only_to_it(broker: CloudBroker) -> None:
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    publisher.publish("a/b", b"7", retain=True)
    await publisher.read()
    subscriber.write(0x82, b"\0\1\0\1c\1")
    assert (await subscriber.read()).kind == 9
    await subscriber.subscribe("a/+")
    retained = await subscriber.read()
    assert (retained.payload, retained.flags & 1) == (b"7", 1)
    await subscriber.abort()
    await publisher.abort()


async def test_above_the_bound_a_publisher_gets_no_acknowledgement() -> None:
    broker = CloudBroker(ANYWHERE, max_waiting_bytes=1000)
    await broker.start()
    subscriber, publisher = await client(broker, "receiver"), await client(broker, "gateway")
    await subscriber.subscribe("#")
    await publish(publisher, 1, size=900)
    publisher.publish("t", bytes(200), packet_id=2)
    await publisher.closed()
    assert await received(subscriber, 1) == [0]
    await waits(broker, 0)
    again = await client(broker, "gateway")
    await publish(again, 1, start=1, size=900)
    await subscriber.abort()
    await again.abort()
    await broker.stop()


async def test_a_client_that_falls_silent_is_disconnected(broker: CloudBroker) -> None:
    silent = await client(broker, "silent", keep_alive_s=1)
    await silent.closed()


async def test_mqtt_5_is_refused_with_the_return_code_for_it(broker: CloudBroker) -> None:
    with pytest.raises(ConnectionRefusedError, match="1"):
        await PlainClient.connect(broker.address.host, broker.address.port, "five", level=5)


async def test_a_port_that_is_taken_is_an_os_error(broker: CloudBroker) -> None:
    with pytest.raises(OSError, match="in use"):
        await CloudBroker(broker.address).start()


async def test_it_can_be_stopped_with_clients_there_and_started_again() -> None:
    broker = CloudBroker(ANYWHERE)
    for _ in range(2):
        await broker.start()
        there = await client(broker, "receiver")
        await there.subscribe("#")
        await broker.stop()
        await there.closed()
    await broker.stop()
