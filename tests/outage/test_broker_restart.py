"""The cloud's broker dies and comes back, with what it knew or without.

What the gateway can promise ends where the broker's promise begins: a frame that the broker acknowledged is the
broker's to keep. A broker that forgets acknowledged frames loses them, and the receiver shows a hole. So these tests
let the broker forget at a moment when nothing waits in it. What the gateway does promise, with MQTT 5: while nobody is
subscribed, the broker says so (PUBACK 0x10), and nothing is released. MQTT 3.1.1 has no word for it: there, the link is
held down here until the receiver has subscribed again.
"""

from __future__ import annotations

from pathlib import Path

from simulators.cloud import CloudBroker
from tests.support.fleet import publishing
from tests.support.mosquitto import Mosquitto
from tests.support.road import Road


async def test_a_broker_that_restarts_with_its_state_loses_nothing_under_load(
    mosquitto_road: Road, tmp_path: Path
) -> None:
    road = mosquitto_road
    assert isinstance(road.broker, Mosquitto)
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        await road.receiver.until_received(100)
        road.broker.stop()
        await road.gateway.until_waiting(200)
        road.broker.start()
        await road.until_caught_up()
        await road.receiver.until_online()
        road.broker.restart(keep_state=True)
        await road.until_caught_up()
    await road.arrived(fleet)
    assert road.receiver.status()["link"]["sessions_lost"] == 0


async def test_nothing_is_released_while_nobody_is_subscribed_at_a_broker_that_forgot_all(
    mosquitto_road: Road, tmp_path: Path
) -> None:
    road = mosquitto_road
    assert isinstance(road.broker, Mosquitto)
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        await road.receiver.until_received(100)
        road.link.cut()
        await road.until_broker_is_empty()
        road.receiver.kill()
        road.broker.kill()
        road.broker.restart(keep_state=False)
        before = road.gateway.status()
        road.link.restore()
        status = await road.gateway.until(
            lambda status: "nobody subscribes" in (status["uplinks"]["cloud"]["last_error"] or ""),
            "the gateway is told that nobody subscribes",
        )
        status = await road.gateway.until_waiting(status["streams"]["telemetry"]["records"] + 300)
        assert status["uplinks"]["cloud"]["records"] == before["uplinks"]["cloud"]["records"]
        assert status["uplinks"]["cloud"]["dead_letters"] == 0
        assert status["streams"]["telemetry"]["first_seq"] == before["streams"]["telemetry"]["first_seq"]
        await road.receiver.start()
        await road.until_caught_up()
    await road.arrived(fleet)
    assert road.receiver.status()["link"]["sessions_lost"] == 1


async def test_a_broker_killed_and_back_without_its_state_is_subscribed_to_again(road: Road, tmp_path: Path) -> None:
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        await road.receiver.until_received(100)
        road.link.cut()
        await road.until_broker_is_empty()
        if isinstance(road.broker, CloudBroker):
            await road.broker.stop()
            await road.broker.start()
        else:
            road.broker.kill()
            road.broker.restart(keep_state=False)
        await road.receiver.until(
            lambda status: status["link"]["state"] == "online" and status["link"]["sessions_lost"] == 1,
            "the receiver is subscribed again",
        )
        road.link.restore()
        await road.until_caught_up()
    await road.arrived(fleet)
