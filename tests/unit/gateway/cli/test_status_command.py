"""`fieldgate status` against a real HTTP interface."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from config.settings import Address, Api
from gateway.api import ApiServer
from gateway.cli.fetch import fetch_status, status_url, url_of
from gateway.cli.outcome import Failed
from gateway.cli.program import app
from tests.support.api_view import GivenView, some_status


class _Served:
    """An ApiServer on a loop of its own thread, for commands that block."""

    def __init__(self) -> None:
        self.view = GivenView()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> str:
        self._thread.start()
        self._server = ApiServer(Api(bind=Address(host="127.0.0.1", port=0)), self.view, name="edge-01")
        self._on_loop(self._server.start())
        return f"http://{self._server.address}"

    def stop(self) -> None:
        self._on_loop(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@pytest.fixture
def served() -> Iterator[tuple[str, GivenView]]:
    server = _Served()
    yield server.start(), server.view
    server.stop()


def test_json_is_what_the_interface_said(served: tuple[str, GivenView]) -> None:
    result = CliRunner().invoke(app, ["status", "--json", "--api", served[0]])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == some_status().to_dict()


def test_the_page_shows_verdict_streams_uplinks_and_spool(served: tuple[str, GivenView]) -> None:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["status", "--api", served[0]])
    assert result.exit_code == 0
    page = result.stdout.replace("\u202f", " ")
    for text in (
        "edge-01",
        "Safe: 1 500 records kept, oldest 1 min.",
        "127.0.0.1:1883",
        "2026-05-01",
        "Local clients",
        "6.9 KiB",
        "telemetry",
        "alarms",
        "online",
        "90 %",
    ):
        assert text in page


def test_an_error_text_with_brackets_is_shown_as_it_is(served: tuple[str, GivenView]) -> None:
    status = some_status().to_dict()
    status["uplinks"]["cloud"]["last_error"] = "[Errno 111] refused [/red]"
    served[1].answer = _Raw(status)  # type: ignore[assignment]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["status", "--api", served[0]])
    assert "[Errno 111] refused [/red]" in result.stdout


def test_a_paused_uplink_is_not_said_to_be_so_for_its_last_error(served: tuple[str, GivenView]) -> None:
    status = some_status().to_dict()
    status["uplinks"]["cloud"] |= {"state": "paused", "last_error": "The broker refused the connection."}
    served[1].answer = _Raw(status)  # type: ignore[assignment]
    page = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["status", "--api", served[0]]).stdout
    assert "paused" in page
    assert "The broker refused" not in page


class _Raw:
    """A status that says what the test gives it."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    def to_dict(self) -> dict[str, Any]:
        """What was given."""
        return self._body


def test_a_receivers_status_is_shown_too(served: tuple[str, GivenView]) -> None:
    served[1].answer = _Raw({"version": "0.1.0", "frames": 7})  # type: ignore[assignment]
    result = CliRunner().invoke(app, ["status", "--api", served[0]])
    assert result.exit_code == 0
    assert '"frames": 7' in result.stdout


def test_nobody_there_is_a_sentence_and_exit_code_1() -> None:
    result = CliRunner().invoke(app, ["status", "--api", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Nothing answers at http://127.0.0.1:1/api/v1/status")
    assert "--api" in result.stderr
    assert result.stdout == ""


def test_an_error_answer_is_told_in_its_own_words(served: tuple[str, GivenView]) -> None:
    served[1].fault = RuntimeError("broken")
    with pytest.raises(Failed, match="answered 500: The request could not be answered"):
        fetch_status(served[0])


def test_a_path_that_is_no_status_is_told(served: tuple[str, GivenView]) -> None:
    with pytest.raises(Failed, match="answered 404: There is nothing at"):
        fetch_status(served[0] + "/elsewhere")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/api/v1/status"),
        ("http://box:8080/", "http://box:8080/api/v1/status"),
        ("https://box/api/v1/status", "https://box/api/v1/status"),
    ],
)
def test_an_address_may_be_written_short(written: str, url: str) -> None:
    assert status_url(written) == url


def test_another_scheme_is_refused() -> None:
    with pytest.raises(Failed, match="not an HTTP address"):
        status_url("file:///etc/passwd")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("10.0.0.5", "http://10.0.0.5:80")],
)
def test_a_server_bound_to_all_addresses_is_asked_on_the_loopback(host: str, url: str) -> None:
    assert url_of(Address(host=host, port=80)) == url


def test_a_receivers_page_shows_what_it_has_and_what_is_wrong(served: tuple[str, GivenView]) -> None:
    served[1].answer = _Raw(  # type: ignore[assignment]
        {
            "version": "0.1.0",
            "receiver": "fieldgate-receiver",
            "uptime_s": 12.0,
            "link": {"url": "mqtt://127.0.0.1:1884", "state": "backing_off", "last_error": "Connection refused."},
            "frames": 7,
            "records": 4321,
            "duplicates": 5,
            "wire_bytes": 2048,
            "missing": 3,
            "dropped": 2,
            "waiting": {"frames": 1, "bytes": 10},
            "set_aside": {"count": 1, "by_reason": {"checksum": 1}},
            "streams": [
                {
                    "gateway": "edge-01",
                    "stream": "telemetry",
                    "epoch": "00ff00ff00ff00ff",
                    "records": 4321,
                    "next_seq": 4327,
                    "duplicates": 5,
                }
            ],
            "sinks": [
                {
                    "name": "jsonl",
                    "state": "failed",
                    "records": 4321,
                    "lag_records": 9,
                    "lag_s": 1.5,
                    "errors": 2,
                    "last_error": "No space left on device",
                }
            ],
        }
    )
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["status", "--api", served[0]])
    assert result.exit_code == 0, result.output
    page = result.stdout.replace("\u202f", " ")
    for text in (
        "4 321 records received, 3 missing.",
        "The link to mqtt://127.0.0.1:1884 is backing off: Connection refused.",
        "3 records are missing, and nobody declared them",
        "Sink jsonl is failed: No space left on device.",
        "00ff00ff00ff00ff",
        "2.0 KiB",
    ):
        assert text in page
