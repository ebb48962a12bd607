"""Payloads, passwords and tokens carry a mark; nothing that is shown or logged has it, whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from config.settings import Log, LogFormat
from gateway import logs
from tests.support.live_gateway import Box, live_gateway
from tests.support.mosquitto import Mosquitto
from tests.support.passwords import write_users
from tests.support.plain_mqtt import packet, read_packet, text

MARK = "h4rdT0Gu355"
RAW = MARK.encode()
TIMEOUT_S = 30
PAGES = (
    "/metrics",
    "/healthz",
    "/readyz",
    "/api/v1/status",
    "/api/v1/overview",
    "/api/v1/events",
    "/api/v1/streams",
    "/api/v1/dead-letters",
    "/api/v1/configuration",
    "/api/v1/session",
)


@pytest.fixture(params=list(LogFormat))
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    stream = io.StringIO()
    logs.set_up(Log(level="debug", format=request.param), stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


async def connect(port: int, *, username: str, password: bytes, will: bytes = b"") -> int:
    """A CONNECT with these; returns the reason code of CONNACK, 255 where it just ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    flags = 0xC2 | (0x04 if will else 0)
    body = text("MQTT") + bytes([5, flags]) + struct.pack(">H", 60) + b"\0" + text(f"c-{username}")
    if will:
        body += b"\0" + text("will/topic") + struct.pack(">H", len(will)) + will
    body += text(username) + struct.pack(">H", len(password)) + password
    writer.write(packet(0x10, body))
    try:
        return (await asyncio.wait_for(read_packet(reader), TIMEOUT_S)).body[1]
    except asyncio.IncompleteReadError:
        return 255
    finally:
        await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def say(port: int, data: bytes) -> None:
    """Send bytes, and wait until the other side is done with us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(1 << 20), TIMEOUT_S)
    await end(writer)


async def devices_come_and_fail(box: Box) -> None:
    port = box.port()
    assert await connect(port, username="anna", password=RAW, will=RAW) == 0
    for username, password in (("anna", RAW + b"!"), ("nobody", RAW), ("anna", b"eyJ." + RAW + b".x"), ("a\0", RAW)):
        assert await connect(port, username=username, password=password) != 0
    await say(port, packet(0x10, text("MQTT") + b"\x05" + RAW))  # not a CONNECT that anybody could read
    await say(port, b"\xf0\xff\xff\xff" + RAW)
    device = await box.device("device", "open")
    device.publish("a/b", RAW, retain=True)
    assert (await device.read()).kind == 4
    device.publish("a/b", RAW * 2000)  # larger than the cloud takes: a dead letter
    assert (await device.read()).kind == 4
    broken = await box.device("broken", "open")
    broken.write(0x30, text("a/+") + RAW)  # no topic
    await broken.closed()


async def the_gateway_breaks(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors nobody foresaw, while payload and password are in the hands of whoever raises them."""

    def fail(*_args: Any, **_more: Any) -> Any:
        raise RuntimeError("made to fail")

    device = await box.device("victim", "open")
    with monkeypatch.context() as patch:
        patch.setattr(type(box.gateway.spool), "append", fail)
        device.publish("a/b", RAW)
        await device.closed()
    entry = box.gateway.accesses.entries["default"]
    with monkeypatch.context() as patch:
        patch.setattr(entry, "_prove", fail)
        assert await connect(box.port(), username="anna", password=RAW + b"?") != 0


