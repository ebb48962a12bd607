"""A scenario against a broker that is there: devices lose power and network, and the ledger still adds up."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from simulators.demo.errors import DemoFailed
from simulators.scenarios.account import Account
from simulators.scenarios.crowd import INTERRUPTED
from simulators.scenarios.member import BUFFER_FULL, Member
from simulators.scenarios.options import ScenarioOptions
from simulators.scenarios.plan import PlannedMessage, make_plan
from simulators.scenarios.play import play_scenario
from simulators.scenarios.reading import parse_scenario
from simulators.scenarios.road import gateway_configuration
from simulators.units import Endpoint
from tests.support.mosquitto import Mosquitto

ROUGH = """\
fleets:
  - name: old
    count: 4
    qos: {0: 1, 1: 3, 2: 1}
    connect_within: 200ms
    traffic: [{arrivals: poisson, rate: 60}]
  - name: new
    count: 4
    protocol: "5"
    qos: {1: 1, 2: 1}
    connect_within: 200ms
    buffer: 2
    traffic: [{arrivals: constant, rate: 60}]
  - {name: plain, count: 2, protocol: "5", session: clean, traffic: [{arrivals: poisson, rate: 20}]}
phases:
  - {name: calm, duration: 1s}
  - name: rough
    duration: 2s
    traffic: [{arrivals: flood, fleet: plain, devices: 1, messages: 100}]
    outages:
      - {fleet: old, cause: power, away: 300ms, within: 500ms, reports: 2}
      - {fleet: new, cause: network, away: 800ms}
