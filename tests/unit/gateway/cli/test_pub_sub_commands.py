"""`fieldgate pub` and `fieldgate sub` against a gateway in this process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from config.settings import Access, Anonymous, Effect, Listener, ListenerTls, Rule, Transport, UnixPath
from gateway.cli.mqtt.target import Target, parse_target, target_of
from gateway.cli.program import app
from tests.support.certificates import Authority
from tests.support.in_process import LOOPBACK, running, settings_with
from tests.support.mosquitto import Mosquitto
from tests.support.passwords import write_users

ROOT = Path(__file__).parents[4]
TIMEOUT_S = 20.0


async def fieldgate(*words: str, stdin: bytes | None = None) -> Result:
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": "120"}).invoke, app, list(words), input=stdin)


class Sub:
    """`fieldgate sub` as a process; `lines` are those of its standard output."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "sub", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.greeting = ""

    def subscribed(self) -> None:
        """Return when it says so."""
        assert self.process.stderr is not None
        self.greeting = self.process.stderr.readline()
        assert self.greeting.startswith("Subscribed"), self.greeting + self.process.stderr.read()

    def end(self) -> tuple[int, str]:
        """Its exit code and what it printed."""
        out, _ = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


async def test_a_message_is_acknowledged_and_a_subscriber_has_it(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (_, port):
        url = f"mqtt://127.0.0.1:{port}"
        sub = Sub("--url", url, "--count", "3", "--json", "plant/#")
        await asyncio.to_thread(sub.subscribed)
        first = await fieldgate("pub", "--url", url, "plant/1/temp", '{"celsius": 21.5}')
        assert first.exit_code == 0, first.output
        assert first.stderr.startswith("Acknowledged in ")
        assert "plant/1/temp, 17 B, QoS 1" in first.stderr
        assert "on disk" not in first.stderr  # of an address nobody knows whose it is
        binary = tmp_path / "payload"
        binary.write_bytes(b"\xff\x00")
        assert (await fieldgate("pub", "--url", url, "--qos", "2", "--file", str(binary), "plant/raw")).exit_code == 0
        assert (await fieldgate("pub", "--url", url, "--qos", "0", "plant/zero", "0")).exit_code == 0
        code, out = await asyncio.to_thread(sub.end)
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [(one["topic"], one["qos"]) for one in records] == [("plant/1/temp", 1), ("plant/raw", 1), ("plant/zero", 0)]
    assert records[0]["payload"] == {"text": '{"celsius": 21.5}', "size_bytes": 17, "is_truncated": False}
    assert records[1]["payload"]["base64"] == "/wA="


async def test_the_listener_of_the_configuration_is_the_one_and_an_acknowledgement_means_on_disk(
    tmp_path: Path,
) -> None:
    async with running(settings_with(tmp_path)) as (_, port):
        file = tmp_path / "gateway.yaml"
        configuration = {"listeners": [{"bind": f"0.0.0.0:{port}"}], "access": [{"anonymous": "allow"}]}
        file.write_text(yaml.safe_dump(configuration))
        result = await fieldgate("pub", "-c", str(file), "a", "")
        assert result.exit_code == 0, result.output
        assert "it is on disk: a, 0 B, QoS 1" in result.stderr
        for more in ({"streams": [{"topics": ["b/#"]}]}, {"spool": {"durability": "1s"}}):
            file.write_text(yaml.safe_dump({**configuration, **more}))
            result = await fieldgate("pub", "-c", str(file), "a", "")
            assert result.exit_code == 0, result.output
            assert "on disk" not in result.stderr


async def test_each_line_is_a_message_and_json_says_what_became_of_it(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (gateway, port):
        url = f"127.0.0.1:{port}"
        result = await fieldgate("pub", "--url", url, "--lines", "n", stdin=b"".join(b"%d\n" % n for n in range(500)))
        assert result.exit_code == 0, result.output
        assert result.stderr == "500 of 500 messages were acknowledged.\n"
        assert gateway.spool.accepted == {"telemetry": 500} if hasattr(gateway.spool, "accepted") else True
        result = await fieldgate("pub", "--url", url, "--lines", "--json", "n", stdin=b"one\n")
        body = json.loads(result.stdout)
        assert (body["is_acknowledged"], body["reason_code"], body["mqtt_version"]) == (True, 0, "5")


async def test_who_may_not_is_told_why_and_the_exit_code_says_so(tmp_path: Path) -> None:
    access = Access(
        password_file=write_users(tmp_path / "users", {"ann": "secret"}),
        anonymous=Anonymous.REFUSE,
        rules=(Rule(topics=("free/#",)), Rule(name="no", effect=Effect.DENY, topics=("free/not",))),
    )
    password = tmp_path / "password"
    password.write_text("secret\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("other\n")
    async with running(settings_with(tmp_path, access=access)) as (_, port):
        url = f"mqtt://127.0.0.1:{port}"
        ann = ("--url", url, "--user", "ann", "--password-file", str(password))
        assert (await fieldgate("pub", *ann, "free/x", "1")).exit_code == 0
        result = await fieldgate("pub", *ann, "free/not", "1")
        assert result.exit_code == 1
        assert "not authorized (0x87): this user may not publish there" in result.stderr
        result = await fieldgate("sub", *ann, "other")
        assert result.exit_code == 1
        assert "refused the subscription to other: unspecified error (0x80): most often that this user" in result.stderr
        result = await fieldgate("pub", "--url", url, "free/x", "1")
        assert result.exit_code == 1
        assert "refused the connection" in result.stderr
        assert "--user" in result.stderr
        result = await fieldgate("pub", "--url", url, "--user", "ann", "--password-file", str(wrong), "free/x", "1")
        assert result.exit_code == 1
        assert "Check --user and its password" in result.stderr
        result = await fieldgate("pub", "--url", url, "--user", "ann", "free/x", "1")
        assert result.exit_code == 1
        assert "--password-file" in result.stderr


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WSS, Transport.WS])
async def test_a_door_with_tls_is_believed_by_the_certificate_of_the_configuration(
    transport: Transport, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.server()
    tls = ListenerTls(cert_file=pair.cert_file, key_file=pair.key_file) if transport.is_tls else ListenerTls()
    listener = Listener(transport=transport, bind=LOOPBACK, tls=tls)
    async with running(settings_with(tmp_path, listeners=(listener,))) as (_, port):
        written = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)} if transport.is_tls else {}
        file = tmp_path / "gateway.yaml"
        listeners = [{"transport": transport.value, "bind": f"127.0.0.1:{port}", "tls": written}]
        file.write_text(yaml.safe_dump({"listeners": listeners}))
        result = await fieldgate("pub", "-c", str(file), "a", "1")
        assert result.exit_code == 0, result.output
        if transport.is_tls:
            scheme = "mqtts" if transport is Transport.TLS else "wss"
            url = f"{scheme}://localhost:{port}" + ("/mqtt" if scheme == "wss" else "")
            result = await fieldgate("pub", "--url", url, "a", "1")
            assert result.exit_code == 1
            assert "is not believed" in result.stderr
            assert "--ca-file" in result.stderr
            result = await fieldgate("pub", "--url", url, "--ca-file", str(authority.ca_file), "a", "1")
            assert result.exit_code == 0, result.output


