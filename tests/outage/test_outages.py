"""Outages of the road to the cloud: whatever happens to it, every acknowledged record arrives, once, in the end.

Devices publish with QoS 0, 1 and 2 all the time, with MQTT 3.1.1 and 5.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.fleet import publishing
from tests.support.road import Road


async def test_a_link_refused_from_the_start_fills_the_spool_which_drains_later(road: Road, tmp_path: Path) -> None:
    road.link.cut()
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        status = await road.gateway.until_waiting(300)
        assert status["uplinks"]["cloud"]["state"] != "online"
        await road.gateway.until(
            lambda status: "refused" in (status["uplinks"]["cloud"]["last_error"] or ""), "the status says why"
        )
        assert road.gateway.get("/readyz")[0] == 200
        road.link.restore()
        await road.until_caught_up()
    await road.arrived(fleet)


async def test_a_link_cut_again_and_again_loses_nothing_and_doubles_nothing(road: Road, tmp_path: Path) -> None:
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        arrived = 0
        for _ in range(3):
            arrived = (await road.receiver.until_received(arrived + 100))["records"]
            road.link.cut()
            await road.gateway.until_waiting(100)
            road.link.restore()
            await road.until_caught_up()
    await road.arrived(fleet)
    assert road.gateway.status()["uplinks"]["cloud"]["retries"] >= 3


async def test_a_black_hole_is_noticed_and_what_it_swallowed_is_sent_again(road: Road, tmp_path: Path) -> None:
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        await road.receiver.until_received(100)
        road.link.blackhole()
        await road.gateway.until(
            lambda status: status["uplinks"]["cloud"]["state"] != "online", "the uplink has noticed the silence"
        )
        await road.gateway.until_waiting(300)
        road.link.restore()
        await road.until_caught_up()
    await road.arrived(fleet)


async def test_frames_wait_in_the_broker_while_the_receiver_is_stopped(road: Road, tmp_path: Path) -> None:
    await road.start()
    async with publishing(road.gateway.endpoint, tmp_path) as fleet:
        await road.receiver.until_received(100)
        assert await road.receiver.stop() == 0
        before = road.gateway.status()["uplinks"]["cloud"]["records"]
        await road.gateway.until(
            lambda status: status["uplinks"]["cloud"]["records"] >= before + 300, "the broker takes on 300 records"
        )
        await road.receiver.start()
        await road.until_caught_up()
    await road.arrived(fleet)
