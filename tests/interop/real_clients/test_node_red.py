"""Node-RED without its editor: a flow of `mqtt in`, `function` and `mqtt out` at the gateway's doors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import PASSWORDS, Door, FrontDoor
from tests.support.npm import npm_modules
from tests.support.ports import steady_port

pytestmark = pytest.mark.slow

START_TIMEOUT_S = 180.0


@pytest.fixture(scope="module")
def node_red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program is, once it is installed."""
    return npm_modules(tmp_path_factory.mktemp("node-red"), "node-red@4") / "node-red" / "red.js"


def flow(name: str, door: Door, version: int) -> list[dict[str, Any]]:
    """Reads `red/NAME/in`, doubles the number, writes it to `red/NAME/out` with the same correlation data."""
    broker = {
        "id": f"broker-{name}",
        "type": "mqtt-broker",
        "name": name,
        "broker": "127.0.0.1",
        "port": str(door.port),
        "tls": f"tls-{name}" if door.is_tls else "",
        "clientid": f"red-{name}",
        "autoConnect": True,
        "usetls": door.is_tls,
        "protocolVersion": str(version),
        "keepalive": "60",
        "cleansession": False,
        "sessionExpiry": "3600",
        "birthTopic": f"free/red/{name}/status",
        "birthQos": "1",
        "birthRetain": "true",
        "birthPayload": "online",
        "willTopic": f"free/red/{name}/status",
        "willQos": "1",
        "willRetain": "true",
        "willPayload": "offline",
        "closeTopic": "",
    }
    nodes: list[dict[str, Any]] = [
        {"id": f"tab-{name}", "type": "tab", "label": name},
        broker,
        {
            "id": f"in-{name}",
            "type": "mqtt in",
            "z": f"tab-{name}",
            "topic": f"free/red/{name}/in",
            "qos": "2",
            "datatype": "json",
            "broker": f"broker-{name}",
            "nl": True,
            "rap": True,
            "rh": 0,
            "inputs": 0,
            "wires": [[f"function-{name}"]],
        },
        {
            "id": f"function-{name}",
            "type": "function",
            "z": f"tab-{name}",
            "func": "msg.payload = {value: msg.payload.value * 2}; delete msg.topic; return msg;",
            "outputs": 1,
            "wires": [[f"out-{name}"]],
        },
        {
            "id": f"out-{name}",
            "type": "mqtt out",
            "z": f"tab-{name}",
            "topic": f"free/red/{name}/out",
            "qos": "1",
            "retain": "false",
            "broker": f"broker-{name}",
            "wires": [],
        },
    ]
    if door.is_tls:
        nodes.append({
            "id": f"tls-{name}", "type": "tls-config", "ca": str(door.ca_file), "cert": "", "key": "",
            "verifyservercert": True,
        })  # fmt: skip
    return nodes


def write(folder: Path, nodes: list[dict[str, Any]], names: list[str]) -> None:
    """The flows, their brokers' passwords and the settings."""
    folder.mkdir()
    (folder / "flows.json").write_text(json.dumps(nodes))
    secrets = {f"broker-{name}": {"user": "ann", "password": PASSWORDS["ann"]} for name in names}
    (folder / "flows_cred.json").write_text(json.dumps(secrets))
    settings = {
        "flowFile": "flows.json",
        "credentialSecret": False,
        "uiHost": "127.0.0.1",
        "uiPort": steady_port(),
        "httpAdminRoot": False,
        "httpNodeRoot": False,
        "userDir": str(folder),
        "telemetry": {"enabled": False},
    }
    (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};")


@contextlib.asynccontextmanager
async def running(
    program: Path, folder: Path, nodes: list[dict[str, Any]]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Node-RED with these flows; it has started them when this returns."""
    names = [node["name"] for node in nodes if node["type"] == "mqtt-broker"]
    write(folder, nodes, names)
    process = await asyncio.create_subprocess_exec(
        *("node", str(program), "-u", str(folder), "-s", str(folder / "settings.js")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            async for line in process.stdout:
                said.append(line.decode())
                if "Started flows" in said[-1]:
                    break
            else:
                raise AssertionError("Node-RED has ended:\n" + "".join(said))
        rest = asyncio.create_task(process.stdout.read())
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await rest


async def test_flows_of_node_red_run_at_several_doors_and_over_a_restart_of_the_gateway(
    own_site: FrontDoor, clients: Clients, node_red: Path, tmp_path: Path
) -> None:
    doors = {"tcp4": ("passwords", 4), "tcp5": ("passwords", 5), "tls4": ("tls", 4), "tls5": ("tls", 5)}
    nodes = [node for name, (door, version) in doors.items() for node in flow(name, own_site.doors[door], version)]
    who = {"username": "ann", "password": PASSWORDS["ann"]}
    peer = await clients("paho-5", own_site.doors["passwords"], "plant", clean=False, expiry_s=600, **who)
    await peer.connect()
    await peer.subscribe("free/red/+/status", 1)
    await peer.subscribe("free/red/+/out", 1)

    async def until_statuses(wanted: str) -> None:
        missing = set(doors)
        while missing:
            heard = await peer.hear()
            if heard.topic.endswith("/status") and heard.text == wanted:
                missing.discard(heard.topic.split("/")[2])

    async def round_trips() -> None:
        for name, (_, version) in doors.items():
            text = json.dumps({"value": 21})
            properties = {"correlation_data": b"c", "user_property": [("unit", "K")]}
            await peer.publish(f"free/red/{name}/in", text, 2, properties=properties)
            while (heard := await peer.hear()).topic.endswith("/status"):
                pass
            assert (heard.topic, json.loads(heard.payload)) == (f"free/red/{name}/out", {"value": 42})
            if version == 5:
                assert heard.properties["correlation_data"] == b"c"
                assert heard.properties["user_property"] == [("unit", "K")]

    async with running(node_red, tmp_path / "red", nodes) as process:
        await until_statuses("online")
        await round_trips()
        own_site.gateway.kill()
        await peer.until_gone()
        await own_site.gateway.start()
        await peer.connect()
        await until_statuses("online")  # it connects again by itself
        await round_trips()
        process.kill()
        await until_statuses("offline")
