"""Records that go on purpose: counted, named by their numbers, and told to the receiver; the account is exact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, noisy_rows, publishing
from tests.support.mosquitto import Mosquitto
from tests.support.road import Road, road_through


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path, lines=["max_queued_messages 0"]) as running:
        yield running


async def account(road: Road, fleet: Fleet, reason: str, *, raced: bool = False) -> int:
    """Wait until all is drained, hold the three accounts against each other; how many were dropped for `reason`.

    `raced`: records were dropped while they were on their way. The gateway counts those, too, and some arrive.
    """
    edge = (await road.gateway.until_drained())["streams"]["telemetry"]
    last = edge["next_seq"] - 1
    await road.receiver.until(
        lambda status: status["records"] + status["dropped"] == last, f"all of {last} records are accounted for"
    )
    cloud = await road.receiver.until_settled()
    found = fleet.compare(road.receiver.database)
    assert cloud["holes"] == []
    assert found.duplicates == found.strangers == 0
    assert found.received_records == cloud["records"] == len(road.receiver.lines())
    (gap,) = cloud["gaps"]
    assert gap["reasons"] == {reason: gap["records"]}
    if raced:
        assert gap["records"] <= edge["dropped"][reason]
    else:
        assert gap["records"] == edge["dropped"][reason]
    assert sum(item["count"] for item in gap["ranges"]) == gap["records"]
    assert {item["reason"] for item in gap["ranges"]} == {reason}
    # The numbers that are there and the ranges that are declared make up the whole, and share nothing.
    numbers = {line["seq"] for line in road.receiver.lines()}
    dropped = {n for item in gap["ranges"] for n in range(item["first_seq"], item["first_seq"] + item["count"])}
    assert numbers.isdisjoint(dropped)
    assert numbers | dropped == set(range(1, last + 1))
    dropped: int = gap["records"]
    assert found.published == found.received + dropped
    return dropped


@pytest.mark.parametrize("raced", [False, True], ids=["before the link is back", "while the backlog drains"])
async def test_drop_oldest_declares_exactly_what_it_dropped(broker: Mosquitto, tmp_path: Path, raced: bool) -> None:
    async with road_through(broker, tmp_path, spool={"max_size": "2MiB", "when_full": "drop_oldest"}) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), rate_per_s=800, replay=rows) as fleet:
            status = await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["dropped"]["full"] >= 500, "500 records are dropped"
            )
            assert status["spool"]["size_bytes"] <= 2 * 1024 * 1024
            assert road.gateway.get("/readyz")[0] == 200
            if raced:
                road.link.restore()
                await road.until_caught_up()
        road.link.restore()
        dropped = await account(road, fleet, "full", raced=raced)
        found = fleet.compare(road.receiver.database)
        assert found.acknowledged == found.published
        assert len(found.missing) == dropped


async def test_reject_refuses_what_does_not_fit_and_delivers_all_that_it_acknowledged(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with road_through(broker, tmp_path, spool={"max_size": "1MiB", "when_full": "reject"}) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        how = {"replay": rows, "rate_per_s": 400, "ack_timeout_s": 3.0}
        async with (
            publishing(road.gateway.endpoint, tmp_path, name="five", qos=(1, 2), protocol=5, **how) as five,
            publishing(road.gateway.endpoint, tmp_path, name="three", qos=(1, 2), protocol=4, **how) as three,
        ):
            await road.gateway.until(lambda _: road.gateway.get("/readyz")[0] == 503, "the spool has no room")
            await road.gateway.until(lambda _: _refused(five) >= 100, "the devices are told so")
            assert road.gateway.get("/healthz")[0] == 200
            waiting = road.gateway.stream()["records"]
            road.link.restore()
            await road.receiver.until_received(waiting)
            await road.gateway.until(lambda _: road.gateway.get("/readyz")[0] == 200, "there is room again")
            await road.receiver.until_received(waiting + 200)
        await road.gateway.until_drained()
        await road.receiver.until_received(road.gateway.stream()["next_seq"] - 1)
        cloud = await road.receiver.until_settled()
        assert cloud["gaps"] == cloud["holes"] == []
        assert set(road.gateway.stream()["dropped"].values()) == {0}
        for fleet in (five, three):
            found = fleet.compare(road.receiver.database)
            assert found.missing == ()
            assert found.duplicates == 0
            assert found.acknowledged > 0
        reasons = {entry.refused for entry in five.ledger.entries.values()}
        assert reasons == {None, 0x97}
        # MQTT 3.1.1 has no word for no: silence, until the device asks again and there is room.
        assert all(entry.refused is None for entry in three.ledger.entries.values())
        assert any(entry.resent for entry in three.ledger.entries.values())
        both = five.compare(road.receiver.database).received + three.compare(road.receiver.database).received
        assert both == cloud["records"]
        assert five.compare(road.receiver.database).received == five.acknowledged


def _refused(fleet: Fleet) -> int:
    return sum(entry.refused == 0x97 for entry in fleet.ledger.entries.values())


async def test_records_past_their_time_to_live_go_and_are_declared(broker: Mosquitto, tmp_path: Path) -> None:
    streams = [{"name": "telemetry", "topics": ["#"], "time_to_live": "2s"}]
    async with road_through(broker, tmp_path, streams=streams) as road:
        road.link.cut()
        await road.start()
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2)) as fleet:
            await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["dropped"]["expired"] > 0, "records expire"
            )
            road.link.restore()
            await road.until_caught_up()
        await account(road, fleet, "expired", raced=True)
