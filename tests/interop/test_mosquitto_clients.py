"""Mosquitto's command-line clients, as publishers and as local subscribers."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from tests.interop.conftest import Edge

TIMEOUT_S = 60.0
VERSIONS = ("311", "5")

pytestmark = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")


async def run(program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Run a client to its end; what it wrote on standard output."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, errors = await process.communicate(stdin)
    assert process.returncode == 0, errors.decode()
    assert not errors, errors.decode()
    return out


@pytest.fixture
async def follow() -> AsyncIterator[Callable[..., object]]:
    """Start clients that go on until the test ends."""
    started: list[asyncio.subprocess.Process] = []

    async def start(program: str, *arguments: str, stdin: bool = False) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("version", VERSIONS)
async def test_mosquitto_pub_arrives_with_topic_qos_and_retain(edge: Edge, version: str) -> None:
    at = ("-p", str(edge.port), "-V", version)
    for qos in "012":
        await run("mosquitto_pub", *at, "-i", f"pub-{qos}", "-q", qos, "-t", f"plant/q{qos}", "-m", f"m{qos} äöü")
        await run("mosquitto_pub", *at, "-i", f"pub-{qos}", "-q", qos, "-t", f"kept/q{qos}", "-r", "-m", f"r{qos}")
    many = "".join(f"line {n}\n" for n in range(50)).encode()
    await run("mosquitto_pub", *at, "-i", "many", "-q", "2", "-t", "plant/many", "-l", stdin=many)
    await run("mosquitto_pub", *at, "-i", "raw", "-q", "1", "-t", "plant/raw", "-s", stdin=bytes(range(256)))
    await run("mosquitto_pub", *at, "-i", "raw", "-q", "1", "-t", "plant/empty", "-n")
    lines = await edge.received(6 + 50 + 2)
    seen = {line["topic"]: line for line in lines}
    for qos in (0, 1, 2):
        plain, kept = seen[f"plant/q{qos}"], seen[f"kept/q{qos}"]
        assert (plain["client"], plain["qos"], plain["retain"], plain["payload"]) == (
            f"pub-{qos}", qos, False, f"m{qos} äöü",
        )  # fmt: skip
        assert (kept["qos"], kept["retain"], kept["payload"]) == (qos, True, f"r{qos}")
    assert [line["payload"] for line in lines if line["client"] == "many"] == [f"line {n}" for n in range(50)]
    assert base64.b64decode(seen["plant/raw"]["payload_base64"]) == bytes(range(256))
    assert seen["plant/empty"]["payload"] == ""
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


async def test_mosquitto_pub_properties_arrive(edge: Edge) -> None:
    properties = [
        *("-D", "publish", "user-property", "unit", "°C"),
        *("-D", "publish", "user-property", "unit", "K"),
        *("-D", "publish", "content-type", "text/plain"),
        *("-D", "publish", "response-topic", "answers/1"),
        *("-D", "publish", "correlation-data", "abc"),
        *("-D", "publish", "payload-format-indicator", "1"),
        *("-D", "publish", "message-expiry-interval", "3600"),
    ]
    at = ("-p", str(edge.port), "-V", "5", "-i", "five")
    await run("mosquitto_pub", *at, "-q", "1", "-t", "plant/a", "-m", "21.5", *properties)
    (line,) = await edge.received(1)
    found = line["properties"]
    assert found["user_property"] == [["unit", "°C"], ["unit", "K"]]
    assert found["content_type"] == "text/plain"
    assert found["response_topic"] == "answers/1"
    assert base64.b64decode(found["correlation_data_base64"]) == b"abc"
    assert found["payload_format_indicator"] == 1
    assert found["message_expiry_interval"] == 3600


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_will_of_a_killed_client_arrives_and_that_of_a_polite_one_does_not(
    edge: Edge, follow: Callable[..., object], version: str
) -> None:
    will = ("--will-topic", "state/device", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
    at = ("-p", str(edge.port), "-V", version, "-q", "1", "-t", "plant/a")
    await run("mosquitto_pub", *at, "-i", "polite", "-m", "x", *will)
    victim = await follow("mosquitto_pub", *at, "-i", "victim", "-l", *will, stdin=True)  # type: ignore[misc]
    victim.stdin.write(b"hello\n")
    await victim.stdin.drain()
    await edge.received(2)
    victim.send_signal(signal.SIGKILL)
    lines = await edge.received(3)
    last = lines[-1]
    assert (last["client"], last["topic"], last["payload"]) == ("victim", "state/device", "gone")
    assert (last["qos"], last["retain"]) == (1, True)


@pytest.mark.parametrize("version", VERSIONS)
async def test_mosquitto_sub_gets_what_matches_live_and_retained(
    edge: Edge, follow: Callable[..., object], version: str
) -> None:
    at = ("-p", str(edge.port), "-V", version)
    await run("mosquitto_pub", *at, "-q", "1", "-r", "-t", "plant/1/temperature", "-m", "kept")
    await run("mosquitto_pub", *at, "-q", "1", "-r", "-t", "plant/1/pressure", "-m", "not asked for")
    output = ("-F", "%t %q %r %p")
    subscriber = await follow(  # type: ignore[misc]
        "mosquitto_sub", *at, *output, "-q", "2", "-t", "plant/+/temperature", "-t", "alarms/#"
    )

    async def next_line() -> str:
        async with asyncio.timeout(TIMEOUT_S):
            return (await subscriber.stdout.readline()).decode().strip()

    assert await next_line() == "plant/1/temperature 1 1 kept"
    for qos in "012":
        await run("mosquitto_pub", *at, "-q", qos, "-t", "plant/7/temperature", "-m", f"live {qos}")
        assert await next_line() == f"plant/7/temperature {qos} 0 live {qos}"
    await run("mosquitto_pub", *at, "-q", "1", "-t", "plant/7/pressure", "-m", "no")
    await run("mosquitto_pub", *at, "-q", "1", "-t", "alarms", "-m", "parent")
    assert await next_line() == "alarms 1 0 parent"
    await run("mosquitto_pub", *at, "-q", "1", "-r", "-n", "-t", "plant/1/temperature")
    assert await next_line() == "plant/1/temperature 1 0"
    again = ("mosquitto_sub", *at, *output, "-t", "plant/#", "-C", "1")
    assert (await run(*again)).decode().strip() == "plant/1/pressure 0 1 not asked for"
