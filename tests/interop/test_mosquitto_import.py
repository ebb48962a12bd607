"""A mosquitto.conf, under Mosquitto itself and imported under the gateway: the same clients meet the same answers."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from typer.testing import CliRunner

from config.loader import load_gateway
from config.settings import Listener
from gateway.cli.program import app
from tests.support.certificates import Authority, Pair
from tests.support.in_process import LOOPBACK, running
from tests.support.mosquitto import executable
from tests.support.passwords import MOSQUITTO_LINES, write_lines
from tests.support.ports import steady_port

TIMEOUT_S = 30.0
ACL = (
    "topic read open/#",
    "topic write open/#",
    "user alice",
    "topic readwrite a/#",
    "topic deny a/secret",
    "pattern readwrite own/%u/#",
)
TOPICS = ("open/x", "a/1", "a/secret", "own/alice/x", "own/bob/x", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client that knocks at a port."""

    port: str = "A"
    username: str | None = None
    password: str | None = None
    is_websocket: bool = False
    path: str | None = None
    pair: str | None = None
    ca: bool = False
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5


OPEN = "listener {A} 127.0.0.1\nallow_anonymous true\n"
CASES: dict[str, tuple[str, list[Caller]]] = {
    "everybody": (
        OPEN,
        [Caller(), Caller(username="any", password="one"), Caller(protocol=MQTTProtocolVersion.MQTTv311)],
    ),
    "the default listener": ("port {A}\nbind_address 127.0.0.1\nallow_anonymous true\n", [Caller()]),
    "passwords and rights": (
        "listener {A} 127.0.0.1\npassword_file {folder}/passwords\nacl_file {folder}/acl\n",
        [
            Caller(),
            Caller(username="alice", password="secret"),
            Caller(username="bob", password="secret2"),
            Caller(username="alice", password="wrong"),
            Caller(username="alice"),
            Caller(username="nobody", password="secret"),
        ],
    ),
    "guests beside users": (
        "listener {A} 127.0.0.1\nallow_anonymous true\npassword_file {folder}/passwords\nacl_file {folder}/acl\n",
        [Caller(), Caller(username="alice", password="secret"), Caller(username="alice", password="wrong")],
    ),
    "each listener its own": (
        (
            "per_listener_settings true\nlistener {A} 127.0.0.1\nallow_anonymous true\nlistener {B} 127.0.0.1\n"
            "password_file {folder}/passwords\n"
        ),
        [Caller(), Caller(port="B"), Caller(port="B", username="bob", password="secret2")],
    ),
    "certificates that name the user": (
        (
            "listener {A} 127.0.0.1\ncafile {folder}/pki/ca.pem\ncertfile {folder}/pki/server.crt\n"
            "keyfile {folder}/pki/server.key\nrequire_certificate true\nuse_identity_as_username true\n"
            "acl_file {folder}/acl\n"
        ),
        [Caller(ca=True), Caller(ca=True, pair="alice"), Caller(ca=True, pair="bob"), Caller()],
    ),
    "revoked certificates": (
        (
            "listener {A} 127.0.0.1\ncafile {folder}/pki/ca.pem\ncertfile {folder}/pki/server.crt\n"
            "keyfile {folder}/pki/server.key\nrequire_certificate true\ncrlfile {folder}/pki/revoked.pem\n"
            "allow_anonymous true\n"
        ),
        [Caller(ca=True, pair="alice"), Caller(ca=True, pair="bob")],
    ),
    "a unix socket": ("listener 0 {folder}/{side}.sock\nallow_anonymous true\n", [Caller(path="{folder}/{side}.sock")]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "passwords", *MOSQUITTO_LINES)
    write_lines(tmp_path / "acl", *ACL)
    authority = Authority(tmp_path / "pki")
    authority.server()
    authority.client("alice")
    authority.revoke(authority.client("bob"))
    return tmp_path


@pytest.mark.parametrize("case", CASES)
async def test_the_same_clients_come_in_and_may_do_the_same(case: str, folder: Path) -> None:
    conf, callers = CASES[case]
    places: dict[str, dict[str, Any]] = {
        side: {"A": steady_port(), "B": steady_port(), "folder": folder, "side": side}
        for side in ("mosquitto", "fieldgate")
    }
    with _mosquitto(folder, conf.format(**places["mosquitto"])):
        theirs = [await asyncio.to_thread(_call, caller, folder, places["mosquitto"]) for caller in callers]
    path = folder / "imported.conf"
    path.write_text(conf.format(**places["fieldgate"]))
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["import", "mosquitto", str(path), "-o", str(folder / "gateway.yaml")]
    )
    assert result.exit_code == 0, result.output
    environ = {"FIELDGATE__GATEWAY__DATA_DIR": str(folder / "data"), "FIELDGATE__API__BIND": "127.0.0.1:0"}
    settings = load_gateway(folder / "gateway.yaml", environ)
    doors = (Listener(name="first", bind=LOOPBACK, access=settings.access[0].name), *settings.listeners)
    async with running(replace(settings, uplinks=(), listeners=doors)):
        ours = [await asyncio.to_thread(_call, caller, folder, places["fieldgate"]) for caller in callers]
    assert ours == theirs
    assert any(one is not None for one in theirs), "nobody came in, so nothing was compared"


