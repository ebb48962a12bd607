"""What a running gateway remembers of itself, over restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.uplink_status import UplinkState
from bridge.web.audit import Audit
from config.settings import BrokerUrl, GatewaySettings, Retry, Uplink
from gateway.app import Gateway
from gateway.events import Kind
from gateway.spool.ports import Table
from tests.support.in_process import running, settings_with
from tests.support.plain_mqtt import PlainClient


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    uplink = Uplink(url=BrokerUrl(host="127.0.0.1", port=1), retry=Retry(first_s=600.0, max_s=600.0))
    return replace(settings_with(tmp_path), uplinks=(uplink,))


def texts(gateway: Gateway, kind: Kind) -> list[str]:
    return [event.text for event in gateway.chronicle.events.newest(100, kinds=(kind,))]


def look_again(gateway: Gateway) -> None:
    """As the second after would."""
    gateway.chronicle._last_feed_s = float("-inf")
    gateway.chronicle.feed()


async def test_starting_and_stopping_is_remembered_over_restarts(settings: GatewaySettings) -> None:
    async with running(settings):
        pass
    async with running(settings) as (gateway, _):
        found = texts(gateway, Kind.GATEWAY)
    assert [text.split()[-1] for text in found] == ["started.", "order.", "started."]


async def test_history_and_states_are_there_after_a_restart(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, port):
        device = await PlainClient.connect("127.0.0.1", port, "d")
        device.publish("a", b"1")
        await device.read()
        await device.abort()
        look_again(gateway)
    async with running(settings) as (gateway, _):
        now_s = gateway.chronicle._clock.now_us() / 1e6
        body = gateway.chronicle.history.body("1h", now_s)
        assert 1 in body["records"]
        segments = gateway.chronicle.segments.body(["cloud"], 0, now_s)["cloud"]
        assert len(segments) >= 2


async def test_a_clock_that_is_set_in_the_midst_of_an_outage_does_not_make_it_longer(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings) as (gateway, _):
        tell: Any = gateway.uplinks["cloud"].on_state
        tell(UplinkState.BACKING_OFF, "No route to host.")
        clock = gateway.chronicle._clock
        year_us, now_us = 365 * 86_400 * 1_000_000, clock.now_us
        monkeypatch.setattr(clock, "now_us", lambda: now_us() + 50 * year_us)
        look_again(gateway)
        (figures,) = gateway.overview.figures().uplinks
        assert 0 <= figures.for_s < 60
        monkeypatch.setattr(clock, "now_us", now_us)
        tell(UplinkState.ONLINE, None)  # before the second is over after which somebody looks
        assert gateway.overview.since_s("cloud") == pytest.approx(now_us() / 1e6, abs=30)
        assert [item["state"] for item in gateway.chronicle.segments.body(["cloud"], 0, 1e12)["cloud"]][-1] == "online"


async def test_what_is_dropped_is_told_when_it_begins_and_not_each_time(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        lane = gateway.spool.lanes["telemetry"]
        for number in range(1, 6):
            lane.dropped["full"] = 10 * number
            look_again(gateway)
        assert texts(gateway, Kind.SPOOL) == [
            "Stream telemetry: records are dropped for want of room, the oldest first; 10 so far."
        ]
        assert gateway.overview.figures().dropped == {"full": 50}


async def test_an_outage_is_told_once_with_its_reason(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        tell: Any = gateway.uplinks["cloud"].on_state
        for _attempt in range(5):
            tell(UplinkState.BACKING_OFF, "No route to host.")
            tell(UplinkState.CONNECTING, None)
        tell(UplinkState.ONLINE, None)
        found = texts(gateway, Kind.UPLINK)
    assert found[0] == "Uplink cloud is connected."
    assert len([text for text in found if "no connection" in text]) == 1


async def test_clients_that_are_refused_are_counted_together(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        gateway.broker.counters.refused_connects["bad_password"] += 1
        look_again(gateway)
        gateway.broker.counters.refused_connects["bad_password"] += 5000
        look_again(gateway)
        assert texts(gateway, Kind.DEVICE) == ["1 client was not let in: bad password."]


async def test_what_an_operator_does_is_kept_with_who_it_was(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        common: Any = {"user": "anna", "role": "viewer", "address": "127.0.0.1", "action": "pause the uplink"}
        gateway.chronicle.audit(Audit(**common, target="cloud", outcome="refused", why="That needs an operator."))
    async with running(settings) as (gateway, _):
        (event,) = gateway.chronicle.events.newest(5, kinds=(Kind.AUDIT,))
    assert event.text == "anna: pause the uplink cloud: refused. That needs an operator."
    assert (event.user, event.subject, event.state, event.severity) == ("anna", "cloud", "refused", "warning")


async def test_looking_at_itself_costs_little_and_writes_nothing_by_itself(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        await gateway.spool.flush()
        commits = gateway.spool.counters.commits
        for _ in range(50):
            look_again(gateway)
        await asyncio.sleep(0)
        assert gateway.spool.counters.commits == commits


async def test_rows_of_both_tables_have_keys_that_do_not_meet(settings: GatewaySettings) -> None:
    async with running(settings) as (gateway, _):
        look_again(gateway)
    gateway = await Gateway.open(settings)
    try:
        keys = [int(key) for key, _ in gateway.spool.load(Table.HISTORY)]
        assert len(keys) == len(set(keys))
        assert {key >> 40 for key in keys} >= {0, 2}
    finally:
        await gateway.accesses.close()
        await gateway.spool.close()