async def people_come_and_fail(box: Box, token: str) -> dict[str, str]:
    address = box.gateway.api.address
    base = f"http://{address}"
    shown: dict[str, str] = {}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        for number, (method, path, more) in enumerate(
            [
                ("GET", f"/api/v1/status?token={MARK}", {}),
                ("GET", "/api/v1/status", {"headers": {"Authorization": f"Bearer {MARK}"}}),
                ("GET", "/api/v1/status", {"headers": {"Cookie": f"fieldgate_session={MARK}"}}),
                ("POST", "/api/v1/session", {"json": {"user": "anna", "password": MARK + "!"}}),
                ("POST", "/api/v1/session", {"json": {"user": "anna", "password": [MARK]}}),
                ("POST", "/api/v1/session", {"data": f"{{{MARK}", "headers": {"Content-Type": "application/json"}}),
            ]
        ):
            async with session.request(method, base + path, **more) as answer:
                shown[f"request {number}"] = await answer.text()
                assert answer.status >= 400
        own = {"Authorization": f"Bearer {token}"}
        for page in PAGES:
            async with session.get(base + page, headers=own) as answer:
                assert answer.status == 200, page
                shown[page] = await answer.text()
        for number, changed in enumerate(
            [
                {"uplinks": [{**box.file["uplinks"][0], "password": MARK + "2"}]},
                {"uplinks": [{**box.file["uplinks"][0], "password": {"is": MARK}}]},
                {"uplinks": [{**box.file["uplinks"][0], "url": f"mqtt://anna:{MARK}@cloud"}]},
                {"uplinks": [{**box.file["uplinks"][0], "password": f"${{{MARK}"}]},
            ]
        ):
            body = {"text": yaml.safe_dump({**box.file, **changed})}
            async with session.post(f"{base}/api/v1/configuration/check", json=body, headers=own) as answer:
                assert answer.status == 200
                shown[f"check {number}"] = await answer.text()
    assert isinstance(address.port, int)
    await say(address.port, b"GARBAGE " + RAW + b"\r\n\r\n")
    await say(address.port, b"GET /" + RAW + b" HTTP/9.9\r\nAuthorization: Bearer " + RAW + b"\r\n\r\n")
    return shown


def secrets_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The sections with users and tokens in them, and a token that lets one in; it has the mark in it, too."""
    from hashlib import sha256

    token = f"operator-{MARK}-" + "x" * 40
    tokens = folder / "tokens"
    tokens.write_text(f"tester:operator:{sha256(token.encode()).hexdigest()}\n")
    tokens.chmod(0o600)
    passwords = write_users(folder / "passwords", {"anna": MARK})
    sections = {
        "listeners": [
            {"name": "local", "bind": "127.0.0.1:0"},
            {"name": "open", "bind": "127.0.0.1:0", "access": "open"},
        ],
        "access": [
            {"name": "default", "password_file": str(passwords)},
            {"name": "open", "anonymous": "allow"},
        ],
        "api": {"bind": "127.0.0.1:0", "token_file": str(tokens)},
    }
    return sections, token


async def test_the_mark_is_nowhere(tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    sections, token = secrets_of(tmp_path)
    with Mosquitto(tmp_path, lines=["max_packet_size 20000", "allow_anonymous true"]) as broker:
        uplink = {
            "name": "cloud",
            "url": f"mqtt://127.0.0.1:{broker.port}",
            "protocol": "5",
            "username": "edge",
            "password": MARK,
            "compression": "none",
            "batch": {"linger": "5ms"},
        }
        async with live_gateway(tmp_path, uplinks=[uplink], **sections) as box:
            await devices_come_and_fail(box)
            await the_gateway_breaks(box, monkeypatch)
            shown = await people_come_and_fail(box, token)
            box.file["uplinks"][0]["password"] = MARK + "3"
            assert (await box.reload()).applied == ["uplinks[cloud].password"]
            box.file["uplinks"][0]["password"] = [MARK]
            report = await box.reload()
            assert report.problems
            shown["report"] = repr(report)
            shown["effective"] = repr(box.configuration.effective()) + repr(box.configuration.settings)
    shown["log"] = log.getvalue()
    assert "made to fail" in shown["log"]
    assert "Traceback" in shown["log"]
    assert json.loads(shown["/api/v1/configuration"])["values"]
    assert [where for where, what in shown.items() if MARK in what or MARK[::-1] in what] == []
