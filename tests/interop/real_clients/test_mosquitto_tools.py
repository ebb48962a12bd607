"""mosquitto_pub and mosquitto_sub at every door: what they print, and how they end when they are not let in."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.front_door import PASSWORDS, Door, FrontDoor
from tests.support.real_clients.peer import TIMEOUT_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed"),
    pytest.mark.skipif(shutil.which("stdbuf") is None, reason="stdbuf (coreutils) is not installed"),
]

VERSIONS = ("311", "5")
ANN = ("-u", "ann", "-P", PASSWORDS["ann"])

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def at(door: Door, version: str = "5", *more: str) -> tuple[str, ...]:
    """The options that lead to a door."""
    where: tuple[str, ...] = ("--unix", str(door.path)) if door.path else ("-h", "127.0.0.1", "-p", str(door.port))
    if door.ca_file:
        where = (*where, "--cafile", str(door.ca_file))
    if door.pair:
        where = (*where, "--cert", str(door.pair.cert_file), "--key", str(door.pair.key_file))
    return (*where, "-V", version, *more)


async def run(program: str, *arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a program that goes on until the test ends, or it is killed."""
    started: list[asyncio.subprocess.Process] = []

    async def begin(program: str, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *("stdbuf", "-oL", program),  # what -d prints is not flushed otherwise
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def until_subscribed(process: asyncio.subprocess.Process) -> None:
    """With -d it tells of SUBACK."""
    while not (await line(process)).startswith("Subscribed"):
        pass


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("door", ["passwords", "tls", "unix", "certificate"])
async def test_both_tools_come_in(site: FrontDoor, start: Start, door: str, version: str) -> None:
    who = () if door == "certificate" else ANN
    topic = f"users/ann/tools/{door}/{version}"
    reader = await start(
        "mosquitto_sub", *at(site.doors[door], version, *who), "-q", "2", "-t", topic, "-d", "-F", "%q %p"
    )
    await until_subscribed(reader)
    for qos in "012":
        said = await run("mosquitto_pub", *at(site.doors[door], version, *who), "-q", qos, "-t", topic, "-m", "21.5")
        assert said == (0, "", "")
        while (heard := await line(reader)).startswith("Client"):
            pass
        assert heard == f"{qos} 21.5"


@pytest.mark.parametrize("user", PASSWORDS)
async def test_each_kind_of_hash_is_known_to_the_tools(site: FrontDoor, user: str) -> None:
    arguments = at(site.doors["passwords"], "5", "-u", user)
    assert await run("mosquitto_pub", *arguments, "-P", PASSWORDS[user], "-t", "free/x", "-n") == (0, "", "")
    code, _, errors = await run("mosquitto_pub", *arguments, "-P", "wrong", "-t", "free/x", "-n")
    assert code != 0
    assert "Connection error: " in errors


async def test_what_is_refused_is_named(site: FrontDoor) -> None:
    door = site.doors["passwords"]
    for version, words in {"311": ("Connection Refused", "not authori"), "5": ("Not authori", "Bad User")}.items():
        code, _, errors = await run("mosquitto_pub", *at(door, version), "-t", "free/x", "-n")
        assert code != 0
        assert any(word.casefold() in errors.casefold() for word in words), errors
    code, _, errors = await run("mosquitto_sub", *at(door, "5", *ANN), "-t", "users/bob/#", "-W", "5")
    assert "All subscription requests were denied." in errors
    code, _, errors = await run("mosquitto_pub", *at(door, "5", *ANN), "-q", "1", "-t", "users/bob/x", "-m", "x")
    assert "Publish 1 failed: Not authorized" in errors
    code, _, errors = await run("mosquitto_pub", *at(door, "311", *ANN), "-q", "1", "-t", "users/bob/x", "-m", "x")
    assert (code, errors) == (0, "")  # 3.1.1 has no way to tell


async def test_a_token_is_a_password_for_the_tools(site: FrontDoor) -> None:
    door = site.doors["tokens"]
    arguments = at(door, "311", "-u", "carla", "-P", site.token("carla"))
    assert await run("mosquitto_pub", *arguments, "-q", "1", "-t", "users/carla/x", "-m", "x") == (0, "", "")
    expired = at(door, "311", "-u", "carla", "-P", site.token("carla", exp=1_000_000_000))
    assert (await run("mosquitto_pub", *expired, "-t", "users/carla/x", "-n"))[0] != 0


async def test_another_authority_is_not_believed_by_either_side(site: FrontDoor) -> None:
    door = site.doors["certificate"]
    bare = ("-h", "127.0.0.1", "-p", str(door.port), "--cafile", str(door.ca_file), "-V", "5")
    assert (await run("mosquitto_pub", *bare, "-q", "1", "-t", "free/x", "-n"))[0] != 0
    unknown = ("-h", "127.0.0.1", "-p", str(door.port), "--cafile", "/etc/ssl/certs/ca-certificates.crt", "-V", "5")
    assert (await run("mosquitto_pub", *unknown, "-q", "1", "-t", "free/x", "-n"))[0] != 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_absent_mosquitto_sub_gets_what_was_said_before_a_kill(own_site: FrontDoor, version: str) -> None:
    door = own_site.doors["open"]
    kept = ("-c", "-i", "absent", "-q", "2", "-t", "kept/#")
    if version == "5":
        kept = (*kept, "-x", "3600")
    assert (await run("mosquitto_sub", *at(door, version), *kept, "-E"))[0] == 0
    many = "".join(f"{n}\n" for n in range(100)).encode()
    for qos in "12":
        said = await run("mosquitto_pub", *at(door, version), "-q", qos, "-t", f"kept/{qos}", "-l", stdin=many)
        assert said == (0, "", "")
    own_site.gateway.kill()
    await own_site.gateway.start()
    code, out, _ = await run("mosquitto_sub", *at(door, version), *kept, "-F", "%t %q %p", "-C", "200")
    assert code == 0
    assert out.splitlines() == [f"kept/{qos} {qos} {n}" for qos in "12" for n in range(100)]
    code, out, _ = await run("mosquitto_sub", *at(door, version), *kept, "-W", "1")
    assert out == ""


async def test_the_will_of_a_killed_mosquitto_sub_comes_after_its_delay(site: FrontDoor, start: Start) -> None:
    door = site.doors["open"]
    reader = await start("mosquitto_sub", *at(door), "-q", "1", "-t", "tools/wills/#", "-d", "-F", "%t %p")
    await until_subscribed(reader)
    will = ("--will-topic", "tools/wills/a", "--will-payload", "gone", "--will-qos", "1")
    delay = ("-D", "will", "will-delay-interval", "1", "-x", "60", "-c", "-i", "mortal")
    victim = await start("mosquitto_sub", *at(door), "-t", "tools/none", "-d", *will, *delay)
    await until_subscribed(victim)
    victim.kill()
    while (heard := await line(reader)).startswith("Client"):
        pass
    assert heard == "tools/wills/a gone"


async def test_mosquitto_subs_share(site: FrontDoor, start: Start) -> None:
    door = site.doors["open"]
    members = [
        await start("mosquitto_sub", *at(door), "-q", "1", "-t", "$share/tools/shared/x", "-d", "-F", "got %p")
        for _ in range(3)
    ]
    for member in members:
        await until_subscribed(member)
    many = "".join(f"{n}\n" for n in range(30)).encode()
    await run("mosquitto_pub", *at(door), "-q", "1", "-t", "shared/x", "-l", stdin=many)

    async def share(member: asyncio.subprocess.Process) -> list[int]:
        found: list[int] = []
        while len(found) < 10:
            heard = await line(member)
            if heard.startswith("got "):
                found.append(int(heard[4:]))
        return found

    shares = await asyncio.gather(*map(share, members))
    assert sorted(n for found in shares for n in found) == list(range(30))


async def test_properties_are_printed_as_they_were_given(site: FrontDoor, start: Start) -> None:
    door = site.doors["open"]
    form = "%t|%p|%A|%C|%D|%F|%R|%S|%E|%P"
    subscribe = ("-D", "subscribe", "subscription-identifier", "42")
    reader = await start("mosquitto_sub", *at(door), "-q", "1", "-t", "tools/given", "-d", "-F", form, *subscribe)
    await until_subscribed(reader)
    properties = [
        *("-D", "publish", "user-property", "unit", "°C"),
        *("-D", "publish", "content-type", "text/plain"),
        *("-D", "publish", "response-topic", "answers/1"),
        *("-D", "publish", "correlation-data", "abc"),
        *("-D", "publish", "payload-format-indicator", "1"),
        *("-D", "publish", "message-expiry-interval", "3600"),
    ]
    await run("mosquitto_pub", *at(door), "-q", "1", "-t", "tools/given", "-m", "21.5", *properties)
    while (heard := await line(reader)).startswith("Client"):
        pass
    said = re.sub(r"\|35\d\d\|", "|3600|", heard)  # the time on the way counts
    assert said == "tools/given|21.5||text/plain|abc|1|answers/1|42|3600|unit:°C"


async def test_a_question_of_mosquitto_rr_is_answered(site: FrontDoor, start: Start) -> None:
    if shutil.which("mosquitto_rr") is None:
        pytest.skip("mosquitto_rr is not installed")
    door = site.doors["open"]
    server = await start("mosquitto_sub", *at(door), "-q", "1", "-t", "tools/question", "-d", "-F", "%R")
    await until_subscribed(server)
    asks = asyncio.create_task(
        run(
            "mosquitto_rr",
            *at(door),
            "-q",
            "1",
            "-t",
            "tools/question",
            "-e",
            "tools/answer",
            "-m",
            "how warm?",
            "-W",
            "10",
        )
    )
    while (heard := await line(server)).startswith("Client"):
        pass
    await run("mosquitto_pub", *at(door), "-q", "1", "-t", heard, "-m", "21 °C")
    assert await asks == (0, "21 °C\n", "")


async def test_mosquitto_sub_reads_what_the_server_says_of_itself(site: FrontDoor) -> None:
    code, out, _ = await run("mosquitto_sub", *at(site.doors["open"]), "-t", "$SYS/broker/version", "-C", "1")
    assert code == 0
    assert out.startswith("fieldgate")
