from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.loader import load_gateway, load_receiver, program_of
from config.settings import (
    Address,
    BrokerUrl,
    Compression,
    Encoding,
    GatewaySettings,
    JsonLinesSink,
    MqttSink,
    Protocol,
    ReceiverSettings,
    SqliteSink,
    WhenFull,
)
from config.yaml_nodes import MAX_DEPTH, MAX_NODES
from tests.support.configuration import gateway_from, gateway_problems, receiver_from, receiver_problems

ROOT = Path(__file__).parents[3]


def test_no_file_gives_the_defaults() -> None:
    assert load_gateway(None, {}) == GatewaySettings()
    assert load_receiver(None, {}) == ReceiverSettings()


@pytest.mark.parametrize(
    "text", ["", "\n# nothing but a comment\n", "---\n", "gateway:\nuplinks:\nspool: ~\n", "\ufeff"]
)
def test_a_file_that_says_nothing_gives_the_defaults(text: str) -> None:
    assert gateway_from(text).settings == GatewaySettings()


def test_the_files_in_the_repository_say_what_the_defaults_are() -> None:
    assert load_gateway(ROOT / "gateway.yaml", {}) == GatewaySettings()
    assert load_receiver(ROOT / "receiver.yaml", {}) == ReceiverSettings()


def test_every_key_reaches_its_setting_in_its_unit() -> None:
    settings = gateway_from("""
        gateway: {id: 007, data_dir: /var/lib/fieldgate, grace_period: 3s}
        listeners:
          - {name: a, transport: tcp, bind: "0.0.0.0:1884", max_connections: 5, max_packet_size: 1MiB,
             receive_maximum: 7, connect_timeout: 500ms}
          - {name: b, bind: "[::1]:1885"}
        access: [{anonymous: allow}]
        streams:
          - {name: alarms, topics: ["alarm/#", "+/alarm"], time_to_live: 7d}
          - name: rest
        spool: {max_size: 2MiB, when_full: reject, durability: 1s}
        uplinks:
          - name: cloud
            url: mqtts://broker.example
            username: me
            password: secret
            protocol: 3.1.1
            streams: [alarms, rest]
            topic: up/{gateway}/{stream}
            batch: {max_records: 3, max_size: 64KiB, linger: 0s}
            encoding: json
            compression: none
            window: 1
            ack_timeout: 1m30s
            keep_alive: 5m
            retry: {first: 10ms, max: 1h}
        api: {bind: "localhost:0"}
        log: {level: debug, format: json}
    """).settings
    assert settings.gateway.id == "007"
    assert settings.gateway.data_dir == Path("/var/lib/fieldgate")
    assert settings.gateway.grace_period_s == 3.0
    first, second = settings.listeners
    assert (first.max_connections, first.max_packet_size_bytes, first.receive_maximum) == (5, 2**20, 7)
    assert first.connect_timeout_s == 0.5
    assert second.bind == Address(host="::1", port=1885)
    assert settings.streams[0].topics == ("alarm/#", "+/alarm")
    assert settings.streams[0].time_to_live_s == 604_800
    assert settings.streams[1].topics == ("#",)
    assert settings.spool.when_full is WhenFull.REJECT
    assert (settings.spool.max_size_bytes, settings.spool.durability_s) == (2 * 2**20, 1.0)
    (uplink,) = settings.uplinks
    assert uplink.url == BrokerUrl(host="broker.example", port=8883, tls=True)
    assert (uplink.username, uplink.password) == ("me", "secret")
    assert uplink.protocol is Protocol.V311
    assert uplink.streams == ("alarms", "rest")
    assert (uplink.batch.max_records, uplink.batch.max_size_bytes, uplink.batch.linger_s) == (3, 65536, 0.0)
    assert (uplink.encoding, uplink.compression) == (Encoding.JSON, Compression.NONE)
    assert (uplink.window, uplink.ack_timeout_s, uplink.keep_alive_s) == (1, 90.0, 300)
    assert isinstance(uplink.keep_alive_s, int)
    assert (uplink.retry.first_s, uplink.retry.max_s) == (0.01, 3600.0)
    assert settings.api.bind == Address(host="localhost", port=0)
    assert settings.log.level == "debug"


def test_every_key_of_the_receiver_reaches_its_setting() -> None:
    settings = receiver_from("""
        receiver: {id: r1, url: "mqtt://b", topic: plants/v1/+/+, state: s.db, session_expiry: 1h,
                   max_frame_size: 16MiB, protocol: 5}
        sinks:
          - {type: sqlite, path: a.db}
          - {type: jsonl, path: a.jsonl}
          - {type: mqtt, url: "mqtt://c", window: 9}
          - {type: mqtt}
    """).settings
    assert settings.receiver.topic == "plants/v1/+/+"
    assert (settings.receiver.session_expiry_s, settings.receiver.max_frame_size_bytes) == (3600, 2**24)
    assert settings.api.bind.port == 8081
    assert settings.sinks == (
        SqliteSink(path=Path("a.db")),
        JsonLinesSink(path=Path("a.jsonl")),
        MqttSink(url=BrokerUrl(host="c", port=1883), window=9),
        MqttSink(),
    )


