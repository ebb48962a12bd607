"""The alert rules and the Grafana dashboard of deploy/, in a real Prometheus beside a real gateway and receiver."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.edge import Edge
from tests.support.prometheus import PROGRAM, PROMTOOL, Prometheus
from tests.support.publishers import Publishers

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "fieldgate.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "fieldgate.json").read_text())
WORDS = re.compile(r"\bfieldgate_\w+(?::\w+)?\b")
VARIABLES = {"$gateway": ".*", "$receiver": ".*", "$__rate_interval": "30s"}

pytestmark = pytest.mark.skipif(
    PROGRAM is None or PROMTOOL is None, reason="prometheus is not installed (Debian: prometheus)"
)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules_and_they_raise_alarms_when_they_should_and_not_before() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(RULES.with_suffix("").with_suffix(".rules.test.yml")))


def test_every_alarm_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]
            assert rule["annotations"]["summary"].endswith("."), rule["alert"]
            assert len(rule["annotations"]["description"]) > 30, rule["alert"]


def exported(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.slow
async def test_every_rule_and_panel_asks_for_metrics_that_are_there(tmp_path: Path) -> None:
    async with Edge(tmp_path) as edge:
        addresses = {
            job: re.search(r'bind: "([\d.:]+)"', configuration.split("api:")[1])[1]  # type: ignore[index]
            for job, configuration in {
                "fieldgate": (tmp_path / "run.yaml").read_text(),
                "fieldgate-receiver": (tmp_path / "receive.yaml").read_text(),
            }.items()
        }
        async with Publishers(edge.devices, tmp_path / "ledger.jsonl") as publishers:
            publishers.say(50)
            await publishers.finished()
        await edge.settled()
        with Prometheus(tmp_path, addresses, rules=RULES) as prometheus:
            await asyncio.to_thread(prometheus.until_scraped)
            state = await asyncio.to_thread(prometheus.get, "rules")
            found = [rule for group in state["groups"] for rule in group["rules"]]
            assert len(found) == len(rules())
            assert [rule for rule in found if rule["health"] != "ok"] == []
            assert [rule["name"] for rule in found if rule.get("state") == "firing"] == []

            text = "".join([await asyncio.to_thread(exported, item.rpartition(":")[2]) for item in addresses.values()])
            declared = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
            recorded = {rule["record"] for rule in rules() if "record" in rule}
            asked = {"rule " + str(rule.get("alert") or rule.get("record")): rule["expr"] for rule in rules()}
            for title, expression in dashboard_expressions():
                asked[f"panel {title}: {expression}"] = expression
                await asyncio.to_thread(prometheus.query, expression)
            for who, expression in asked.items():
                assert set(WORDS.findall(expression)) <= declared | recorded, who

            delivered = await asyncio.to_thread(prometheus.query, "sum(fieldgate_uplink_records_total)")
            assert float(delivered[0]["value"][1]) > 0