async def test_a_unix_socket_is_a_door_too(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    listeners = (Listener(bind=LOOPBACK), Listener(name="unix", bind=UnixPath(path=path)))
    async with running(settings_with(tmp_path, listeners=listeners)):
        result = await fieldgate("pub", "--url", f"unix:{path}", "a", "1")
        assert result.exit_code == 0, result.output


async def test_a_broker_of_another_maker_is_spoken_to_in_the_version_it_has(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        result = await fieldgate("pub", "--url", url, "a", "1")
        assert result.exit_code == 0, result.output
        assert "no matching subscribers (0x10): nobody subscribes to it" in result.stderr
        result = await fieldgate("pub", "--url", url, "--protocol", "3.1.1", "--json", "a", "1")
        assert json.loads(result.stdout)["mqtt_version"] == "3.1.1"


async def test_ctrl_c_is_a_good_end_of_a_subscription(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (_, port):
        sub = Sub("--url", f"127.0.0.1:{port}", "#")
        await asyncio.to_thread(sub.subscribed)
        sub.interrupt()
        code, _ = await asyncio.to_thread(sub.end)
        assert code == 0


async def test_a_gateway_that_goes_ends_a_subscription_with_a_sentence(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (_, port):
        sub = Sub("--url", f"127.0.0.1:{port}", "#")
        await asyncio.to_thread(sub.subscribed)
    _, said = await asyncio.to_thread(sub.process.communicate, None, TIMEOUT_S)
    assert sub.process.returncode == 1
    assert "ended: server shutting down (0x8B)" in said


def test_nobody_there_is_a_sentence() -> None:
    result = CliRunner().invoke(app, ["pub", "--url", "127.0.0.1:1", "a", "1"])
    assert result.exit_code == 1
    assert "Nobody listens at mqtt://127.0.0.1:1. Is the gateway running?" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["pub", "a"],
        ["pub", "a", "b", "--lines"],
        ["pub", "a/+", "b"],
        ["pub", "--qos", "3", "a", "b"],
        ["pub", "--url", "http://x", "a", "b"],
        ["pub", "--url", "mqtt://u:p@x", "a", "b"],
        ["pub", "--url", "mqtt://x", "--listener", "y", "a", "b"],
        ["pub", "--listener", "nobody", "a", "b"],
        ["pub", "--password-file", "x", "a", "b"],
        ["pub", "--url", "mqtt://127.0.0.1:1", "--ca-file", "x", "a", "b"],
        ["sub"],
        ["sub", "a/#/b"],
        ["sub", "--count", "0", "a"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, words).exit_code == 2


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("box", Target(host="box", port=1883)),
        ("box:7", Target(host="box", port=7)),
        ("mqtts://box", Target(host="box", port=8883, is_tls=True)),
        ("mqtt://[::1]:5", Target(host="::1", port=5)),
        ("ws://box", Target(host="box", port=80, websocket_path="/mqtt")),
        ("wss://box:9/x/y", Target(host="box", port=9, is_tls=True, websocket_path="/x/y")),
        ("unix:/run/x", Target(socket=Path("/run/x"))),
    ],
)
def test_an_address_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


def test_a_door_behind_a_load_balancer_is_passed_over() -> None:
    from config.settings import Address, ProxyProtocol

    behind = Listener(name="lb", proxy_protocol=ProxyProtocol.V2)
    plain = Listener(name="plain", bind=Address(host="::", port=5))
    assert target_of([behind, plain], None, kept=("#",)) == Target(host="::1", port=5, kept=("#",))
    with pytest.raises(ValueError, match="load balancer"):
        target_of([behind, plain], "lb")
