"""The loads of ingest and end to end with a password file and an access list of 100 rules, the same files for both."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.load import edge, mosquitto
from simulators.load.processes import Child
from simulators.load.run import run_against
from tests.bench import bench_end_to_end, bench_ingest
from tests.bench.bench_end_to_end import cloud
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side, Target
from tests.bench.cloud import publish_sentinel
from tests.bench.loads import Load

USER, PASSWORD = "bench", "correct horse battery staple"
RULES = 100
_TIMEOUT_S = 120.0
_AS_USER = (("username", USER), ("password", PASSWORD))
GUARDED = (
    Load(name="acl", title="password file and 100 rules", messages=400_000, differs=_AS_USER),
    Load(
        name="acl-mqtt5",
        title="password file and 100 rules, MQTT 5 with a user property",
        messages=200_000,
        differs=(*_AS_USER, ("version", 5), ("user_property", True)),
    ),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """The two files, in a folder."""

    passwords: Path
    acl: Path

    @classmethod
    def written(cls, folder: Path) -> Guard:
        """Written by mosquitto_passwd, and by hand. Raises FileNotFoundError where that is not installed."""
        folder.mkdir(parents=True, exist_ok=True)
        program = shutil.which("mosquitto_passwd")
        if program is None:
            raise FileNotFoundError("mosquitto_passwd is not installed.")
        passwords, acl = folder / "passwords", folder / "acl"
        passwords.touch(mode=0o600)
        subprocess.run([program, "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True, timeout=20)
        rules = [f"topic readwrite area-{number}/%u/#" for number in range(RULES - 2)]
        rules = [f"pattern readwrite area-{number}/%c/#" if number % 3 else rule for number, rule in enumerate(rules)]
        # The one that allows comes last, so that nobody finds it at once.
        lines = [
            f"user {USER}",
            *(line for line in rules if line.startswith("topic")),
            "topic readwrite plant/+/+/telemetry",
        ]
        lines += ["topic readwrite bench/#", *(line for line in rules if line.startswith("pattern"))]
        acl.write_text("\n".join(lines) + "\n")
        acl.chmod(0o600)
        return cls(passwords, acl)

    @property
    def sections(self) -> dict[str, Any]:
        """For the gateway."""
        return {"access": [{"name": "default", "password_file": str(self.passwords), "acl_file": str(self.acl)}]}

    @property
    def lines(self) -> list[str]:
        """For Mosquitto."""
        return ["allow_anonymous false", f"password_file {self.passwords}", f"acl_file {self.acl}"]


def ingest_ours(load: Load) -> Side:
    """The gateway alone."""

    def measure(context: Context) -> Figures:
        guard = Guard.written(context.folder / "guard")
        gateway = edge.start(context.folder, sections=guard.sections)
        with gateway.child:
            return _ingest(context, load, gateway.child, gateway.port)

    return Side(name=OURS, measure=measure)


def ingest_peer(load: Load) -> Side:
    """Mosquitto with no subscriber."""

    def measure(context: Context) -> Figures:
        guard = Guard.written(context.folder / "guard")
        broker = mosquitto.start(context.folder, lines=guard.lines)
        with broker.child:
            return _ingest(context, load, broker.child, broker.port)

    return Side(name=PEER, measure=measure)


def _ingest(context: Context, load: Load, child: Child, port: int) -> Figures:
    cpu_before_s = child.cpu_s()
    result = run_against(child, load.options(port=port, messages=context.messages(load.messages)), timeout_s=_TIMEOUT_S)
    return bench_ingest.figures(result, child.cpu_s() - cpu_before_s)


def end_to_end_ours(load: Load) -> Side:
    """The gateway and a cloud broker where nobody consumes."""

    def measure(context: Context) -> Figures:
        guard = Guard.written(context.folder / "guard")
        messages = context.messages(load.messages)
        with cloud(context, subscribed=None, link=()) as (port, eye):
            gateway = edge.start(context.folder / "edge", cloud_port=port, protocol="3.1.1", sections=guard.sections)
            with gateway.child:
                gateway.child.wait_until(
                    lambda: gateway.status()["uplinks"][edge.UPLINK]["state"] == "online",
                    timeout_s=20,
                    what="the uplink",
                )
                before = eye.settled_counters()
                options = load.options(port=gateway.port, messages=messages)
                result = run_against(gateway.child, options, timeout_s=_TIMEOUT_S)
                ended_s = gateway.wait_until_delivered(messages, timeout_s=_TIMEOUT_S)
                received = eye.settled_counters()
        return bench_end_to_end.figures(result, ended_s, wire_bytes=received[1] - before[1])

    return Side(name=OURS, measure=measure)


def end_to_end_peer(load: Load) -> Side:
    """Mosquitto, bridging to the same."""

    def measure(context: Context) -> Figures:
        guard = Guard.written(context.folder / "guard")
        messages = context.messages(load.messages)
        with cloud(context, subscribed=None, link=()) as (port, eye):
            broker = mosquitto.start(
                context.folder / "edge", bridge_to=port, max_inflight=context.bridge_inflight, lines=guard.lines
            )
            with broker.child:
                eye.wait_for_bridge(broker.port, username=USER, password=PASSWORD)
                before = eye.settled_counters()
                options = load.options(port=broker.port, messages=messages)
                result = run_against(broker.child, options, timeout_s=_TIMEOUT_S)
                publish_sentinel(broker.port, username=USER, password=PASSWORD)
                ended_s = eye.wait_for_sentinel(timeout_s=_TIMEOUT_S)
                received = eye.settled_counters()
        return bench_end_to_end.figures(result, ended_s, wire_bytes=received[1] - before[1])

    return Side(name=bench_end_to_end.BRIDGE, measure=measure)


def cases() -> list[Case]:
    """Ingest and end to end, each with MQTT 3.1.1 and 5."""
    return [
        *(
            Case(
                name=f"ingest-{load.name}",
                title=f"Durable ingest: {load.title}",
                says="The same password file and ACL file for both.",
                sides=(ingest_ours(load), ingest_peer(load)),
                figures=bench_ingest.FIGURES,
                targets=(Target(figure="acknowledged/s", value=2.0, of_ratio=True),),
            )
            for load in GUARDED
        ),
        *(
            Case(
                name=f"end-to-end-{load.name}",
                title=f"End to end: {load.title}",
                says="The same password file and ACL file for both; nobody consumes at the cloud broker.",
                sides=(end_to_end_ours(load), end_to_end_peer(load)),
                figures=bench_end_to_end.FIGURES,
                targets=(Target(figure="records/s", value=3.0, of_ratio=True),),
            )
            for load in GUARDED
        ),
    ]