def test_an_anchor_may_be_merged_and_the_nearer_key_wins() -> None:
    settings = gateway_from("""
        streams: [{name: a}, {name: b, topics: [b]}]
        uplinks:
          - &first {name: one, window: 3, streams: [a]}
          - {<<: *first, name: two, streams: [b]}
    """).settings
    assert [(uplink.name, uplink.window) for uplink in settings.uplinks] == [("one", 3), ("two", 3)]


def test_a_variable_fills_in_a_value_of_any_type() -> None:
    text = 'uplinks: [{url: "mqtt://${HOST}:${PORT:-99}", window: "${WINDOW}", username: "${NOBODY:-}"}]'
    (uplink,) = gateway_from(text, {"HOST": "h", "WINDOW": "4"}).settings.uplinks
    assert (uplink.url, uplink.window, uplink.username) == (BrokerUrl(host="h", port=99), 4, None)


def test_a_password_is_read_from_its_file_without_the_trailing_newline(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("  hunter2 ${X}\n")
    loaded = gateway_from(f"uplinks:\n  - username: me\n    password_file: {secret}\n")
    assert loaded.settings.uplinks[0].password == "  hunter2 ${X}"
    assert loaded.origins["uplinks[cloud].password"].startswith("password_file, ")


def test_every_origin_is_known() -> None:
    loaded = gateway_from("api:\n  bind: 127.0.0.1:1\n", {"FIELDGATE__LOG__LEVEL": "debug"})
    assert loaded.origins["api.bind"].endswith("gateway.yaml:2")
    assert loaded.origins["log.level"] == "environment variable FIELDGATE__LOG__LEVEL"
    assert loaded.origins["uplinks[cloud].batch.linger"] == "default"


def test_a_file_that_is_missing_a_folder_or_not_text_gets_a_sentence(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"gateway:\n  id: caf\xe9\n")
    for path, sentence in [
        (tmp_path / "none.yaml", "this file does not exist"),
        (tmp_path, "this is a directory"),
        (latin, "this is not UTF-8 text"),
    ]:
        with pytest.raises(ConfigError, match=sentence) as refused:
            load_gateway(path, {})
        assert refused.value.problems[0].file == str(path)
    assert refused.value.problems[0].line == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"),
    [
        ("api:\n\tbind: x\n", 2, 1, "indent with spaces"),
        ("api: {bind: x\n", 2, 1, "this is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document begins here"),
        ("uplinks: [{url: ${URL}}]\n", 1, 18, 'must be quoted: "${VAR}"'),
        ("uplinks: [{streams: [*]}]\n", 1, 23, 'must be quoted: "*"'),
        ("a: *b\n", 1, 4, 'must be quoted: "*"'),
        ("a: \x01\n", 1, 4, "U+0001"),
        ("a: &a [*a]\n", 1, 4, "contains the alias itself"),
    ],
)
def test_what_is_not_yaml_gets_a_sentence_with_line_and_column(
    text: str, line: int, column: int, sentence: str
) -> None:
    (problem,) = gateway_problems(text)
    assert sentence in problem.message
    assert (problem.line, problem.column) == (line, column)
    assert f"gateway.yaml:{line}:{column}: " in str(problem)


def test_aliases_can_not_unfold_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = gateway_problems("\n".join(lines))
    assert "unfold to more than" in problem.message


def test_a_file_that_is_nested_too_deeply_gets_a_sentence() -> None:
    (problem,) = gateway_problems("[" * 5000 + "]" * 5000)
    assert "nested too deeply" in problem.message


@pytest.mark.parametrize("text", ["{" * 100_000, "[[]," * 100_000, "a: " + "[" * MAX_DEPTH + "{"])
def test_brackets_that_are_opened_without_end_are_refused_where_there_are_too_many(text: str) -> None:
    (problem,) = gateway_problems(text)
    assert "nested too deeply" in problem.message
    # Where it gave up: what comes after was not read, and would take seconds.
    assert problem.line == 1
    assert problem.column is not None
    assert problem.column < 5 * MAX_DEPTH


def test_brackets_in_texts_and_comments_are_none() -> None:
    quoted = "[{" * MAX_DEPTH
    text = f"# {quoted}\nuplinks: [{{name: a, username: '{quoted}'}}]"
    assert gateway_from(text).settings.uplinks[0].username == quoted


def test_a_file_of_more_values_than_any_has_is_not_read_to_its_end() -> None:
    (problem,) = gateway_problems("[" + "a," * (2 * MAX_NODES) + "]")
    assert f"more than {MAX_NODES} values" in problem.message


@pytest.mark.parametrize(
    ("name", "text", "program"),
    [
        ("x.yaml", "receiver: {}\n", "receiver"),
        ("x.yaml", "sinks: []\napi: {}\n", "receiver"),
        ("receiver.yaml", "uplinks: []\n", "gateway"),
        ("receiver.yaml", "api: {}\n", "receiver"),
        ("x.yaml", "", "gateway"),
    ],
)
def test_the_program_of_a_file_is_known_by_its_sections(tmp_path: Path, name: str, text: str, program: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert program_of(path) == program


def test_the_sections_of_the_other_file_are_pointed_home() -> None:
    (problem,) = receiver_problems("spool: {}")
    assert "it belongs in the top of gateway.yaml" in problem.message
