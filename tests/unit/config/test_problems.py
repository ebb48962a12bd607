"""Each mistake an operator can make: its line, its dotted key, and a sentence that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.checks import Checker
from config.errors import Place, Problem
from config.gateway_keys import GATEWAY
from config.reading import Reader
from config.settings import GatewayIdentity, GatewaySettings
from tests.support.configuration import gateway_from, gateway_problems, receiver_from, receiver_problems

ANYBODY = "access: [{anonymous: allow}]\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "sentence"),
    [
        ("spol: {}", 1, "spol", "there is no key 'spol' here; did you mean 'spool'?"),
        ("uplinks:\n- batch:\n    lingr: 1s", 3, "uplinks[cloud].batch.lingr", "did you mean 'linger'?"),
        ("gateway: {window: 3}", 1, "gateway.window", "it belongs in uplinks[]"),
        ("api: {zzz: 3}", 1, "api.zzz", "the keys here are bind"),
        ("api:\n  bind: a:1\n  bind: b:1", 3, "api.bind", "stands here twice; the first is on line 2"),
        ("api: {}\napi: {}", 2, "api", "stands here twice; the first is on line 1"),
        ("gateway: [a]", 1, "gateway", "expected a mapping with the keys id, data_dir, grace_period, found a list"),
        ("7", 1, "", "expected a mapping with the keys gateway, listeners"),
        ("listeners: {name: a}", 1, "listeners", "expected a list, in which each listener begins with '- name:'"),
        ("listeners: [a]", 1, "listeners[0]", "found 'a'"),
        ("listeners: []", 1, "listeners", "expected at least one listener"),
        (
            "streams: [{topics: a}]",
            1,
            "streams[telemetry].topics",
            "expected a list such as [\"sensors/#\"], found 'a'",
        ),
        ("streams:\n- topics: #", 2, "streams[telemetry].topics", "a # outside quotes begins a comment"),
        ("streams: [{topics: []}]", 1, "streams[telemetry].topics", "expected at least one value"),
        ("streams: [{topics: [a, a]}]", 1, "streams[telemetry].topics[1]", "stands in this list twice"),
        ("streams: [{topics: ['a/#/b']}]", 1, "streams[telemetry].topics[0]", "must stand alone in the last level"),
        ("streams: [{topics: [[a]]}]", 1, "streams[telemetry].topics[0]", "expected a topic filter, found a list"),
        ("streams: [{name: a b}]", 1, "streams[a b].name", "expected a name of 1 to 64 letters"),
        ("streams: [{time_to_live: forevr}]", 1, "streams[telemetry].time_to_live", "did you mean 'forever'?"),
        ("gateway: {id: ''}", 1, "gateway.id", "expected 1 to 128 characters"),
        ("gateway:\n  id:", 2, "gateway.id", "this key has no value; expected an id"),
        ("gateway: {id: {a: b}}", 1, "gateway.id", "expected an id, found a mapping"),
        ("gateway: {id: !secret x}", 1, "gateway.id", "the tag !secret is not understood"),
        ("gateway:\n  id: !secret", 2, "gateway.id", 'a text that begins with ! must be quoted: "!"'),
        ("gateway: {[a]: x}", 1, "gateway", "a key must be one word"),
        ("gateway: {id: '${NOT_SET}'}", 1, "gateway.id", "the environment variable NOT_SET is not set"),
        ('gateway: {id: "\\ud800"}', 1, "gateway.id", "not valid Unicode"),
        ("spool: {max_size: 1KiB}", 1, "spool.max_size", "expected a size from 1MiB to"),
        ("spool: {max_size: 1073741824}", 1, "spool.max_size", "has no unit"),
        ("spool: {when_full: drop}", 1, "spool.when_full", "did you mean 'drop_oldest'?"),
        ("spool: {durability: comit}", 1, "spool.durability", "did you mean 'commit'?"),
        ("spool: {durability: 0s}", 1, "spool.durability", "expected a duration from 1ms to 1h"),
        ("listeners: [{transport: udp}]", 1, "listeners[local].transport", "expected tcp, tls, ws or wss, found 'udp'"),
        ("listeners: [{bind: 'localhost:70000'}]", 1, "listeners[local].bind", "from 0 to 65535, found '70000'"),
        ("uplinks: [{window: 0}]", 1, "uplinks[cloud].window", "a whole number from 1 to 65535, found '0'"),
        ("uplinks: [{window: -3}]", 1, "uplinks[cloud].window", "found '-3'"),
        ("uplinks: [{window: 1.5}]", 1, "uplinks[cloud].window", "found '1.5'"),
        ("uplinks: [{window: many}]", 1, "uplinks[cloud].window", "found 'many'"),
        ("uplinks: [{protocol: 4}]", 1, "uplinks[cloud].protocol", "expected auto, 5 or 3.1.1, found '4'"),
        ("uplinks: [{keep_alive: 1500ms}]", 1, "uplinks[cloud].keep_alive", "expected whole seconds"),
        ("uplinks: [{topic: a/+}]", 1, "uplinks[cloud].topic", "has a wildcard"),
        ("uplinks: [{topic: 'a/{x}'}]", 1, "uplinks[cloud].topic", "the placeholder {x}"),
        ("uplinks: [{url: 'mqtt://u:p@h'}]", 1, "uplinks[cloud].url", "username and password_file"),
        ("uplinks: [{retry: {first: 2s, max: 1s}}]", 1, "uplinks[cloud].retry.max", "not smaller than first"),
        ("uplinks: [{retry: {first: 2m}}]", 1, "uplinks[cloud].retry.first", "not smaller than first"),
        ("uplinks: [{password: x}]", 1, "uplinks[cloud].password", "needs a username"),
        ("uplinks: [{username: u, password_file: /nope}]", 1, "uplinks[cloud].password_file", "can't be read"),
        (
            "uplinks: [{url: 'mqtts://h', tls: {ca_file: /nope}}]",
            1,
            "uplinks[cloud].tls.ca_file",
            "'/nope' can't be read",
        ),
        ("uplinks: [{streams: [telemetri]}]", 1, "uplinks[cloud].streams", "did you mean 'telemetry'?"),
        ("uplinks: [{<<: 3}]", 1, "uplinks[cloud]", "'<<' merges a mapping, found '3'"),
        ("log: {level: INFO}", 1, "log.level", "did you mean 'info'?"),
        (
            "streams: [{name: a}, {name: b, topics: [b]}]\nuplinks: [{streams: [a]}]",
            1,
            "streams[b]",
            "no uplink carries the stream 'b'",
        ),
        (
            "streams: [{name: a}, {name: b}]\nuplinks: [{topic: 'x/{gateway}'}]",
            2,
            "uplinks[cloud].topic",
            "expected {stream} in the topic, because several go through it: a, b",
        ),
        ("streams: [{name: a},\n {name: a}]", 2, "streams[1].name", "the name 'a' is taken by another of the streams"),
        ("uplinks: [{name: a},\n {name: a}]", 2, "uplinks[1].name", "the name 'a' is taken"),
        ("listeners: [{},\n {bind: '127.0.0.1:9'}]", 2, "listeners[1].name", "the name 'local' is taken"),
        (
            ANYBODY + "listeners: [{name: a, bind: '0.0.0.0:1883'},\n {name: b, bind: 'localhost:1883'}]",
            3,
            "listeners[b].bind",
            "the address localhost:1883 is taken by listeners[a].bind",
        ),
        (
            ANYBODY + "listeners: [{name: a, bind: 'edge.local:1'},\n {name: b, bind: 'EDGE.local:1'}]",
            3,
            "listeners[b].bind",
            "is taken by listeners[a].bind",
        ),
        ("api: {bind: '127.0.0.1:1883'}", 1, "api.bind", "is taken by listeners[local].bind"),
    ],
)
def test_a_mistake_in_gateway_yaml_is_named_with_its_line(text: str, line: int, key: str, sentence: str) -> None:
    (problem,) = gateway_problems(text)
    assert sentence in problem.message
    assert (problem.key, problem.line) == (key, line)
    assert problem.column is not None


@pytest.mark.parametrize(
    ("text", "line", "key", "sentence"),
    [
        ("sinks: [{type: kafka}]", 1, "sinks[kafka].type", "expected one of jsonl, sqlite, mqtt, found 'kafka'"),
        ("sinks: [{type: json}]", 1, "sinks[json].type", "did you mean 'jsonl'?"),
        ("sinks: [{path: x}]", 1, "sinks[0].type", "expected one of jsonl, sqlite, mqtt, found nothing"),
        ("sinks: [jsonl]", 1, "sinks[0]", "expected a mapping that begins with 'type:'"),
        ("sinks: []", 1, "sinks", "expected at least one sink"),
        ("sinks: [{type: jsonl, url: 'mqtt://h'}]", 1, "sinks[jsonl].url", "it belongs in"),
        ("sinks: [{type: mqtt},\n {type: mqtt}]", 2, "sinks[1].url", "is that of sinks[0].url"),
        ("sinks: [{type: jsonl},\n {type: jsonl}]", 2, "sinks[1]", "is written by sinks[0].path"),
        ("sinks: [{type: sqlite, path: receiver.db}]", 1, "sinks[sqlite].path", "is written by receiver.state"),
        ("sinks: [{type: mqtt, tls: {ca_file: /dev/null}}]", 1, "sinks[mqtt].tls", "uses no TLS; write mqtts://"),
        ("receiver: {topic: 'a/#/b'}", 1, "receiver.topic", "must stand alone"),
        ("receiver: {id: ''}", 1, "receiver.id", "printable"),
        ("receiver: {password: x}", 1, "receiver.password", "needs a username"),
        ("receiver: {session_expiry: 0s}", 1, "receiver.session_expiry", "expected a duration from 1m to"),
    ],
)
def test_a_mistake_in_receiver_yaml_is_named_with_its_line(text: str, line: int, key: str, sentence: str) -> None:
    (problem,) = receiver_problems(text)
    assert sentence in problem.message
    assert problem.line == line
    assert problem.key.startswith(key)


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines() -> None:
    problems = gateway_problems(
        "gateway: {id: a/b}\nspool: {max_size: 1}\n"
        "uplinks:\n- window: 0\n  name: cloud\n  batch: {linger: 1}\nlo: {}\n",
        {"FIELDGATE__API__BIND": "x"},
    )
    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "gateway.id"),
        (2, "spool.max_size"),
        (4, "uplinks[cloud].window"),
        (6, "uplinks[cloud].batch.linger"),
        (7, "lo"),
        (None, "api.bind"),
    ]


def test_a_tls_section_needs_mqtts_and_a_certificate_needs_its_key(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    (plain,) = gateway_problems(f"uplinks: [{{tls: {{ca_file: {pem}}}}}]")
    assert plain.key == "uplinks[cloud].tls"
    (keyless,) = gateway_problems(f"uplinks: [{{url: 'mqtts://h', tls: {{cert_file: {pem}}}}}]")
    assert (keyless.key, keyless.message) == (
        "uplinks[cloud].tls.cert_file",
        "a certificate needs its key; add key_file",
    )
    (certless,) = gateway_problems(f"uplinks: [{{url: 'mqtts://h', tls: {{key_file: {pem}}}}}]")
    assert certless.key == "uplinks[cloud].tls.key_file"
    gateway_from(f"uplinks: [{{url: 'mqtts://h', tls: {{cert_file: {pem}, key_file: {pem}}}}}]")


def test_a_password_given_twice_is_refused_and_never_repeated(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    (problem,) = gateway_problems(f"uplinks: [{{username: u, password: hunter3, password_file: {secret}}}]")
    assert problem.message == "password is given too; keep one of them"
    assert "hunter" not in str(problem)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\n", "is not UTF-8 text"), (b"x" * 70_000, "too long")],
)
def test_a_password_file_that_holds_no_password_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    (problem,) = gateway_problems(f"uplinks: [{{username: u, password_file: {secret}}}]")
    assert sentence in problem.message


def test_port_0_may_be_used_by_several_and_addresses_of_two_families_are_not_one() -> None:
    gateway_from(
        "listeners: [{name: a, bind: 'localhost:0'}, {name: b, bind: 'localhost:0'}]\napi: {bind: 'localhost:0'}"
    )
    gateway_from(ANYBODY + "listeners: [{name: a, bind: '0.0.0.0:9'}, {name: b, bind: '[::1]:9'}]")
    (problem,) = gateway_problems(ANYBODY + "listeners: [{name: a, bind: '0.0.0.0:9'}, {name: b, bind: '[::]:9'}]")
    assert "the address [::]:9 is taken by listeners[a].bind" in problem.message


def test_two_mqtt_sinks_and_two_files_are_fine() -> None:
    loaded = receiver_from(
        "sinks: [{type: mqtt}, {type: mqtt, url: 'mqtt://b'}, {type: jsonl, path: a}, {type: jsonl, path: b}]"
    )
    assert loaded.origins["sinks[2].path"].endswith(":1")


def test_a_host_name_that_can_not_be_an_id_is_refused_where_no_id_is_written() -> None:
    problems: list[Problem] = []
    reader = Reader(Place(source="gateway.yaml"), problems)
    settings = reader.section(GATEWAY, None, None, GatewaySettings(gateway=GatewayIdentity(id="a/b")), "")
    Checker(reader, Place(source="gateway.yaml")).gateway(settings)
    (problem,) = problems
    assert problem.key == "gateway.id"
    assert problem.message.startswith("the host's name can't be the id of a gateway")
    assert str(problem).startswith("gateway.yaml: gateway.id: ")


def test_a_null_item_of_a_list_is_one_with_all_its_defaults() -> None:
    assert gateway_from("listeners: [null]").settings == gateway_from("").settings


@pytest.mark.parametrize(
    "text",
    [
        "uplinks: [{url: 'mqtt://u:hunter2@h:1'}]",
        "uplinks: [{url: 'mqtt://h:1/?password=hunter2'}]",
        "uplinks: [{username: u, password: 'x${hunter2 x}'}]",
        "uplinks: [{username: u, password: 'hunter2${'}]",
        "uplinks: [{username: u, password: [hunter2]}]",
    ],
)
def test_no_sentence_repeats_what_may_be_a_password(text: str) -> None:
    assert "hunter2" not in "".join(map(str, gateway_problems(text)))


@pytest.mark.parametrize(
    "written", ["*hunter2", "!hunter2", "@hunter2", "`hunter2", "%hunter2", "[hunter2", "{hunter2}"]
)
def test_a_password_that_yaml_takes_for_something_else_is_not_repeated(written: str) -> None:
    problems = gateway_problems(f"uplinks:\n  - username: u\n    password: {written}\n")
    assert problems
    assert "hunter2" not in "".join(map(str, problems))
