"""`fieldgate simulate scenario`: its list, its wrong usage, and a run that can't add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from simulators.scenarios.ready import ready_names
from tests.support.mosquitto import Mosquitto

SHORT = """\
fleets: [{name: a, count: 2, connect_within: 0s, traffic: [{arrivals: flood, devices: 2, messages: 20}]}]
phases: [{name: only, duration: 1s}]
"""


def scenario(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["simulate", "scenario", *words], prog_name="fieldgate")


def test_the_list_has_a_line_for_each_ready_made_scenario() -> None:
    result = scenario("--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(ready_names())
    assert all(len(line) < 150 for line in result.stdout.splitlines())
    rows = json.loads(scenario("--list", "--json").stdout)
    assert [row["name"] for row in rows] == list(ready_names())
    assert all(row["shows"] and row["duration_s"] < 60 and row["devices"] < 200 for row in rows)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "Name a file or a ready-made scenario"),
        (["satelite"], 1, "did you mean 'satellite'?"),
        (["nowhere.yaml"], 1, "nowhere.yaml: this file can't be read"),
        (["satellite", "--url", "http://x"], 2, "not a broker's address"),
        (["satellite", "--received", "x.db"], 2, "give its --url too"),
    ],
    ids=["nothing", "slip", "no file", "no broker", "no url"],
)
def test_wrong_usage_is_told(words: list[str], code: int, says: str) -> None:
    result = scenario(*words)
    assert result.exit_code == code
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_the_mistakes_of_a_file_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SHORT + "sped: 2\n")
    result = scenario(str(path))
    assert result.exit_code == 1
    assert f"{path}:3:1: sped: there is no key 'sped' here; did you mean 'speed'?" in result.stderr


def test_a_scenario_is_played_against_a_gateway_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SHORT)
    with Mosquitto(tmp_path) as broker:
        result = scenario(str(path), "--url", f"mqtt://127.0.0.1:{broker.port}", "--seed", "9", "--json")
    assert result.exit_code == 0, result.output
    ledger = json.loads(result.stdout)
    assert (ledger["adds_up"], ledger["seed"], ledger["scenario"]) == (True, 9, "s")
    assert (ledger["planned"], ledger["published"], ledger["acknowledged"], ledger["arrived"]) == (40, 40, 40, None)
    assert "40 messages, schedule" in result.stderr
