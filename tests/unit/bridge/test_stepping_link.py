"""A link tries MQTT 5 first, and steps down where the broker knows nothing newer than 3.1.1."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

import pytest

from bridge.errors import LinkRefused, LinkUnreachable
from bridge.link import LinkSettings
from bridge.ports import Delivery, Link, LinkEvents, Publish
from bridge.stepping_link import UNSUPPORTED_VERSION, Links
from config.settings import BrokerUrl, Protocol
from simulators.cloud import CloudBroker
from simulators.units import Endpoint
from tests.support.cloud import FakeBroker
from tests.support.mosquitto import Mosquitto

TIMEOUT_S = 30.0


class Owner:
    """Keeps what its link tells it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        self.events.put_nowait(("acknowledged", reason_code))

    def on_delivery(self, delivery: Delivery) -> None:
        self.events.put_nowait(("delivery", delivery))

    def on_lost(self, error: Exception) -> None:
        self.events.put_nowait(("lost", error))

    async def next(self) -> tuple[str, object]:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.events.get()


class Brokers:
    """Makes links to a broker for each version, and notes the versions that were tried."""

    def __init__(self) -> None:
        self.five, self.old = FakeBroker(random.Random(1)), FakeBroker(random.Random(1))
        self.tried: list[Protocol] = []

    def make(self, settings: LinkSettings, events: LinkEvents) -> Link:
        self.tried.append(settings.protocol)
        return (self.five if settings.protocol is Protocol.V5 else self.old).link(events)


def settings(port: int = 1, *, protocol: Protocol = Protocol.AUTO, client_id: str = "edge") -> LinkSettings:
    return LinkSettings(url=BrokerUrl(host="127.0.0.1", port=port), client_id=client_id, protocol=protocol)


async def test_every_connection_tries_5_first_and_the_step_down_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    brokers = Brokers()
    brokers.five.refuse_connect = UNSUPPORTED_VERSION
    links = Links(settings(), lost="Much is lost.", make=brokers.make)
    for _ in range(3):
        link = links(Owner())
        await link.connect()
        await link.close()
    assert brokers.tried == [Protocol.V5, Protocol.V311] * 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "mqtt://127.0.0.1:1 does not speak MQTT 5" in caplog.text
    assert "Much is lost. Use a broker of MQTT 5; or write protocol: 5 to wait" in caplog.text
    brokers.five.refuse_connect = None  # the broker was renewed
    await links(Owner()).connect()
    assert brokers.tried[-1] is Protocol.V5


@pytest.mark.parametrize(("refuse", "error"), [(0x86, LinkRefused), (0x88, LinkRefused), ("away", LinkUnreachable)])
async def test_no_other_failure_is_taken_for_an_old_broker(refuse: int | str, error: type[Exception]) -> None:
    brokers = Brokers()
    brokers.five.refuse_connect = refuse
    with pytest.raises(error):
        await Links(settings(), lost="", make=brokers.make)(Owner()).connect()
    assert brokers.tried == [Protocol.V5]


async def test_what_the_old_version_is_refused_for_is_what_counts(caplog: pytest.LogCaptureFixture) -> None:
    brokers = Brokers()
    brokers.five.refuse_connect = UNSUPPORTED_VERSION
    brokers.old.refuse_connect = 0x86
    with pytest.raises(LinkRefused) as refused:
        await Links(settings(), lost="", make=brokers.make)(Owner()).connect()
    assert refused.value.reason_code == 0x86
    assert not caplog.records


async def test_who_wrote_5_is_not_stepped_down() -> None:
    brokers = Brokers()
    brokers.five.refuse_connect = UNSUPPORTED_VERSION
    with pytest.raises(LinkRefused):
        await Links(settings(protocol=Protocol.V5), lost="", make=brokers.make)(Owner()).connect()
    assert brokers.tried == [Protocol.V5]


async def test_3_1_1_that_was_written_is_used_at_once_and_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    brokers = Brokers()
    await Links(settings(protocol=Protocol.V311), lost="", make=brokers.make)(Owner()).connect()
    assert brokers.tried == [Protocol.V311]
    assert not caplog.records


async def test_the_embedded_broker_is_spoken_to_in_3_1_1() -> None:
    broker = CloudBroker(Endpoint(host="127.0.0.1", port=0))
    await broker.start()
    port = broker.address.port
    far, near = Owner(), Owner()
    subscriber = Links(settings(port, client_id="far"), lost="")(far)
    publisher = Links(settings(port, client_id="near"), lost="")(near)
    async with asyncio.timeout(TIMEOUT_S):
        assert (await subscriber.connect()).mqtt_version == "3.1.1"
        await subscriber.subscribe("a/#", qos=1)
        await publisher.connect()
        publisher.publish(Publish(topic="a/b", payload=b"1"))
        assert await near.next() == ("acknowledged", 0)
        kind, delivery = await far.next()
        assert isinstance(delivery, Delivery)
        assert (kind, delivery.payload) == ("delivery", b"1")
        subscriber.acknowledge(delivery)
        await broker.stop()
        assert {(await far.next())[0], (await near.next())[0]} == {"lost"}
    await subscriber.close()
    await publisher.close()


async def test_a_broker_of_mqtt_5_is_spoken_to_in_5(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto(tmp_path) as broker:
        owner = Owner()
        link = Links(settings(broker.port), lost="")(owner)
        assert (await link.connect()).mqtt_version == "5"
        link.publish(Publish(topic="a/b", payload=b"1"))
        assert await owner.next() == ("acknowledged", 0x10)
        await link.close()
    assert not caplog.records
