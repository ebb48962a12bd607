"""`fieldgate doctor`: it finds what is wrong, says what to do, and disturbs nobody."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import json
import os
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner, Result

from config.settings import GatewaySettings
from gateway.cli.doctor import machine, proc
from gateway.cli.doctor.finding import Finding, Level, Report, is_well, lines, summary
from gateway.cli.program import app
from tests.support.certificates import Authority
from tests.support.in_process import running, settings_with
from tests.support.mosquitto import Mosquitto
from tests.support.passwords import write_users
from tests.support.ports import steady_port


class Box:
    """A configuration in a folder, and what the doctor says of it."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.sections: dict[str, Any] = {
            "gateway": {"id": "edge", "data_dir": str(self.data)},
            "listeners": [{"bind": f"127.0.0.1:{steady_port()}"}],
            "api": {"bind": f"127.0.0.1:{steady_port()}"},
            **sections,
        }

    def ask(self, *words: str) -> Result:
        path = self.folder / "gateway.yaml"
        path.write_text(yaml.safe_dump(self.sections))
        return CliRunner().invoke(app, ["doctor", "-c", str(path), *words])

    def findings(self, *words: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.ask("--json", *words).stdout)["findings"]
        return found

    def of(self, area: str, *words: str) -> list[tuple[str, str]]:
        return [(one["level"], one["text"]) for one in self.findings(*words) if one["area"] == area]


def cloud(port: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "cloud", "url": f"mqtt://127.0.0.1:{port}", **more}]


