"""`fieldgate pub` and `fieldgate sub` through a WebSocket: what they say when nobody takes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config.settings import Listener, ListenerTls, Transport
from gateway.cli.mqtt.upgrade import MAX_SAID_COLUMNS, refusal
from gateway.cli.program import app
from tests.support.certificates import Authority
from tests.support.in_process import LOOPBACK, running, settings_with


async def pub(url: str, *more: str) -> Result:
    words = ["pub", "--url", url, *more, "a", "1"]
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": "120"}).invoke, app, words)


async def test_a_door_for_pages_of_certain_origins_takes_a_command_which_is_no_page(tmp_path: Path) -> None:
    door = Listener(transport=Transport.WS, bind=LOOPBACK, websocket_origins=("https://hmi.example",))
    async with running(settings_with(tmp_path, listeners=(door,))) as (_, port):
        result = await pub(f"ws://127.0.0.1:{port}/mqtt")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("transport", [Transport.WS, Transport.WSS])
async def test_the_door_of_another_path_says_which_is_the_right_one(transport: Transport, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.server()
    tls = ListenerTls(cert_file=pair.cert_file, key_file=pair.key_file) if transport.is_tls else ListenerTls()
    more = ("--ca-file", str(authority.ca_file)) if transport.is_tls else ()
    door = Listener(transport=transport, bind=LOOPBACK, tls=tls)
    async with running(settings_with(tmp_path, listeners=(door,))) as (_, port):
        url = f"{transport.value}://localhost:{port}/other"
        result = await pub(url, *more)
    assert result.exit_code == 1
    assert f"{url} takes no WebSocket, and answers 404: MQTT over WebSocket is at /mqtt" in result.stderr


async def test_a_door_without_websocket_is_named_as_one(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (_, port):
        result = await pub(f"ws://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"ws://127.0.0.1:{port}/mqtt takes no WebSocket. Is it a listener without one?" in result.stderr


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (404, b"Not here.\nMore.\n", "404: Not here. Give the path that it has, as ws://HOST:PORT/PATH."),
        (403, b"", "403: because. Its settings, or a proxy before it, say who may come."),
        (500, b"\x1b[31mred\xff", "500: \\x1b[31mred\ufffd."),
    ],
)
def test_what_a_server_says_is_shown_as_a_sentence(status: int, body: bytes, sentence: str) -> None:
    assert (
        refusal("ws://box/mqtt", status, "because", body) == f"ws://box/mqtt takes no WebSocket, and answers {sentence}"
    )


def test_a_long_answer_is_cut() -> None:
    assert len(refusal("ws://box/mqtt", 400, "", b"x" * 2000)) < MAX_SAID_COLUMNS + 80