"""


async def play(options: ScenarioOptions, stop: asyncio.Event | None = None) -> Account:
    console = Console(file=io.StringIO(), width=120)
    return await play_scenario(options, console=console, stop=stop or asyncio.Event())


async def test_devices_come_back_from_a_power_cut_and_from_a_lost_network(tmp_path: Path) -> None:
    scenario = parse_scenario(ROUGH, source="rough.yaml", name="rough")
    record = tmp_path / "plan.jsonl"
    async with Mosquitto(tmp_path) as broker:
        to = Endpoint(host="127.0.0.1", port=broker.port)
        account = await play(ScenarioOptions(scenario=scenario, to=to, folder=tmp_path / "runs", record=record))
    assert account.adds_up, account.problems
    assert not account.knows_arrivals
    plan = make_plan(scenario)
    assert account.digest == plan.digest
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(lines) == len(plan.devices) + len(plan.messages)
    old, new, plain = account.tallies
    assert (old.returned, new.returned, plain.returned) == (4, 4, 0)
    assert old.connects == new.connects == 8
    assert new.unsent[BUFFER_FULL] > 0, "0.8 s of measurements do not fit into a buffer of two"
    assert plain.published == plain.planned >= 100
    assert account.comparison.published == sum(tally.published for tally in account.tallies)
    assert (tmp_path / "runs").exists()


async def test_a_stop_ends_it_with_a_ledger_of_what_happened(tmp_path: Path) -> None:
    scenario = parse_scenario(ROUGH.replace("1s}", "60s}"), source="rough.yaml", name="rough")
    stop = asyncio.Event()
    async with Mosquitto(tmp_path) as broker:
        to = Endpoint(host="127.0.0.1", port=broker.port)
        run = asyncio.create_task(play(ScenarioOptions(scenario=scenario, to=to, folder=tmp_path / "runs"), stop))
        async with asyncio.timeout(20):
            ledgers: list[Path] = []
            while not ledgers or b'"acked"' not in ledgers[0].read_bytes():
                ledgers = list((tmp_path / "runs").glob("*/ledger.jsonl"))
                await asyncio.sleep(0.02)  # a look at the ledger, until an acknowledgement is in it
            stop.set()
            account = await run
    assert account.is_interrupted
    assert account.adds_up, account.problems
    assert account.unsent[INTERRUPTED] > 0


async def test_what_arrived_is_compared_where_the_receivers_file_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.scenarios.play.SETTLE_TIMEOUT_S", 0.5)
    scenario = parse_scenario(
        "fleets: [{name: a, traffic: [{arrivals: flood, messages: 5}]}]\nphases: [{name: p, duration: 1500ms}]\n",
        source="s.yaml",
        name="s",
    )
    plan = make_plan(scenario)
    received = tmp_path / "received.jsonl"
    text = ""
    for message in plan.messages[1:]:
        line = {"client": plan.devices[0].client_id, "topic": message.topic, "payload": message.payload.decode()}
        text += json.dumps(line) + "\n"
    async with Mosquitto(tmp_path) as broker, asyncio.TaskGroup() as group:
        to = Endpoint(host="127.0.0.1", port=broker.port)
        options = ScenarioOptions(scenario=scenario, to=to, received=received, folder=tmp_path / "runs")
        playing = group.create_task(play(options))
        async with asyncio.timeout(10):
            while not list((tmp_path / "runs").rglob("ledger.jsonl")):  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)
        received.write_text(text + '{"cli')  # the last line is being written
        account = await playing
    assert account.knows_arrivals
    assert account.problems == ("1 acknowledged messages are missing, of which 0 were dropped by policy.",)


def test_a_file_of_the_receiver_needs_the_address_of_its_gateway() -> None:
    scenario = parse_scenario(ROUGH, source="rough.yaml", name="rough")
    with pytest.raises(ValueError, match="give its --url too"):
        ScenarioOptions(scenario=scenario, received=Path("received.db"))


def test_the_gateway_of_a_scenario_is_set_up_as_it_says() -> None:
    from simulators.demo.site import Site

    end = Endpoint(host="127.0.0.1", port=1)
    site = Site(folder=Path("/x"), devices=end, cloud=end, gateway_api=end, receiver_api=end)
    keys = parse_scenario(
        ROUGH + "gateway: {max_packet_size: 64KiB, max_message_rate: 9, time_to_live: 90s}", source="s", name="s"
    ).gateway
    made = gateway_configuration(site, end, keys)
    assert made["listeners"][0]["max_packet_size"] == "65536B"
    assert made["listeners"][0]["max_message_rate"] == 9
    assert made["streams"][0]["time_to_live"] == "90s"


async def test_what_became_due_while_everything_was_held_up_is_said_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = parse_scenario(
        "fleets: [{name: a, count: 3, connect_within: 0s, traffic: [{arrivals: constant, rate: 300}]}]\n"
        "phases: [{name: p, duration: 1s}]\n",
        source="s.yaml",
        name="s",
    )
    loop = asyncio.get_running_loop()

    def stall(self: Member, message: PlannedMessage) -> None:
        if message.at_s > 0.9 and not held:
            held.append(loop.time())
            time.sleep(0.3)  # over the end: the loop comes too late to the last tenth of the plan
        publish(self, message)

    held: list[float] = []
    publish = Member.publish
    monkeypatch.setattr(Member, "publish", stall)
    async with Mosquitto(tmp_path) as broker:
        to = Endpoint(host="127.0.0.1", port=broker.port)
        account = await play(ScenarioOptions(scenario=scenario, to=to, folder=tmp_path / "runs"))
    assert held
    assert account.adds_up, account.problems
    assert account.unsent == {}
    assert account.comparison.acknowledged == 300


async def test_what_an_earlier_run_with_the_same_seed_left_behind_does_not_count_for_this_one(tmp_path: Path) -> None:
    scenario = tmp_path / "short.yaml"
    scenario.write_text(
        "fleets: [{name: f, count: 1, traffic: [{arrivals: constant, rate: 5}]}]\n"
        "phases: [{name: only, duration: 1s}]\n"
    )
    plan = make_plan(parse_scenario(scenario.read_text(), source="short.yaml", name="short"))
    received = tmp_path / "received.jsonl"
    first = plan.messages[0]
    line = {"client": plan.devices[first.device].client_id, "topic": first.topic, "payload": first.payload.decode()}
    received.write_text(json.dumps(line) + "\n")
    options = ScenarioOptions(
        scenario=plan.scenario, to=Endpoint(host="127.0.0.1", port=1), received=received, folder=tmp_path
    )
    with pytest.raises(DemoFailed, match="has 1 messages of this schedule already"):
        await play(options)
    received.write_text("not a line\n")
    with pytest.raises(DemoFailed, match=r"received.jsonl can't be read"):
        await play(options)
