"""`fieldgate tail` and `sub` into files and pipes: every line is out as it comes, and no end loses one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from config.settings import Address
from tests.support.api_gateway import VIEWER, ApiGateway
from tests.support.plain_mqtt import PlainClient

ROOT = Path(__file__).parents[4]
TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.01


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiGateway]:
    with ApiGateway(tmp_path_factory.mktemp("tailed")) as started:
        yield started


class Following:
    """`fieldgate tail` or `sub` as a process that has begun to see what comes."""

    def __init__(self, gateway: ApiGateway, command: str, *words: str, stdout: IO[bytes] | int) -> None:
        where = ["--api", gateway.url] if command == "tail" else ["--url", f"127.0.0.1:{port_of(gateway)}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", command, *words, "plant/tailed", *where],
            cwd=ROOT,
            env={**os.environ, "FIELDGATE_TOKEN": VIEWER, "COLUMNS": "200"},
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self.greeting = self.process.stderr.readline().decode()
        assert self.greeting.startswith(("Following plant/tailed.", "Subscribed at")), self.greeting

    def ended(self) -> tuple[int, str]:
        """Its exit code, and the rest of standard error."""
        _, said = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, said.decode()

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def port_of(gateway: ApiGateway) -> int:
    address = gateway.gateway.listeners[0].address
    assert isinstance(address, Address)
    return address.port


def publish(gateway: ApiGateway, payloads: list[bytes]) -> None:
    """Have a device publish them, and wait for the acknowledgement of each."""

    async def speak() -> None:
        client = await PlainClient.connect("127.0.0.1", port_of(gateway), "tailed")
        for number, payload in enumerate(payloads, start=1):
            client.publish("plant/tailed", payload, packet_id=number)
        async with asyncio.timeout(TIMEOUT_S):
            for _ in payloads:
                await client.read()
        await client.abort()

    gateway.run(speak())


def lines_in(file: Path, count: int) -> list[str]:
    """The lines of a file, as soon as there are so many."""
    end = time.monotonic() + TIMEOUT_S
    while (text := file.read_text()).count("\n") < count:
        assert time.monotonic() < end, f"{text.count(chr(10))} of {count} lines are there"
        time.sleep(LOOK_EVERY_S)
    assert text.endswith("\n")
    return text.splitlines()


def numbered(first: int, count: int) -> list[bytes]:
    return [b'{"n": %d}' % number for number in range(first, first + count)]


@pytest.mark.parametrize("command", ["tail", "sub"])
@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: str(number.name))
def test_into_a_file_every_line_is_there_as_it_comes_whatever_ends_it(
    gateway: ApiGateway, tmp_path: Path, command: str, style: str, by: signal.Signals
) -> None:
    file = tmp_path / "records"
    with (
        file.open("wb") as stdout,
        Following(gateway, command, *(["--json"] if style == "json" else []), stdout=stdout) as following,
    ):
        for first in (1, 2, 3, 4, 24):
            publish(gateway, numbered(first, 1 if first < 4 else 20))
            lines = lines_in(file, first if first < 4 else first + 19)
        assert [payload_of(line, style) for line in lines] == [payload.decode() for payload in numbered(1, 43)]
        following.process.send_signal(by)
        code, said = following.ended()
    assert code == (-signal.SIGKILL if by is signal.SIGKILL else 0)
    assert "Traceback" not in said
    assert file.read_text().splitlines() == lines


def payload_of(line: str, style: str) -> str:
    text: str = json.loads(line)["payload"]["text"] if style == "json" else line.partition("  q1  ")[2]
    return text


@pytest.mark.parametrize("command", ["tail", "sub"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_ended_in_the_midst_of_a_flood_it_leaves_whole_lines_in_order(
    gateway: ApiGateway, tmp_path: Path, command: str, by: signal.Signals
) -> None:
    file = tmp_path / "records"
    with file.open("wb") as stdout, Following(gateway, command, "--json", stdout=stdout) as following:
        publish(gateway, numbered(1, 300))
        lines_in(file, 1)
        following.process.send_signal(by)
        code, said = following.ended()
    assert (code, "Traceback" in said) == (0, False)
    found: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    seen = [record["payload"]["text"].encode() for record in found if "payload" in record]
    assert seen == numbered(1, len(seen))


@pytest.mark.parametrize("command", ["tail", "sub"])
def test_a_reader_that_goes_ends_it_with_141_and_no_word(gateway: ApiGateway, command: str) -> None:
    with Following(gateway, command, stdout=subprocess.PIPE) as following:
        assert following.process.stdout is not None
        publish(gateway, [b"first"])
        assert b"first" in following.process.stdout.readline()
        following.process.stdout.close()
        following.process.stdout = None
        publish(gateway, [b"second"])
        code, said = following.ended()
    assert (code, said) == (141, "")


def test_a_reader_that_takes_nothing_holds_the_end_up_for_a_moment_only(gateway: ApiGateway) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with Following(gateway, "tail", "--payload", "full", stdout=writer) as following:
        publish(gateway, [b"x" * 1000] * 30)
        end = time.monotonic() + TIMEOUT_S
        while select.select([], [writer], [], 0)[1]:  # until it has filled the pipe
            assert time.monotonic() < end
            time.sleep(LOOK_EVERY_S)
        following.process.send_signal(signal.SIGTERM)
        assert following.process.wait(TIMEOUT_S) in {-signal.SIGTERM, 0}, "0: it came between two lines"
    os.close(reader)
    os.close(writer)


def test_what_is_written_for_a_reader_that_has_gone_ends_a_look_with_141(gateway: ApiGateway) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "queue", "peek", "--api", gateway.url],
        cwd=ROOT,
        env={**os.environ, "FIELDGATE_TOKEN": VIEWER},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141
    assert b"BrokenPipe" not in done.stderr