def test_a_default_listener_without_a_word_on_anonymous_clients_lets_nobody_in_there_either(folder: Path) -> None:
    place = {"A": steady_port(), "folder": folder, "side": "mosquitto"}
    conf = f"port {place['A']}\n"
    with _mosquitto(folder, conf):
        assert _call(Caller(), folder, place) is None
    path = folder / "imported.conf"
    path.write_text(conf)
    result = CliRunner().invoke(app, ["import", "mosquitto", str(path)])
    assert result.exit_code == 1
    assert "it lets nobody in" in result.stderr


async def test_a_listener_for_websockets_takes_them_here_too(folder: Path) -> None:
    place = {"A": steady_port(), "folder": folder, "side": "fieldgate"}
    path = folder / "imported.conf"
    path.write_text(f"listener {place['A']} 127.0.0.1\nprotocol websockets\nallow_anonymous true\n")
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["import", "mosquitto", str(path), "-o", str(folder / "gateway.yaml")]
    )
    assert result.exit_code == 0, result.output
    environ = {"FIELDGATE__GATEWAY__DATA_DIR": str(folder / "data"), "FIELDGATE__API__BIND": "127.0.0.1:0"}
    settings = load_gateway(folder / "gateway.yaml", environ)
    async with running(replace(settings, uplinks=())):
        assert await asyncio.to_thread(_call, Caller(is_websocket=True), folder, place) == dict.fromkeys(TOPICS, True)


@contextlib.contextmanager
def _mosquitto(folder: Path, conf: str) -> Iterator[None]:
    program = executable()
    if program is None:
        pytest.skip("mosquitto is not installed")
    path = folder / "mosquitto.conf"
    path.write_text(f"user {getpass.getuser()}\nlog_dest stderr\nlog_type all\n{conf}")
    process = subprocess.Popen([program, "-c", str(path)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log: list[str] = []
    is_up = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line)
            if line.rstrip().endswith("running"):
                is_up.set()
        is_up.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert is_up.wait(TIMEOUT_S), log
        assert process.poll() is None, log
        yield
    finally:
        process.kill()
        process.wait()
        reader.join(TIMEOUT_S)
        process.stderr.close()


def _call(caller: Caller, folder: Path, places: dict[str, Any]) -> dict[str, bool] | None:
    """Which topics come back to a client that publishes and subscribes to them; None where it is not let in."""
    transport = "websockets" if caller.is_websocket else "unix" if caller.path else "tcp"
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="caller", protocol=caller.protocol, transport=transport)
    if caller.is_websocket:
        client.ws_set_options(path="/mqtt")
    if caller.ca:
        pair = Pair(folder / "pki" / f"{caller.pair}.crt", folder / "pki" / f"{caller.pair}.key", None)  # type: ignore[arg-type]
        certificate = (str(pair.cert_file), str(pair.key_file)) if caller.pair else (None, None)
        client.tls_set(str(folder / "pki" / "ca.pem"), *certificate)
    if caller.username is not None:
        client.username_pw_set(caller.username, caller.password)
    answered, ended = threading.Event(), threading.Event()
    codes: list[int] = []
    came: dict[str, bool] = dict.fromkeys(TOPICS, False)
    acknowledged: set[int] = set()
    changed = threading.Condition()

    def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        codes.append(reason.value)
        answered.set()

    def on_message(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with changed:
            came[message.topic] = True
            changed.notify_all()

    def on_done(_client: Any, _data: Any, mid: int, *_more: Any) -> None:
        with changed:
            acknowledged.add(mid)
            changed.notify_all()

    def on_disconnect(*_arguments: Any) -> None:
        answered.set()
        ended.set()

    client.on_connect, client.on_message, client.on_disconnect = on_connect, on_message, on_disconnect
    client.on_subscribe, client.on_publish = on_done, on_done
    try:
        client.connect(caller.path.format(**places) if caller.path else "127.0.0.1", places.get(caller.port, 1))
    except OSError:
        return None
    client.loop_start()
    try:
        assert answered.wait(TIMEOUT_S)
        if codes[:1] != [0]:
            return None
        wanted = {client.subscribe(topic, 1)[1] for topic in TOPICS}
        with changed:
            changed.wait_for(lambda: wanted <= acknowledged or ended.is_set(), TIMEOUT_S)
        wanted = {client.publish(topic, b"x", qos=1).mid for topic in TOPICS}
        with changed:
            changed.wait_for(lambda: wanted <= acknowledged or ended.is_set(), TIMEOUT_S)
        # What was published before this one has come back when it has: a broker keeps the order [MQTT-4.6.0-5].
        last = client.subscribe("open/x", 1)[1]
        with changed:
            changed.wait_for(lambda: last in acknowledged or ended.is_set(), TIMEOUT_S)
        return dict(came)
    finally:
        client.disconnect()
        client.loop_stop()
        sock = client.socket()
        if sock is not None:
            sock.close()
