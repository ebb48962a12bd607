"""Asking a gateway over HTTP: what is believed, what is refused and how that is told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from config.settings import Api, ApiTls
from gateway.cli import event_stream
from gateway.cli.api_client import ApiClient, nobody, refusal
from gateway.cli.api_options import base_url
from gateway.cli.event_stream import EventReader, ServerEvent
from gateway.cli.outcome import Failed
from gateway.cli.program import app
from tests.support.certificates import Authority
from tests.support.in_process import LOOPBACK, running, settings_with

EVENTS = "text/event-stream"


async def test_https_is_believed_by_the_configured_certificate_or_by_the_file_given(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair, other = authority.server(), authority.server("other")
    api = Api(bind=LOOPBACK, tls=ApiTls(cert_file=pair.cert_file, key_file=pair.key_file))
    async with running(replace(settings_with(tmp_path), api=api)) as (gateway, _):
        address = gateway.api.address

        def status(*words: str) -> tuple[int, str]:
            result = CliRunner().invoke(app, ["status", "--json", *words])
            return result.exit_code, result.stderr

        def configured(cert_file: Path) -> list[str]:
            tls = {"cert_file": str(cert_file), "key_file": str(pair.key_file)}
            (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({"api": {"bind": str(address), "tls": tls}}))
            return ["-c", str(tmp_path / "gateway.yaml")]

        assert await asyncio.to_thread(status, *configured(pair.cert_file)) == (0, "")
        code, said = await asyncio.to_thread(status, *configured(other.cert_file))
        assert (code, "is not believed" in said) == (1, True)
        code, said = await asyncio.to_thread(status, "--api", f"https://{address}")
        assert (code, "--ca-file" in said) == (1, True)
        words = ("--api", f"https://{address}", "--ca-file", str(authority.ca_file))
        assert await asyncio.to_thread(status, *words) == (0, "")
        code, said = await asyncio.to_thread(status, "--api", str(address))  # http to a door of https
        assert (code, "Nothing answers" in said) == (1, True)


def test_a_name_that_nobody_knows_is_told_as_that() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert nobody("http://box.invalid/x", error, "Start it.") == (
        "Nothing answers at http://box.invalid/x: its name is not known (Name or service not known). "
        "Check the name, and the DNS."
    )


@pytest.fixture
def answering() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers the first request with the bytes that are put into the list, then hangs up."""
    answer: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"".join(answer))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", answer
        thread.join(10)


def _http(status: str, body: bytes, kind: str = "application/json", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"SSH-2.0-\x1b[2J\r\n",
            r"Nothing answers at .* in HTTP \(SSH-2.0-\\x1b\[2J.*\)\. Is that the port of its api",
        ),
        (b"", r"Nothing answers at .* in HTTP \(.*\)\. Is that the port of its api, and not of a listener\?"),
        (_http("200 OK", b"<html>"), "did not answer in JSON"),
        (_http("200 OK", b"{}", length=100), "broke off its answer"),
        (_http("500 Oops", b"\x1b[31m"), "answered 500: Oops."),
        (_http("409 Conflict", b'{"error": {"message": "No \\u001b[2J."}}'), r"^No \\x1b\[2J\."),
    ],
    ids=["another protocol", "nothing", "no JSON", "half an answer", "no sentence", "an escape in the sentence"],
)
def test_whatever_answers_the_end_is_a_sentence(answering: tuple[str, list[bytes]], answer: bytes, said: str) -> None:
    answering[1].append(answer)
    with pytest.raises(Failed, match=said):
        ApiClient(base=answering[0]).get("/x")


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        (
            [{"file": "a.yaml", "line": 7, "key": "log.level", "message": "it is \x1b[2J"}, {"message": "and more"}],
            "  a.yaml:7: log.level: it is \\x1b[2J\n  and more\nNothing was changed.\n",
        ),
        (["of another kind"], "answered 422: Nothing was changed. of another kind.\n"),
        ({"of": "another"}, "answered 422: Nothing was changed. of.\n"),
        (7, "answered 422: "),
        ([], "answered 422: Nothing was changed.\n"),
    ],
    ids=["with their places", "sentences alone", "a mapping", "a number", "none"],
)
def test_a_file_that_is_refused_is_told_of_with_its_lines_whoever_refused_it(
    answering: tuple[str, list[bytes]], problems: Any, said: str
) -> None:
    body = json.dumps({"error": {"message": "Nothing was changed.", "problems": problems}}).encode()
    answering[1].append(_http("422 Unprocessable Entity", body))
    result = CliRunner().invoke(app, ["reload", "--api", answering[0]])
    assert (result.exit_code, result.stdout, said in result.stderr) == (78, "", True), result.stderr


