"""The parts of the demo."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from simulators.comparison import Comparison
from simulators.demo import DemoOptions
from simulators.demo.child import Child
from simulators.demo.scene import Scene
from simulators.demo.site import free_endpoints, held_ports, make_site
from simulators.demo.verdict import Verdict, judge, publish_size
from simulators.demo.view import LiveView, PlainView, clock, figures, make_view, panel, show_verdict
from simulators.devices import FleetProgress
from simulators.ledger import Entry, LedgerWriter, payload_id
from simulators.link_model import LinkState
from simulators.units import Endpoint


def gateway_status(*, uptime_s: float, delivered: int, waiting: int = 0, state: str = "online") -> dict[str, Any]:
    return {
        "uptime_s": uptime_s,
        "listeners": [{"name": "local", "bind": "127.0.0.1:1883", "connections": 3}],
        "streams": {"telemetry": {"records": waiting, "bytes": waiting * 50}},
        "uplinks": {
            "cloud": {
                "state": state,
                "in_flight": 1,
                "records": delivered,
                "raw_bytes": delivered * 100,
                "wire_bytes": delivered * 20,
            }
        },
    }


def fleet_progress(**changes: object) -> FleetProgress:
    whole: dict[str, Any] = {
        "devices": 20,
        "connected": 19,
        "published": 1234,
        "acknowledged": 1200,
        "refused": 0,
        "resent": 0,
        "reconnects": 0,
        "in_flight": 34,
        "rate_per_s": 199.6,
        "elapsed_s": 3.0,
        "last_error": None,
    }
    return FleetProgress(**{**whole, **changes})


def test_the_gateways_counters_go_on_over_its_restart() -> None:
    scene = Scene(duration_s=60)
    scene.saw_gateway(gateway_status(uptime_s=5, delivered=70))
    scene.saw_gateway(gateway_status(uptime_s=9, delivered=100))
    scene.saw_gateway(None)
    assert (scene.delivered, scene.waiting, scene.uplink) == (100, None, "gateway away")
    scene.saw_gateway(gateway_status(uptime_s=1, delivered=5))
    scene.saw_gateway(gateway_status(uptime_s=2, delivered=30, waiting=7))
    assert (scene.delivered, scene.plain_bytes, scene.wire_bytes) == (130, 13_000, 2_600)
    assert (scene.waiting, scene.waiting_bytes, scene.in_flight, scene.connections) == (7, 350, 1, 3)


def test_every_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {make_site(tmp_path / "demo data").folder for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.is_dir() for folder in folders)


def test_ports_are_different_and_a_taken_one_is_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoints = free_endpoints()
        ports = {endpoint.port for endpoint in endpoints.values()}
        assert len(ports) == len(endpoints) == 4
        assert taken.getsockname()[1] not in ports


async def test_ports_are_held_for_their_owners_and_given_to_nobody_else(tmp_path: Path) -> None:
    site = make_site(tmp_path, usual_ports=False)
    cloud = site.cloud
    with held_ports(site):
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((cloud.host, cloud.port))
        for _ in range(2):  # with a port that is held still after its first life
            server = await asyncio.start_server(lambda *_: None, cloud.host, cloud.port)
            server.close()
            await server.wait_closed()
    with socket.create_server((cloud.host, cloud.port)):
        pass


def test_the_configurations_say_what_the_site_has(tmp_path: Path) -> None:
    site = make_site(tmp_path / 'a "quoted" folder: #1')
    site.write_configurations(uplink=Endpoint(host="127.0.0.1", port=4711))
    gateway = yaml.safe_load(site.gateway_yaml.read_text())
    receiver = yaml.safe_load(site.receiver_yaml.read_text())
    assert gateway["uplinks"][0]["url"] == "mqtt://127.0.0.1:4711"
    assert gateway["uplinks"][0]["protocol"] == receiver["receiver"]["protocol"] == "3.1.1"
    assert gateway["listeners"][0]["bind"] == str(site.devices)
    assert receiver["receiver"]["url"] == f"mqtt://{site.cloud}"
    assert [sink["path"] for sink in receiver["sinks"]] == [str(site.received_jsonl), str(site.received_db)]


@pytest.mark.parametrize(
    "impossible", [{"duration_s": 5}, {"count": 0}, {"rate_per_s": 0}, {"rate_per_s": 1e6}, {"qos": 0}]
)
def test_impossible_options_can_not_be_made(impossible: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        DemoOptions(**impossible)  # type: ignore[arg-type]


def test_the_size_of_a_plain_publish_is_that_of_the_protocol() -> None:
    assert [publish_size(1, size) for size in (0, 122, 123, 16_378, 16_379)] == [7, 129, 131, 16_386, 16_388]


def test_the_verdict_adds_the_ledger_and_the_database_up(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path / "ledger.jsonl") as ledger:
        for payload in (b"1", b"2"):
            name = payload_id("d", "t", payload)
            ledger.sent(name, "d", "t", 1, payload)
            ledger.acked(name)
    with contextlib.closing(sqlite3.connect(tmp_path / "received.db")) as database:
        database.execute("CREATE TABLE record (client, topic, payload BLOB)")
        database.execute("INSERT INTO record VALUES ('d', 't', ?)", (b"1",))
        database.commit()
        half = judge(tmp_path / "ledger.jsonl", tmp_path / "received.db", duplicates_dropped=3, wire_bytes=2)
        database.execute("INSERT INTO record VALUES ('d', 't', ?)", (b"2",))
        database.commit()
        whole = judge(tmp_path / "ledger.jsonl", tmp_path / "received.db", duplicates_dropped=3, wire_bytes=4)
    assert (half.good, len(half.comparison.missing), half.plain_bytes) == (False, 1, 8)
    assert (whole.good, whole.plain_bytes, whole.saved) == (True, 16, 0.75)


def shown(renderable: object, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_panel_shows_everything_at_a_glance() -> None:
    scene = Scene(duration_s=60)
    scene.fleet = fleet_progress()
    scene.saw_gateway(gateway_status(uptime_s=5, delivered=1000, waiting=2345))
    scene.receiver = {"records": 990, "duplicates": 12}
    scene.saw_link(LinkState.CUT)
    scene.tell("The cloud link is cut; records wait on disk.")
    text = shown(panel(scene))
    for part in (
        "00:00 of 01:00",
        "The cloud link is cut; records wait on disk.",
        "19/20 connected, 200/s",
        "1,200 of 1,234",
        "2,345 records, 117.2 kB",
        "online, link cut, 1 frame in flight",
        "80.0 kB of 100.0 kB (80%)",
        "990 in the cloud, 12 duplicates dropped",
    ):
        assert part in text


def test_the_figures_stand_also_while_nobody_answers() -> None:
    found = dict(figures(Scene(duration_s=60)))
    assert found["queue on disk"] == "the gateway is away"
    assert found["bytes saved"] == "nothing sent yet"
    assert found["uplink"] == "gateway away, link up"


def test_nothing_that_waits_has_no_size_and_one_of_a_thing_is_one() -> None:
    scene = Scene(duration_s=60)
    scene.saw_gateway(gateway_status(uptime_s=5, delivered=1000, waiting=0))
    scene.receiver = {"records": 990, "duplicates": 1}
    found = dict(figures(scene))
    assert found["queue on disk"] == "0 records"
    assert found["received"] == "990 in the cloud, 1 duplicate dropped"
    scene.saw_gateway(gateway_status(uptime_s=6, delivered=1000, waiting=1))
    assert dict(figures(scene))["queue on disk"].startswith("1 record, ")


def test_the_time_goes_on_behind_its_end_without_it() -> None:
    now_s = 0.0
    scene = Scene(duration_s=60, now_s=lambda: now_s)
    now_s = 185.0
    assert "03:05 ─" in shown(panel(scene))


def test_the_clock_does_not_go_back_when_the_devices_begin() -> None:
    now_s = 100.0
    scene = Scene(duration_s=60, now_s=lambda: now_s)
    now_s = 103.0
    scene.tell("The gateway starts.")
    scene.begin()
    scene.tell("The devices publish.")
    now_s = 110.0
    assert [at_s for at_s, _ in scene.events] == [3, 3]
    assert (scene.elapsed_s, scene.acted_s) == (10, 7)
    assert "00:10 of 01:03" in shown(panel(scene))


def test_a_narrow_terminal_breaks_no_line_of_figures() -> None:
    scene = Scene(duration_s=60)
    scene.fleet = fleet_progress()
    lines = shown(panel(scene), width=40).splitlines()
    assert max(len(line) for line in lines) <= 40


def test_without_a_terminal_there_are_plain_lines() -> None:
    scene = Scene(duration_s=60)
    output = io.StringIO()
    view = make_view(scene, Console(file=output, width=80))
    assert isinstance(view, PlainView)
    view.open()
    view.tell(scene.tell("The cloud link is cut; [records] wait on disk."))
    scene.receiver = {"records": 1, "duplicates": 0}
    view.refresh()
    view.refresh()  # not again so soon
    view.close()
    lines = output.getvalue().splitlines()
    assert lines[0] == "00:00  The cloud link is cut; [records] wait on disk."
    assert len(lines) == 2
    assert "\x1b" not in output.getvalue()


@pytest.mark.parametrize(("term", "kind"), [("xterm-256color", LiveView), ("dumb", PlainView), ("", PlainView)])
def test_a_terminal_is_drawn_on_only_if_it_can_do_it(
    monkeypatch: pytest.MonkeyPatch, term: str, kind: type[object]
) -> None:
    monkeypatch.setenv("TERM", term)
    assert isinstance(make_view(Scene(duration_s=60), Console(file=io.StringIO(), force_terminal=True)), kind)


def test_the_clock_counts_minutes() -> None:
    assert [clock(at) for at in (-1, 0, 59.9, 61, 3600)] == ["00:00", "00:00", "00:59", "01:01", "60:00"]


@pytest.mark.parametrize(
    ("missing", "duplicates", "words"),
    [
        ((), 0, "Nothing that was acknowledged is missing."),
        (
            (Entry("ab12", "climate-0001", "plant/x", 1, 1, acked_at_us=2),),
            0,
            "missing: ab12 of climate-0001 on plant/x",
        ),
        ((), 2, "The ledger does not add up."),
    ],
)
def test_the_ledger_ends_with_what_it_comes_to(missing: tuple[Entry, ...], duplicates: int, words: str) -> None:
    comparison = Comparison(
        published=3,
        acknowledged=3,
        refused=0,
        received=3 - len(missing),
        received_records=3,
        missing=missing,
        duplicates=duplicates,
        resent=0,
        unacknowledged=0,
        strangers=0,
    )
    verdict = Verdict(comparison=comparison, duplicates_dropped=0, wire_bytes=1, plain_bytes=4)
    output = io.StringIO()
    show_verdict(Console(file=output, width=90), verdict)
    assert words in output.getvalue()
    assert verdict.good == (not missing and not duplicates)


async def test_a_process_that_fails_is_named_with_its_log_and_its_last_words(tmp_path: Path) -> None:
    child = Child("gateway", tmp_path / "gateway.log", "no-such-command")
    await child.start()
    assert await asyncio.wait_for(child.ended(), 30) == 2
    assert not child.end_expected
    message = str(child.failure("ended by itself"))
    assert message.startswith(f"The gateway ended by itself. Its log is {tmp_path / 'gateway.log'}; it ends with:")
    assert "no-such-command" in message
    await child.stop()


async def test_a_process_is_killed_at_once_and_can_be_started_again(tmp_path: Path) -> None:
    address = free_endpoints()["cloud"]
    child = Child("cloud", tmp_path / "cloud.log", "simulate", "cloud", "--bind", str(address))
    await child.start()
    first = child.pid
    assert first is not None
    assert os.getpgid(first) == first  # Ctrl-C in the terminal is not for it
    await child.kill()
    assert child.end_expected
    assert await child.ended() == -signal.SIGKILL
    await child.start()
    assert child.pid not in (None, first)
    assert not child.end_expected
    await child.stop()
    assert child.pid is None
