"""`fieldgate import mosquitto`: what becomes of each line of a mosquitto.conf."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from config.loader import load_gateway
from config.settings import Anonymous, Transport, UnixPath
from gateway.cli.import_mosquitto.conf import (
    BRIDGE_OPTIONS,
    LISTENER_OPTIONS,
    SECURITY_OPTIONS,
    parse,
)
from gateway.cli.import_mosquitto.filters import overlap
from gateway.cli.import_mosquitto.reasons import REASONS
from gateway.cli.import_mosquitto.remarks import Kind
from gateway.cli.import_mosquitto.translation import Imported, translate
from gateway.cli.import_mosquitto.writing import report, yaml_text
from gateway.cli.program import app
from tests.support.passwords import MOSQUITTO_LINES, write_lines


def imported(*lines: str, has_ipv6: bool = False) -> Imported:
    return translate(parse("\n".join(lines), "m.conf"), has_ipv6=has_ipv6)


def said(result: Imported, kind: Kind | None = None) -> str:
    return "\n".join(
        f"{one.place or ''} {one.option or ''} {one.sentence}"
        for one in result.remarks
        if kind is None or one.kind is kind
    )


def listeners(*lines: str, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = imported(*lines, **more).document["listeners"]
    return found


def test_a_file_without_listeners_is_open_to_this_machine_only() -> None:
    result = imported("# nothing", "")
    assert result.document["listeners"] == [
        {"name": "tcp-1883", "transport": "tcp", "bind": "127.0.0.1:1883", "access": "default"}
    ]
    assert result.document["access"] == [{"name": "default", "anonymous": "local"}]


@pytest.mark.parametrize(
    ("lines", "bind"),
    [
        (["listener 1884"], "0.0.0.0:1884"),
        (["listener 1884 10.0.0.5"], "10.0.0.5:1884"),
        (["listener 1884 ::1"], "[::1]:1884"),
        (["listener 1884 localhost"], "localhost:1884"),
        (["listener 0 /run/mosquitto/sock"], "unix:/run/mosquitto/sock"),
        (["listener 1884", "socket_domain ipv6"], "[::]:1884"),
        (["listener 1884", "socket_domain ipv4"], "0.0.0.0:1884"),
        (["port 1890"], "0.0.0.0:1890"),
        (["bind_address 10.0.0.5"], "10.0.0.5:1883"),
        (["port 1890", "bind_address ::1"], "[::1]:1890"),
    ],
    ids=" / ".join,
)
def test_a_listener_is_bound_where_it_was(lines: list[str], bind: str) -> None:
    assert listeners("allow_anonymous true", *lines)[0]["bind"] == bind


def test_all_addresses_are_those_of_ipv6_too_where_the_machine_has_it() -> None:
    assert listeners("listener 1883", "allow_anonymous true", has_ipv6=True)[0]["bind"] == "[::]:1883"
    lines = ("listener 1883", "socket_domain ipv4", "allow_anonymous true")
    assert listeners(*lines, has_ipv6=True)[0]["bind"] == "0.0.0.0:1883"


_TLS = ("listener 8883", "certfile s.crt", "keyfile s.key", "cafile ca.pem", "allow_anonymous true")


@pytest.mark.parametrize(
    ("lines", "transport", "tls"),
    [
        (_TLS, "tls", {"cert_file": "s.crt", "key_file": "s.key"}),
        ((*_TLS, "protocol websockets"), "wss", {"cert_file": "s.crt", "key_file": "s.key"}),
        (
            (*_TLS, "require_certificate true", "crlfile r.pem", "tls_version tlsv1.3"),
            "tls",
            {
                "cert_file": "s.crt",
                "key_file": "s.key",
                "min_version": "1.3",
                "ca_file": "ca.pem",
                "crl_file": "r.pem",
                "client_certificate": "required",
            },
        ),
        (
            (*_TLS, "require_certificate true", "use_identity_as_username true"),
            "tls",
            {
                "cert_file": "s.crt",
                "key_file": "s.key",
                "ca_file": "ca.pem",
                "client_certificate": "required",
                "username_from": "common_name",
            },
        ),
        (("listener 9001", "protocol websockets", "allow_anonymous true"), "ws", None),
    ],
)
def test_transport_and_certificates_come_along(lines: tuple[str, ...], transport: str, tls: dict[str, str]) -> None:
    made = listeners(*lines)[0]
    assert made["transport"] == transport
    assert made.get("tls") == tls


def test_options_belong_to_the_listener_above_them() -> None:
    first, second = listeners(
        "allow_anonymous true", "listener 1883", "max_connections 5", "listener 1884", "max_topic_alias 3"
    )
    assert (first["max_connections"], "topic_alias_maximum" in first) == (5, False)
    assert ("max_connections" in second, second["topic_alias_maximum"]) == (False, 3)


@pytest.mark.parametrize(
    ("lines", "access"),
    [
        (["listener 1", "allow_anonymous true"], {"anonymous": "allow"}),
        (["listener 1", "password_file p"], {"anonymous": "refuse", "password_file": "p"}),
        (["listener 1", "password_file p", "allow_anonymous true"], {"anonymous": "allow", "password_file": "p"}),
        (["password_file p"], {"anonymous": "allow", "password_file": "p"}),
        (
            ["listener 1", "password_file p", "acl_file a"],
            {"anonymous": "refuse", "password_file": "p", "acl_file": "a"},
        ),
        (
            ["listener 1", "password_file p", "use_username_as_clientid true"],
            {"anonymous": "refuse", "password_file": "p", "client_id_is_username": True},
        ),
        (["listener 1", "listener_allow_anonymous true", "allow_anonymous false"], {"anonymous": "allow"}),
    ],
    ids=lambda value: " / ".join(value) if isinstance(value, list) else "",
)
def test_who_may_come_in_stays(lines: list[str], access: dict[str, Any]) -> None:
    assert imported(*lines).document["access"] == [{"name": "default", **access}]


def test_listeners_have_an_access_of_their_own_where_mosquitto_has_it_so() -> None:
    document = imported(
        "per_listener_settings true",
        "listener 1883 127.0.0.1",
        "allow_anonymous true",
        "listener 1884",
        "password_file p",
        "acl_file a",
        "listener 1885",
        "password_file p",
        "acl_file a",
    ).document
    assert [one["access"] for one in document["listeners"]] == ["default", "tcp-1884", "tcp-1884"]
    assert document["access"] == [
        {"name": "default", "anonymous": "allow"},
        {"name": "tcp-1884", "anonymous": "refuse", "password_file": "p", "acl_file": "a"},
    ]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["listener 1883"], "it lets nobody in"),
        (["listener 1883", "allow_anonymous true", "mount_point a/"], "mount_point"),
        (["listener 8883", "psk_hint me", "allow_anonymous true"], "pre-shared keys"),
        (["listener 1883", "plugin /usr/lib/mosquitto_dynamic_security.so"], "decided by a plugin"),
        (["listener 1883", "bind_interface eth1", "allow_anonymous true"], "one network interface only"),
        (["listener 1883", "allow_anonymous true", "enable_proxy_protocol 1"], "version 1 of the PROXY protocol"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_door_that_would_be_wider_or_of_no_use_is_left_out_with_its_line(lines: list[str], why: str) -> None:
    result = imported("listener 1 127.0.0.1", *lines) if "allow_anonymous true" in lines else imported(*lines)
    assert lines[0].split()[1] not in str(result.document["listeners"])
    assert why in said(result, Kind.LEFT_OUT)
    assert lines[0] in said(result, Kind.LEFT_OUT)


@pytest.mark.parametrize("let_in", ["allow_anonymous true", "password_file p"])
@pytest.mark.parametrize(
    ("narrowed", "why"),
    [
        ("plugin /usr/lib/mosquitto_dynamic_security.so", "do what there, is decided by a plugin"),
        ("auth_plugin /usr/lib/go-auth.so", "do what there, is decided by a plugin"),
        ("global_plugin /usr/lib/mosquitto_dynamic_security.so", "do what there, is decided by a plugin"),
        ("clientid_prefixes dev-", "only client ids with certain prefixes"),
    ],
)
def test_what_was_narrowed_by_more_than_users_and_rules_is_not_opened(let_in: str, narrowed: str, why: str) -> None:
    result = imported("listener 1883", let_in, narrowed)
    assert "listeners" not in result.document or not result.document["listeners"]
    assert why in said(result, Kind.LEFT_OUT)
    kept = imported("listener 1883", let_in, "plugin /usr/lib/mosquitto_persist_sqlite.so")
    assert [one["bind"] for one in kept.document["listeners"]] == ["0.0.0.0:1883"]


def test_limits_come_along_in_the_units_of_ours() -> None:
    document = imported(
        "listener 1883",
        "allow_anonymous true",
        "persistent_client_expiration 2m",
        "max_queued_messages 500",
        "max_queued_bytes 1048576",
        "max_inflight_messages 7",
        "max_keepalive 300",
        "max_packet_size 1000000",
        "sys_interval 0",
        "log_type warning",
        "log_type notice",
    ).document
    assert document["sessions"] == {
        "max_expiry": "60d",
        "max_queued_messages": 500,
        "max_queued_bytes": "1MiB",
        "max_in_flight": 7,
    }
    assert document["limits"] == {"sys_interval": "never"}
    assert document["log"] == {"level": "info"}
    assert document["listeners"][0]["max_packet_size"] == "1MB"
    assert document["listeners"][0]["max_keep_alive"] == "300s"


def test_no_limit_is_the_largest_there_is_and_said() -> None:
    result = imported("allow_anonymous true", "listener 1", "max_queued_messages 0", "max_inflight_messages 0")
    assert result.document["sessions"] == {"max_queued_messages": 10_000_000, "max_in_flight": 65535}
    assert "max_queued_messages 0" in said(result, Kind.DIFFERENT)


def test_a_large_packet_gets_a_spool_that_holds_it() -> None:
    document = imported("message_size_limit 800000000").document
    assert document["listeners"][0]["max_packet_size"] == "256MiB"
    assert "spool" not in document


def test_a_bridge_that_sends_becomes_an_uplink_with_a_stream() -> None:
    result = imported(
        "connection cloud.one",
        "address broker.example:8883",
        "bridge_cafile /etc/ca.pem",
        "remote_username edge",
        "remote_password s3cret${X}",
        "bridge_protocol_version mqttv50",
        "keepalive_interval 20",
        "restart_timeout 5 30",
        "topic sensors/# out 1",
        "topic alarms/+ both 2",
        "topic commands/# in 1",
        'topic state out 1 plant/ ""',
    )
    assert result.document["streams"] == [{"name": "cloud-one", "topics": ["sensors/#", "alarms/+", "plant/state"]}]
    assert result.document["uplinks"] == [
        {
            "name": "cloud-one",
            "url": "mqtts://broker.example:8883",
            "username": "edge",
            "password": "s3cret${X}",
            "tls": {"ca_file": "/etc/ca.pem"},
            "protocol": "5",
            "keep_alive": "20s",
            "retry": {"first": "5s", "max": "30s"},
            "streams": ["cloud-one"],
        }
    ]
    text = said(result)
    assert "s3cret" not in text
    assert "topic commands/# in 1 messages do not come down an uplink" in text
    assert "topic alarms/+ both 2 messages do not come down an uplink" in text
    assert "topics are not renamed" in text
    assert yaml.safe_load(yaml_text(result, "m.conf"))["uplinks"][0]["password"] == "s3cret$${X}"


def test_bridges_of_the_same_topics_share_a_stream_and_others_are_told_what_they_miss() -> None:
    result = imported(
        *("connection a", "address 10.0.0.1", "topic s/# out"),
        *("connection b", "address 10.0.0.2 10.0.0.3", "topic s/# out"),
        *("connection c", "address 10.0.0.4", "topic s/x out"),
        *("connection d", "address 10.0.0.5", "topic c/# in"),
        *("connection e", "topic e out"),
    )
    assert [(one["name"], one["streams"]) for one in result.document["uplinks"]] == [
        ("a", ["a"]),
        ("b", ["a"]),
        ("c", ["c"]),
    ]
    text = said(result, Kind.LEFT_OUT)
    assert "in part sent by a" in text
    assert "an uplink has one address, 10.0.0.2" in text
    assert "m.conf:10 connection d this bridge was left out: it sends nothing" in text
    assert "m.conf:13 connection e this bridge was left out: it has no address" in text


@pytest.mark.parametrize(
    "option", sorted({*REASONS, *BRIDGE_OPTIONS, *LISTENER_OPTIONS, *SECURITY_OPTIONS, "nonsense"})
)
def test_no_line_is_dropped_in_silence(option: str) -> None:
    """Each option, with an odd value: either something came of it, or there is a remark with its line."""
    base = ("allow_anonymous true", "listener 1883 127.0.0.1", "connection c", "address h", "topic t out")
    before = imported(*base)
    after = imported(*base, f"{option} 17")
    assert after.document != before.document or f"m.conf:6 {option}" in said(after), said(after)


def test_an_unknown_option_is_told_with_the_nearest_one() -> None:
    assert "this option is not known; did you mean 'allow_anonymous'?" in said(imported("allow_anonymos true"))


def test_a_secret_is_in_no_remark() -> None:
    text = said(imported("connection x", "address h", "topic t out", "password hunter2", "bridge_psk c0ffee"))
    assert "hunter2" not in text
    assert "c0ffee" not in text


def test_a_line_that_a_later_one_overrides_is_told() -> None:
    result = imported("max_keepalive 5", "max_keepalive 6")
    assert result.document["listeners"][0]["max_keep_alive"] == "6s"
    assert "m.conf:1 max_keepalive 5 a later line says it again" in said(result)


@pytest.mark.parametrize(
    ("one", "other", "has"),
    [
        ("a/#", "a/b", True),
        ("a/#", "a", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "+/b/c", True),
        ("a", "b", False),
        ("#", "x/y", True),
        ("#", "$SYS/x", False),
        ("$SYS/#", "$SYS/+", True),
        ("a/b", "a/b/#", True),
        ("a/b/c", "a/b", False),
    ],
)
def test_filters_have_a_topic_in_common(one: str, other: str, *, has: bool) -> None:
    assert overlap(one, other) is has
    assert overlap(other, one) is has


_WORDS = st.sampled_from(
    sorted({*REASONS, *BRIDGE_OPTIONS, *LISTENER_OPTIONS, *SECURITY_OPTIONS, "listener", "connection"})
)


_VALUES = st.one_of(
    st.sampled_from(["", "0", "-1", "1", "17", "true", "false", "a/b"]), st.text('ab01/#+:-." $', max_size=12)
)


@given(st.lists(st.tuples(_WORDS, _VALUES), max_size=12))
def test_whatever_is_written_there_it_is_read(lines: list[tuple[str, str]]) -> None:
    result = imported(*(f"{option} {value}" for option, value in lines))
    assert yaml.safe_load(yaml_text(result, "m.conf"))
    assert report(result.remarks)


_ODD = ("", "0", "-1", "1", "17", "true", "false", "a/b")
_READ = (
    "log_dest",
    "log_type",
    "max_keepalive",
    "max_packet_size",
    "max_queued_bytes",
    "message_size_limit",
    "sys_interval",
)


@pytest.mark.parametrize("value", _ODD)
def test_no_value_is_dropped_in_silence(value: str) -> None:
    base = ("allow_anonymous true", "listener 1883 127.0.0.1", "connection c", "address h", "topic t out")
    before = imported(*base)
    for option in sorted({*REASONS, *BRIDGE_OPTIONS, *LISTENER_OPTIONS, *SECURITY_OPTIONS, *_READ}):
        after = imported(*base, f"{option} {value}")
        is_known_default = option in {"allow_anonymous", "listener_allow_anonymous"} and value in {"true", "1"}
        assert after.document != before.document or f"m.conf:6 {option}" in said(after) or is_known_default, option


def test_the_command_writes_a_file_that_the_check_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "passwords", *MOSQUITTO_LINES)
    write_lines(tmp_path / "acl", "user alice", "topic readwrite a/#")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("listener 0 /tmp/m.sock\n")
    (tmp_path / "conf.d" / "A.conf").write_text("listener 1884 127.0.0.1\n")
    (tmp_path / "conf.d" / "not.conf.bak").write_text("listener 1\n")
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("password_file passwords\nacl_file acl\npid_file /run/x\nmemory_limit 5\ninclude_dir conf.d\n")
    result = CliRunner().invoke(app, ["import", "mosquitto", str(conf), "-o", "gateway.yaml"])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"{conf}:4: memory_limit 5: queues have bounds" in result.stderr
    assert f"{conf}:3: pid_file /run/x:" in result.stderr
    made = tmp_path / "gateway.yaml"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    settings = load_gateway(made, {})
    assert [one.transport for one in settings.listeners] == [Transport.TCP, Transport.TCP]
    assert [str(one.bind) for one in settings.listeners] == ["127.0.0.1:1884", "unix:/tmp/m.sock"]
    assert isinstance(settings.listeners[1].bind, UnixPath)
    assert settings.access[0].anonymous is Anonymous.REFUSE
    assert settings.access[0].acl_file == Path("acl")
    again = CliRunner().invoke(app, ["import", "mosquitto", str(conf), "-o", "gateway.yaml"])
    assert again.exit_code == 1
    assert "--force" in again.stderr


def test_a_file_that_is_no_mosquitto_conf_becomes_nothing(tmp_path: Path) -> None:
    other = tmp_path / "gateway.yaml"
    other.write_text("gateway: {id: edge-01}\nlog: {level: info}\n")
    made = tmp_path / "made.yaml"
    result = CliRunner().invoke(app, ["import", "mosquitto", str(other), "-o", str(made)])
    assert (result.exit_code, result.stdout, made.exists()) == (1, "", False)
    assert f"No line of {other} is an option of Mosquitto's. Give the name of a mosquitto.conf." in result.stderr


def test_an_empty_mosquitto_conf_is_one(tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("# nothing is set\n")
    assert CliRunner().invoke(app, ["import", "mosquitto", str(conf)]).exit_code == 0


def test_a_problem_is_named_with_the_file_that_was_written(tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("allow_anonymous true\nlistener 8883\ncertfile none.crt\nkeyfile none.key\n")
    made = tmp_path / "made.yaml"
    result = CliRunner().invoke(app, ["import", "mosquitto", str(conf), "-o", str(made)])
    assert result.exit_code == 1
    assert f"  {made}:" in result.stderr


def test_what_the_gateway_would_not_take_is_said_and_fails(tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("listener 1883\npassword_file /nowhere/passwords\n")
    result = CliRunner().invoke(app, ["import", "mosquitto", str(conf), "--json"])
    assert result.exit_code == 1
    body = json.loads(result.stdout)
    assert "/nowhere/passwords" in body["yaml"]
    assert "/nowhere/passwords" in body["problems"][0]


def test_a_file_without_a_door_is_not_written(tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("listener 1883\n")
    result = CliRunner().invoke(app, ["import", "mosquitto", str(conf), "-o", str(tmp_path / "gateway.yaml")])
    assert result.exit_code == 1
    assert "it lets nobody in" in result.stderr
    assert not (tmp_path / "gateway.yaml").exists()


def test_a_folder_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("\ninclude_dir /nowhere\n")
    result = CliRunner().invoke(app, ["import", "mosquitto", str(conf)])
    assert result.exit_code == 1
    assert f"{conf}:2: include_dir /nowhere can't be read" in result.stderr