def test_an_export_that_breaks_off_is_told(answering: tuple[str, list[bytes]]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    answering[1].append(head + b'7\r\n{"a":1}\r\n1\r\n\n\r\n5\r\n{"b"')
    lines = []
    with pytest.raises(Failed):
        lines.extend(ApiClient(base=answering[0]).lines("/x"))


def test_events_are_followed_and_another_answer_is_not_taken_for_them(answering: tuple[str, list[bytes]]) -> None:
    answering[1].append(_http("200 OK", b": ping\n\nevent: record\ndata: {}\n\ndata: a\ndata: b\n\n", kind=EVENTS))
    found = list(ApiClient(base=answering[0]).follow("/x"))
    assert found == [ServerEvent(name="record", data="{}"), ServerEvent(name="message", data="a\nb")]


def test_an_event_that_is_too_large_is_told_and_not_taken_for_silence(
    answering: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENT_CHARACTERS", 10)
    answering[1].append(_http("200 OK", b"data: 01234567890\n\n", kind=EVENTS))
    with pytest.raises(Failed, match="sent what is no stream of ours: an event is larger"):
        list(ApiClient(base=answering[0]).follow("/x"))


def test_something_else_is_no_stream_of_events(answering: tuple[str, list[bytes]]) -> None:
    answering[1].append(_http("200 OK", b"{}"))
    with pytest.raises(Failed, match="did not answer with a stream of events"):
        list(ApiClient(base=answering[0]).follow("/x"))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "Who are you?"}}, "answered 401: Who are you? Give a token with --token-file"),
        (
            403,
            {"error": {"message": "You only look."}},
            "answered 403: You only look. Use a token whose role is operator.",
        ),
        (404, None, "answered 404: because. Is it an older Fieldgate"),
        (404, {"error": {"message": "No such stream."}}, "answered 404: No such stream."),
        (421, {"error": {"message": "Not my name."}}, "answered 421: Not my name. Give its IP address with --api"),
        (422, {"error": {"message": "Wrong.", "problems": [{"message": "a"}, "b"]}}, "answered 422: Wrong. a b."),
        (500, [], "answered 500: because."),
    ],
)
def test_a_refusal_is_told_with_what_to_do(status: int, body: object, said: str) -> None:
    text = refusal("http://x/y", status, "because", b"" if body is None else json.dumps(body).encode())
    assert text.startswith(f"http://x/y {said}")


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("box:8080", "http://box:8080"),
        ("https://box/", "https://box"),
        ("http://box/gate/api/v1/status", "http://box/gate"),
    ],
)
def test_an_address_may_be_that_of_a_page(written: str, base: str) -> None:
    assert base_url(written) == base


def test_a_token_that_could_break_a_header_is_not_sent() -> None:
    result = CliRunner().invoke(app, ["status", "--api", "127.0.0.1:1", "--token", "a\r\nX: y"])
    assert result.exit_code == 1
    assert "characters in it that no token has" in result.stderr


@given(st.lists(st.text(max_size=20).filter(lambda text: "\n" not in text and "\r" not in text)))
def test_whatever_lines_come_events_have_data(lines: list[str]) -> None:
    reader = EventReader()
    for line in [*lines, ""]:
        event = reader.feed(line)
        assert event is None or event.name