def test_a_box_that_is_right_is_told_so_and_each_line_is_plain(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.data.mkdir()
    result = box.ask("--offline")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    assert "configuration\n  ✓ " in result.stdout
    assert f"✓ {box.data} can be written" in result.stdout
    assert "fsync takes" in result.stdout
    assert "is free" in result.stdout
    assert list(box.data.iterdir()) == []


def test_a_configuration_with_mistakes_ends_the_visit_with_each_of_them(tmp_path: Path) -> None:
    box = Box(tmp_path, log={"level": "loud"})
    result = box.ask()
    assert result.exit_code == 1
    assert "✗ wrong:" in result.stdout
    assert "log.level" in result.stdout
    assert "fieldgate check" in result.stdout


# ---- the way to the cloud ------------------------------------------------------------------------------------------


def test_nobody_there_is_told_and_the_rest_not_tried(tmp_path: Path) -> None:
    found = Box(tmp_path, uplinks=cloud(1)).of("uplink cloud")
    assert found[0][0] == "wrong"
    assert "refuses connections" in found[0][1]
    assert found[1] == ("skipped", "TLS and MQTT were not tried")


def test_a_name_that_is_not_known_is_told(tmp_path: Path) -> None:
    uplinks = [{"name": "cloud", "url": "mqtt://no-such-host.invalid"}]
    found = Box(tmp_path, uplinks=uplinks).of("uplink cloud")
    assert found[0][0] == "wrong"
    assert "no-such-host.invalid" in found[0][1]


def test_a_broker_where_nobody_listens_is_a_warning_and_one_where_somebody_does_is_well(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        box = Box(tmp_path, uplinks=cloud(broker.port))
        found = box.of("uplink cloud")
        assert [level for level, _ in found] == ["ok", "ok", "warning"]
        assert found[2][1] == "fieldgate/v1/edge/telemetry may be published to, and nobody subscribes to it"
        subscribed = []
        listener = paho.Client(CallbackAPIVersion.VERSION2, client_id="receiver")
        listener.on_subscribe = lambda *_: subscribed.append(True)
        listener.connect("127.0.0.1", broker.port)
        listener.subscribe("fieldgate/v1/+/+", 1)
        while not subscribed:
            listener.loop(0.1)
        found = box.of("uplink cloud")
        listener.disconnect()
        assert found[2] == ("ok", "fieldgate/v1/edge/telemetry may be published to, and somebody subscribes to it")
        assert box.of("uplink cloud", "--no-publish")[2][0] == "skipped"


def test_who_may_not_publish_is_told_for_each_topic(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic write fieldgate/v1/edge/alarms\n")
    acl.chmod(0o644)
    with Mosquitto(tmp_path, lines=[f"acl_file {acl}"]) as broker:
        streams = [{"name": "alarms", "topics": ["a"]}, {"name": "rest", "topics": ["#"]}]
        box = Box(tmp_path, uplinks=cloud(broker.port), streams=streams)
        found = [one for one in box.findings() if one["area"] == "uplink cloud"]
    assert [one["level"] for one in found] == ["ok", "ok", "warning", "wrong"]
    assert found[3]["text"] == "fieldgate/v1/edge/rest may not be published to: not authorized (0x87)"
    assert "access list" in found[3]["advice"]


def test_a_data_folder_below_a_file_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    box = Box(tmp_path, gateway={"id": "edge", "data_dir": str(tmp_path / "file" / "data")})
    assert ("wrong", f"{tmp_path}/file/data can't be made: {tmp_path}/file is a file") in box.of(
        "data folder", "--offline"
    )


def test_a_full_disk_is_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_of: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    box = Box(tmp_path)
    box.data.mkdir()
    monkeypatch.setattr("gateway.cli.doctor.folder.time.perf_counter", full)  # what is asked for around the fsync
    found = [one for one in box.findings("--offline") if one["level"] == "wrong"]
    assert [(one["text"], one["advice"]) for one in found] == [
        (
            "its disk is full: No space left on device",
            "Make room, or set gateway.data_dir to another disk.",
        )
    ]


def test_a_password_that_is_refused_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, lines=["allow_anonymous false"]) as broker:
        found = Box(tmp_path, uplinks=cloud(broker.port)).findings()[-1]
    assert found["level"] == "wrong"
    assert found["text"].endswith("refused CONNECT: not authorized (0x87)")
    assert found["advice"].startswith("Check username and password_file")


@pytest.mark.parametrize("case", ["good", "another authority", "expired", "another name", "no TLS there"])
def test_tls_is_looked_at_by_itself(case: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.server(valid=dt.timedelta(seconds=-60) if case == "expired" else dt.timedelta(days=90))
    believed = Authority(tmp_path / "other").ca_file if case == "another authority" else authority.ca_file
    lines = [f"certfile {pair.cert_file}", f"keyfile {pair.key_file}"] if case != "no TLS there" else []
    host = "127.0.0.2" if case == "another name" else "127.0.0.1"
    lines += [f"listener {steady_port()} 127.0.0.2", f"certfile {pair.cert_file}", f"keyfile {pair.key_file}"]
    with Mosquitto(tmp_path, lines=lines) as broker:
        port = int(lines[-3].split()[1]) if case == "another name" else broker.port
        uplink = {"name": "cloud", "url": f"mqtts://{host}:{port}", "tls": {"ca_file": str(believed)}}
        found = [one for one in Box(tmp_path, uplinks=[uplink]).findings() if one["area"] == "uplink cloud"]
    step = found[1]
    if case == "good":
        assert step["level"] == "ok"
        assert step["text"].startswith("TLSv1.3; the broker's certificate holds until ")
        assert found[2]["text"].startswith("MQTT 5 is spoken")
        return
    assert step["level"] == "wrong"
    assert found[-1]["text"] == "MQTT was not tried"
    words = {
        "another authority": ("signed by CN=Test authority ca", "tls.ca_file"),
        "expired": ("certificate has expired", "renewed"),
        "another name": ("IP address mismatch", "a name that stands in the certificate"),
        "no TLS there": ("TLS: there is none", "8883"),
    }[case]
    assert words[0] in step["text"]
    assert words[1] in step["advice"]


def test_a_broker_that_grants_too_little_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, lines=["max_packet_size 100"]) as broker:
        found = Box(tmp_path, uplinks=cloud(broker.port)).of("uplink cloud")
    assert found[1][0] == "wrong"
    assert "packets of 100 bytes at most" in found[1][1]


# ---- this machine --------------------------------------------------------------------------------------------------


async def test_a_gateway_that_runs_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    async with running(settings) as (gateway, port):
        box = Box(tmp_path)
        box.sections["listeners"] = [{"bind": f"127.0.0.1:{port}"}]
        box.sections["gateway"]["data_dir"] = str(settings.gateway.data_dir)
        findings = await asyncio.to_thread(box.findings, "--offline")
        gateway.check()
    texts = [one["text"] for one in findings]
    assert f"a gateway runs on it (process {os.getpid()})" in texts
    assert f"listener local: 127.0.0.1:{port} is held by the gateway (process {os.getpid()})" in texts
    assert any(text.startswith("the database is sound (") for text in texts)
    assert any(text.startswith("the gateway that runs may have ") for text in texts)
    before = sorted(path.name for path in settings.gateway.data_dir.iterdir())
    assert any("the database is sound" in text for _, text in box.of("data folder", "--offline"))
    assert sorted(path.name for path in settings.gateway.data_dir.iterdir()) == before


def test_a_port_that_another_program_holds_is_told_with_its_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = Box(tmp_path, listeners=[{"bind": f"127.0.0.1:{port}"}]).of("ports", "--offline")
    assert found[0][0] == "wrong"
    assert f"listener local: 127.0.0.1:{port} is held by " in found[0][1]
    assert f"(process {os.getpid()})" in found[0][1]


def test_an_address_of_another_machine_and_a_socket_without_a_folder_are_told(tmp_path: Path) -> None:
    access = [{"anonymous": "allow"}]
    listeners = [{"name": "far", "bind": "192.0.2.1:1883"}, {"name": "unix", "bind": f"unix:{tmp_path}/none/s"}]
    found = Box(tmp_path, listeners=listeners, access=access).of("ports", "--offline")
    assert found[0] == ("wrong", "listener far: 192.0.2.1 is no address of this machine")
    assert found[1] == ("wrong", f"listener unix: there is no folder {tmp_path}/none")


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.data.mkdir()
    (box.data / "spool.db").write_bytes(b"not a database" * 1000)
    (box.data / "damaged-1").mkdir()
    found = dict(reversed(one) for one in box.of("data folder", "--offline"))
    assert "wrong" in {level for text, level in found.items() if "is damaged: file is not a database" in text}
    assert "warning" in {level for text, level in found.items() if "damaged-1" in text}


def test_a_database_of_a_newer_version_is_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.data.mkdir()
    with contextlib.closing(sqlite3.connect(box.data / "spool.db")) as database, database:
        database.execute("CREATE TABLE stream (id)")
        database.execute("PRAGMA user_version = 1000")
    database.close()
    assert any("newer Fieldgate (schema 1000)" in text for _, text in box.of("data folder", "--offline"))


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.data.write_text("")
    assert ("wrong", f"{box.data} is no folder") in box.of("data folder", "--offline")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_disk_that_is_full_and_one_in_memory_are_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(box.data)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        found = box.of("data folder", "--offline")
        assert any(level == "warning" and "it is in memory (tmpfs at " in text for level, text in found)
        assert any(level == "warning" and "and the spool may grow to 1.0 GiB" in text for level, text in found)
        (box.data / "fill").write_bytes(bytes(60 * 1024))
        with contextlib.suppress(OSError):
            (box.data / "rest").write_bytes(bytes(64 * 1024))
        assert any("No space left on device" in text for _, text in box.of("data folder", "--offline"))
        assert box.ask("--offline").exit_code == 1
    finally:
        subprocess.run(["umount", str(box.data)], check=True)


def test_certificates_that_end_or_have_ended_are_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    listeners = []
    for name, days in (("good", 90), ("soon", 3), ("ended", -0.1)):
        pair = authority.server(name, valid=dt.timedelta(days=days, hours=1))
        tls = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
        listeners.append({"name": name, "transport": "tls", "bind": f"127.0.0.1:{steady_port()}", "tls": tls})
    public = authority.server("public")
    public.key_file.chmod(0o644)
    tls = {"cert_file": str(public.cert_file), "key_file": str(public.key_file)}
    listeners.append({"name": "public", "transport": "tls", "bind": f"127.0.0.1:{steady_port()}", "tls": tls})
    found = Box(tmp_path, listeners=listeners).of("certificates", "--offline")
    assert [level for level, _ in found] == ["ok", "warning", "wrong", "wrong"]
    assert "ends in 3 days" in found[1][1]
    assert "has ended on" in found[2][1]
    assert "may be used by every user of this machine" in found[3][1]


def test_files_of_passwords_and_rights_are_told_by_who_may_read_them(tmp_path: Path) -> None:
    passwords = write_users(tmp_path / "passwords", {"ann": "secret"})
    acl = tmp_path / "acl"
    acl.write_text("user ann\ntopic raed a\n")
    access = [{"name": "default", "password_file": str(passwords)}, {"name": "other", "acl_file": str(acl)}]
    box = Box(tmp_path, access=access)
    found = box.of("access", "--offline")
    assert found[0] == ("ok", f"access default: {passwords} can be read, and by nobody else")
    assert found[1][0] == "wrong"
    assert f"{acl}:2" in found[1][1]
    passwords.chmod(0o644)
    assert box.of("access", "--offline")[0][0] == "warning"


# ---- pure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "is_synchronised", "level"),
    [(1970, True, Level.WRONG), (2026, True, Level.OK), (2026, False, Level.WARNING), (2026, None, Level.SKIPPED)],
)
def test_the_clock(year: int, is_synchronised: bool | None, level: Level) -> None:
    now = dt.datetime(year, 5, 1, tzinfo=dt.UTC)
    assert machine.check_clock(now, is_synchronised=is_synchronised).findings[0].level is level


def test_memory_that_does_not_suffice_is_a_warning() -> None:
    assert machine.check_memory(GatewaySettings(), 1 << 20).findings[0].level is Level.WARNING
    assert machine.check_memory(GatewaySettings(), 1 << 34).findings[0].level is Level.OK
    assert machine.check_memory(GatewaySettings(), None).findings[0].level is Level.SKIPPED


_MOUNTS = """\
21 1 8:1 / / rw,relatime - ext4 /dev/root rw
22 21 0:5 / /var/lib/my\\040data rw - nfs4 server:/x rw
23 21 0:6 / /var rw shared:1 - tmpfs none rw
junk
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/etc", ("/", "ext4")),
        ("/var", ("/var", "tmpfs")),
        ("/various", ("/", "ext4")),
        ("/var/lib/my data/spool", ("/var/lib/my data", "nfs4")),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, found: tuple[str, str]) -> None:
    assert proc.file_system(_MOUNTS, Path(path)) == found


def test_what_linux_tells_of_itself_is_read() -> None:
    locks = "1: POSIX  ADVISORY  WRITE 7 fd:01:99 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 fd:01:99 0 EOF\n2: -> FLOCK x\n"
    assert proc.lock_holder(locks, os.makedev(0xFD, 1), 99) == 4711
    assert proc.lock_holder(locks, os.makedev(0xFD, 1), 98) is None
    assert proc.open_file_limit("Max processes 5 5 x\nMax open files            1024   4096   files\n") == 1024
    assert proc.open_file_limit("Max open files            unlimited   unlimited   files\n") is None
    assert proc.available_bytes("MemTotal: 9 kB\nMemAvailable:     2 kB\n") == 2048
    table = "sl local\n0: 0100007F:075B 0:0 0A 0 0 0 0 0 12345 1\n1: 0100007F:075B 0:0 01 0 0 0 0 0 9 1\n"
    assert proc.listening_inodes(table, 1883) == {"12345"}


def test_lines_are_plain_where_the_terminal_knows_no_more() -> None:
    report = Report("a")
    report.wrong("b\x1b[31m", "do")
    report.ok("c")
    assert lines(report.findings[0]) == ["✗ wrong: b\\x1b[31m", "  → do"]
    assert lines(report.findings[0], has_unicode=False) == ["X wrong: b\\x1b[31m", "  -> do"]
    assert lines(report.findings[1], has_unicode=False) == ["ok c"]
    assert not is_well(report.findings)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([Level.OK], "All is well."),
        ([Level.WARNING], "Nothing is wrong, 1 warning."),
        ([Level.WRONG], "1 thing is wrong."),
        ([Level.WRONG, Level.WRONG, Level.WARNING, Level.WARNING], "2 things are wrong, 2 warnings."),
    ],
)
def test_the_last_line_counts(levels: list[Level], said: str) -> None:
    assert summary([Finding(area="a", level=level, text="t") for level in levels]) == said
