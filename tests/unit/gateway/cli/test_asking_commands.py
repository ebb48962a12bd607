"""`fieldgate tail`, `top`, `dlq` and `queue` against a gateway that has something of everything."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from config.settings import Address
from gateway.cli.program import app
from tests.support.api_gateway import DEVICE, LETTERS, OPERATOR, VIEWER, ApiGateway
from tests.support.plain_mqtt import PlainClient

ROOT = Path(__file__).parents[4]
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiGateway]:
    with ApiGateway(tmp_path_factory.mktemp("asked")) as started:
        yield started


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ApiGateway]:
    """One that a test may change."""
    with ApiGateway(tmp_path) as started:
        yield started


def ask(gateway: ApiGateway, *words: str, token: str = VIEWER, stdin: str | None = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "160", "FIELDGATE_TOKEN": token})
    return runner.invoke(app, [*words, "--api", gateway.url], input=stdin)


def as_json(gateway: ApiGateway, *words: str, token: str = VIEWER) -> Any:
    result = ask(gateway, *words, "--json", token=token)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def spaced(text: str) -> str:
    return text.replace("\u202f", " ")


# ---- who asks ------------------------------------------------------------------------------------------------------


def test_without_a_token_one_is_told_how_to_get_in(gateway: ApiGateway) -> None:
    result = CliRunner().invoke(app, ["dlq", "list", "--api", gateway.url])
    assert result.exit_code == 1
    assert "answered 401" in result.stderr
    assert "--token-file" in result.stderr


def test_a_viewer_who_wants_to_act_is_told_that_he_may_not(gateway: ApiGateway) -> None:
    result = ask(gateway, "queue", "pause", "cloud")
    assert result.exit_code == 1
    assert "answered 403" in result.stderr
    assert "whose role is operator" in result.stderr


def test_a_token_may_be_in_a_file(gateway: ApiGateway, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{VIEWER}\n")
    words = ["dlq", "list", "--api", gateway.url, "--token-file", str(file)]
    assert CliRunner().invoke(app, words).exit_code == 0
    file.write_text("\n")
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, "holds no token" in result.stderr) == (1, True)


def test_what_is_not_there_is_told_in_the_gateways_own_words(gateway: ApiGateway) -> None:
    result = ask(gateway, "queue", "peek", "nothing")
    assert result.exit_code == 1
    assert "There is no stream of that name; there is telemetry" in result.stderr


# ---- dlq -----------------------------------------------------------------------------------------------------------


def test_dead_letters_are_listed_and_shown(gateway: ApiGateway) -> None:
    result = ask(gateway, "dlq", "list")
    assert result.exit_code == 0, result.output
    assert "too_large" in result.stdout
    assert f"{LETTERS} shown; {LETTERS} in all, with {LETTERS} records." in spaced(result.stdout)
    body = as_json(gateway, "dlq", "list", "--limit", "2")
    assert [len(body["dead_letters"]), body["total"], body["next_before"] is not None] == [2, LETTERS, True]
    assert as_json(gateway, "dlq", "list", "--reason", "none")["dead_letters"] == []
    letter = body["dead_letters"][0]["id"]
    shown = ask(gateway, "dlq", "show", str(letter))
    assert f"Dead letter {letter} of stream telemetry, uplink cloud" in shown.stdout
    assert "too_large: " in shown.stdout
    assert f"{DEVICE}  plant/line" in shown.stdout
    assert as_json(gateway, "dlq", "show", str(letter))["is_complete"] is True


def test_dead_letters_are_exported_a_line_each(gateway: ApiGateway, tmp_path: Path) -> None:
    result = ask(gateway, "dlq", "export")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["stream"] for line in lines] == ["telemetry"] * LETTERS
    file = tmp_path / "letters.ndjson"
    result = ask(gateway, "dlq", "export", str(lines[0]["id"]), "-o", str(file))
    assert result.exit_code == 0, result.output
    assert f"Wrote 1 record to {file}." in result.stderr
    assert json.loads(file.read_text())["id"] == lines[0]["id"]
    again = ask(gateway, "dlq", "export", "-o", str(file))
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    assert ask(gateway, "dlq", "export", "-o", str(file), "--force").exit_code == 0
    assert len(file.read_text().splitlines()) == LETTERS


def test_an_export_that_fails_leaves_no_half_a_file(gateway: ApiGateway, tmp_path: Path) -> None:
    file = tmp_path / "queue.ndjson"
    result = ask(gateway, "queue", "export", "telemetry", "-o", str(file), "--from", "0")
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["dlq", "export", "-o", str(file), "--api", gateway.url, "--token", "wrong"])
    assert result.exit_code == 1
    assert not file.exists()


def test_dead_letters_are_replayed_and_discarded_but_not_without_being_asked(own: ApiGateway) -> None:
    ids = [one["id"] for one in as_json(own, "dlq", "list")["dead_letters"]]
    refused = ask(own, "dlq", "discard", str(ids[0]), token=OPERATOR)
    assert refused.exit_code == 1
    assert "There is no terminal to ask on, and this can't be undone. Give --yes" in refused.stderr
    assert ask(own, "dlq", "replay", "--all", token=OPERATOR).exit_code == 1
    assert as_json(own, "dlq", "list")["total"] == LETTERS
    done = ask(own, "dlq", "replay", str(ids[0]), token=OPERATOR)
    assert done.exit_code == 0, done.output
    assert "1 record of 1 dead letter waits for delivery again." in spaced(done.stdout)
    again = spaced(ask(own, "dlq", "replay", str(ids[0]), token=OPERATOR).stdout)
    assert again.startswith("Nothing was replayed. 1 dead letter stayed: There is no dead letter")
    body = as_json(own, "dlq", "discard", "--all", "--reason", "too_large", "--yes", token=OPERATOR)
    assert body["letters"] == LETTERS - 1
    assert as_json(own, "dlq", "list")["total"] == 0
    assert ask(own, "dlq", "list", "--reason", "too_large").stdout == "There are no dead letters of that kind.\n"


def test_where_there_are_no_dead_letters_nobody_is_asked_about_them(own: ApiGateway) -> None:
    kind = ("--all", "--reason", "none")
    for action in ("replay", "discard"):
        result = ask(own, "dlq", action, *kind, token=OPERATOR)
        assert (result.exit_code, result.stdout) == (0, "There are no dead letters of that kind.\n")
    assert as_json(own, "dlq", "list")["total"] == LETTERS
    ask(own, "dlq", "discard", "--all", "--yes", token=OPERATOR)
    result = ask(own, "dlq", "discard", "--all", token=OPERATOR)
    assert (result.exit_code, result.stdout) == (0, "There are no dead letters.\n")
    result = ask(own, "dlq", "export")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There is no record to write.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["dlq", "replay"],
        ["dlq", "replay", "1", "--all"],
        ["dlq", "discard", "1", "--stream", "x"],
        ["dlq", "show", "0"],
        ["queue", "peek", "--count", "0"],
        ["tail", "--payload", "some"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    assert CliRunner().invoke(app, [*words, "--api", "127.0.0.1:1"]).exit_code == 2


# ---- queue ---------------------------------------------------------------------------------------------------------


def test_the_queue_is_looked_into_and_exported(gateway: ApiGateway, tmp_path: Path) -> None:
    result = ask(gateway, "queue", "peek", "--count", "5")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 5
    assert f"  {DEVICE}  plant/line" in lines[0]
    assert "5 of " in result.stderr
    file = tmp_path / "queue.ndjson"
    assert ask(gateway, "queue", "export", "-o", str(file), "--from", "10", "--to", "20").exit_code == 0
    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == list(range(10, 21))


def test_an_uplink_is_paused_drained_and_resumed(own: ApiGateway) -> None:
    body = as_json(own, "queue", "pause", "cloud", token=OPERATOR)
    assert (body["name"], body["is_paused"]) == ("cloud", True)
    result = ask(own, "queue", "resume", "cloud", token=OPERATOR)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    # The only one need not be named.
    assert as_json(own, "queue", "drain", token=OPERATOR)["is_paused"] is False
    assert ask(own, "queue", "pause", "nobody", token=OPERATOR).exit_code == 1


# ---- tail ----------------------------------------------------------------------------------------------------------


def _publishing(gateway: ApiGateway, stop: threading.Event) -> threading.Thread:
    """Publishes until `stop`: a tail sees what comes after it has begun."""

    async def publish() -> None:
        address = gateway.gateway.listeners[0].address
        assert isinstance(address, Address)
        client = await PlainClient.connect("127.0.0.1", address.port, "tailed")
        number = 0
        while not stop.is_set():
            number = number % 60_000 + 1
            client.publish(
                "plant/tailed", b'{\n  "n": "\\u001b[31m"\n}' if number % 2 else b"\x1b[31m", packet_id=number
            )
            await client.read()
        await client.abort()

    thread = threading.Thread(target=lambda: gateway.run(publish()))
    thread.start()
    return thread


@contextlib.contextmanager
def publishing(gateway: ApiGateway) -> Iterator[None]:
    stop = threading.Event()
    thread = _publishing(gateway, stop)
    try:
        yield
    finally:
        stop.set()
        thread.join(TIMEOUT_S)


def test_records_are_shown_as_they_come(gateway: ApiGateway) -> None:
    with publishing(gateway):
        result = ask(gateway, "tail", "plant/+", "--count", "3")
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert len(lines) == 3
        assert "\x1b" not in result.stdout
        assert all("  tailed  plant/tailed  q1  " in line for line in lines)
        assert {line.partition("  q1  ")[2] for line in lines} <= {r"\x1b[31m", r'{"n": "\u001b[31m"}'}
        result = ask(gateway, "tail", "--json", "--count", "2", "--payload", "none")
        records = [json.loads(line) for line in result.stdout.splitlines() if '"lost"' not in line]
        assert {record["topic"] for record in records} == {"plant/tailed"}
        assert all("payload" not in record for record in records)


def test_a_filter_that_is_wrong_is_told(gateway: ApiGateway) -> None:
    result = ask(gateway, "tail", "a/#/b")
    assert result.exit_code == 1
    assert "answered 400: The filter is wrong" in result.stderr


def test_a_tail_ends_with_a_sentence_when_the_gateway_stops(tmp_path: Path) -> None:
    with ApiGateway(tmp_path) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "tail", "--api", gateway.url, "--retained", "--count", "100000"],
            cwd=ROOT,
            env={**os.environ, "FIELDGATE_TOKEN": VIEWER},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert "retained" in process.stdout.readline()
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "Error: http://" in said
    assert "Traceback" not in said


# ---- top -----------------------------------------------------------------------------------------------------------


def test_top_once_shows_verdict_uplinks_streams_and_devices(gateway: ApiGateway) -> None:
    result = ask(gateway, "top", "--once")
    assert result.exit_code == 0, result.output
    for text in ("Uplinks", "Streams", "telemetry", "Busiest devices", DEVICE, "In", "Queued", "On the wire"):
        assert text in result.stdout
    body = as_json(gateway, "top", "--once")
    assert set(body) == {"overview", "streams", "devices"}


def test_top_without_a_terminal_is_a_line_each_time(gateway: ApiGateway) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "top", "--api", gateway.url, "--interval", "0.2"],
        cwd=ROOT,
        env={**os.environ, "FIELDGATE_TOKEN": VIEWER, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert all("queued" in line and "cloud" in line for line in lines)


class Terminal:
    """`fieldgate top` on a terminal of its own."""

    def __init__(self, gateway: ApiGateway) -> None:
        self.outer, self.inner = pty.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(self.inner)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "top", "--api", gateway.url, "--interval", "0.2"],
            cwd=ROOT,
            env={**os.environ, "FIELDGATE_TOKEN": VIEWER, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            stdin=self.inner,
            stdout=self.inner,
            stderr=self.inner,
            start_new_session=True,
        )

    def until(self, text: bytes) -> None:
        """Read on until it is there."""
        end = time.monotonic() + TIMEOUT_S
        while text not in self.seen:
            ready, _, _ = select.select([self.outer], [], [], max(0, end - time.monotonic()))
            assert ready, self.seen[-2000:]
            self.seen += os.read(self.outer, 65536)

    def ended(self) -> int:
        """Its exit code; reads on meanwhile, so that it is not held up."""
        end = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.outer], [], [], 0.05)[0]:
                self.seen += os.read(self.outer, 65536)
        while select.select([self.outer], [], [], 0)[0]:
            self.seen += os.read(self.outer, 65536)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.outer)
        os.close(self.inner)


@pytest.mark.parametrize("how", ["q", "ctrl-c", "sigterm"])
def test_top_draws_on_a_terminal_and_leaves_it_as_it_was(how: str, gateway: ApiGateway) -> None:
    terminal = Terminal(gateway)
    try:
        terminal.until(b"Busiest devices")
        os.write(terminal.outer, b"p")
        terminal.until(b"held; p goes on")
        if how == "q":
            os.write(terminal.outer, b"q")
        else:
            terminal.process.send_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGTERM)
        assert terminal.ended() == 0
        assert b"\x1b[?1049h" in terminal.seen  # the other screen, and back, with the cursor shown
        assert terminal.seen.rindex(b"\x1b[?1049l") > terminal.seen.index(b"\x1b[?1049h")
        assert b"\x1b[?25h" in terminal.seen
        assert termios.tcgetattr(terminal.inner) == terminal.before
    finally:
        terminal.close()


def test_top_of_a_receiver_or_of_nothing_is_a_sentence() -> None:
    result = CliRunner().invoke(app, ["top", "--api", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert "Nothing answers at http://127.0.0.1:1/api/v1/overview" in result.stderr
