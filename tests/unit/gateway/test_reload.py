"""SIGHUP on a running gateway: new passwords and rules hold at once, broken files leave the old ones in force."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import Access, Anonymous, HttpAuthentication, Listener, ListenerTls, Transport
from gateway.access.errors import AccessError
from gateway.access.ports import Credentials, Granted
from gateway.app import Gateway, run_gateway
from gateway.broker.connack import Terms
from gateway.mqtt.packets import Connect, Version
from tests.support.broker import FakeChannel
from tests.support.certificates import Authority
from tests.support.in_process import LOOPBACK, running, settings_with
from tests.support.passwords import write_users
from tests.support.plain_mqtt import PlainClient

TIMEOUT_S = 30


async def connected(port: int, client_id: str = "dev1") -> PlainClient:
    return await PlainClient.connect("127.0.0.1", port, client_id)


async def test_new_rules_hold_at_once_for_those_who_are_connected(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic a\n")
    async with running(settings_with(tmp_path, access=Access(acl_file=acl))) as (gateway, port):
        reader, writer = await connected(port, "reader"), await connected(port, "writer")
        assert await reader.subscribe("#", 0) == 0
        acl.write_text("topic b\n")
        await gateway.reload()
        writer.publish("a", b"1")
        writer.publish("b", b"2", packet_id=2)
        received = await reader.read()
        assert received.payload == b"2"
        for client in (reader, writer):
            await client.abort()


async def test_a_broken_file_leaves_the_old_rules_in_force_and_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic a\n")
    async with running(settings_with(tmp_path, access=Access(acl_file=acl))) as (gateway, port):
        client = await connected(port)
        assert await client.subscribe("a", 0) == 0
        acl.write_text("topic b\ntopic oh no\n")
        with caplog.at_level(logging.INFO):
            await gateway.reload()
        assert f"{acl}:2" in caplog.text
        assert "What held before stays in force." in caplog.text
        client.publish("a", b"1", qos=0)
        assert (await client.read()).payload == b"1"
        await client.abort()


async def test_a_client_whom_nobody_knows_any_more_is_disconnected(tmp_path: Path) -> None:
    access = Access(anonymous=Anonymous.LOCAL)
    async with running(settings_with(tmp_path, access=access)) as (gateway, port):
        client = await connected(port)
        stranger = Access(anonymous=Anonymous.REFUSE)
        await gateway.accesses.entries["default"].reload(stranger)
        gateway.broker.rights_changed()
        await client.closed()


async def test_the_log_says_no_more_than_what_was_read_again_and_warns_of_passwords_in_the_clear(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(http=HttpAuthentication(url="http://login.example/auth"))
    with caplog.at_level(logging.INFO):
        async with running(settings_with(tmp_path, access=access)) as (gateway, _):
            assert "access[default].http.url: passwords go to login.example in the clear" in caplog.text
            await gateway.reload()
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Reloaded")]
    assert line.startswith("Reloaded (SIGHUP): no setting changed; password files, keys of tokens, ACL files and c")


async def test_a_removed_user_has_no_session_after_a_reload(tmp_path: Path) -> None:
    passwords = write_users(tmp_path / "passwords", {"alice": "secret"})
    async with running(settings_with(tmp_path, access=Access(password_file=passwords))) as (gateway, _):
        entry = gateway.accesses.entries["default"]
        verdict = await entry.decide(Credentials(client_id="dev1", username="alice", password=b"secret"))
        assert isinstance(verdict, Granted)
        packet = Connect(version=Version.V311, client_id="dev1", clean_start=False, keep_alive_s=0)
        client = gateway.broker.connect(FakeChannel(), packet, Terms(), verdict)
        assert client is not None
        client.lost()
        assert list(gateway.broker.sessions) == ["dev1"]
        write_users(passwords, {"bob": "secret"})
        await gateway.reload()
        assert not gateway.broker.sessions


async def test_a_broken_file_keeps_the_gateway_from_starting_and_all_of_them_are_named(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("nonsense\n")
    (tmp_path / "passwords").write_text("nonsense\n")
    access = Access(acl_file=tmp_path / "acl", password_file=tmp_path / "passwords")
    with pytest.raises(AccessError) as refused:
        await Gateway.open(settings_with(tmp_path, access=access))
    assert {Path(problem.file).name for problem in refused.value.problems} == {"acl", "passwords"}
    assert not (tmp_path / "data").exists()


async def test_a_broken_certificate_leaves_the_old_one_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = Authority(tmp_path).server("edge")
    door = Listener(
        transport=Transport.TLS, bind=LOOPBACK, tls=ListenerTls(cert_file=pair.cert_file, key_file=pair.key_file)
    )
    async with running(settings_with(tmp_path, listeners=(door,))) as (gateway, _):
        with caplog.at_level(logging.INFO):
            await gateway.reload()
            assert "Reloaded (SIGHUP): " in caplog.text
            before = gateway.overview.status().listeners[0].certificate_expires_at
            assert before is not None
            pair.cert_file.write_text("nonsense")
            await gateway.reload()
        assert "What held before stays in force." in caplog.text
        assert gateway.overview.status().listeners[0].certificate_expires_at == before


class Watcher(logging.Handler):
    """Does something at a line of the log."""

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        super().__init__()
        self._actions = actions
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        for words, action in self._actions.items():
            if words in record.getMessage():
                self.seen.append(words)
                action()


async def test_sighup_reloads_and_sigterm_stops(tmp_path: Path) -> None:
    me = os.getpid()
    watcher = Watcher(
        {
            "is ready": lambda: os.kill(me, signal.SIGHUP),
            "Reloaded (SIGHUP): ": lambda: os.kill(me, signal.SIGTERM),
        }
    )
    logger = logging.getLogger("gateway")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(watcher)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await run_gateway(settings_with(tmp_path))
    finally:
        logger.removeHandler(watcher)
        logger.setLevel(level)
    assert watcher.seen == ["is ready", "Reloaded (SIGHUP): "]
