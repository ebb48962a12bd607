"""The loader, the schema, the text of the effective settings and the files in the repository agree with each other."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.describe import MASK, describe, effective_values
from config.gateway_keys import GATEWAY
from config.loader import Loaded
from config.receiver_keys import RECEIVER
from config.schema import gateway_schema, receiver_schema
from config.settings import GatewaySettings, ReceiverSettings, Rule
from config.shapes import Section, SectionList
from tests.support.configuration import gateway_from, receiver_from

ROOT = Path(__file__).parents[3]


def sections(section: Section) -> Iterator[Section]:
    yield section
    for key in section.keys:
        below = [key.shape] if isinstance(key.shape, Section) else []
        if isinstance(key.shape, SectionList):
            below = list(key.shape.variants.values())
        for member in below:
            yield from sections(member)


def mistakes(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """What a validator would say, for the part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return mistakes(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, where)
    found: list[str] = []
    for word in ("anyOf", "oneOf"):
        if word in schema:
            right = [option for option in schema[word] if not mistakes(value, option, root, where)]
            if not right or (word == "oneOf" and len(right) != 1):
                found.append(f"{where}: {len(right)} of {word}")
    if "type" in schema:
        names = {
            dict: "object",
            list: "array",
            str: "string",
            int: "integer",
            float: "number",
            bool: "boolean",
            type(None): "null",
        }
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if names[type(value)] not in wanted:
            return [*found, f"{where}: {value!r} is not {wanted}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not in {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{where}: {value} is out of bounds")
    if isinstance(value, list):
        found += [f"{where}: too short"] if len(value) < schema.get("minItems", 0) else []
        for number, item in enumerate(value):
            found += mistakes(item, schema.get("items", {}), root, f"{where}[{number}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                found += mistakes(member, properties[name], root, f"{where}.{name}")
            elif schema.get("additionalProperties", True) is False:
                found.append(f"{where}: {name} is unknown")
    return found


@pytest.mark.parametrize("root", [GATEWAY, RECEIVER])
def test_every_setting_has_exactly_one_key_and_a_meaning(root: Section) -> None:
    for section in sections(root):
        fields = {field.name for field in dataclasses.fields(section.settings)}
        shown = [key.attribute for key in section.keys if not key.alias and not key.selects]
        assert sorted(shown) == sorted(fields), section.settings
        assert all(key.attribute in fields for key in section.keys if key.alias)
        assert all(key.doc.endswith(".") for key in section.keys)


@pytest.mark.parametrize(("name", "root"), [("gateway.yaml", GATEWAY), ("receiver.yaml", RECEIVER)])
def test_every_key_stands_in_the_file_of_the_repository(name: str, root: Section) -> None:
    text = (ROOT / name).read_text()
    for section in sections(root):
        for key in section.keys:
            assert re.search(rf"^[ #-]*\b{key.name}:|\b{key.name}, password, tls\b", text, re.MULTILINE), key.name


def test_the_commented_keys_of_gateway_yaml_are_right_too(tmp_path: Path) -> None:
    text = (ROOT / "gateway.yaml").read_text()
    text = re.sub(r"^( +)# (\w+: )", r"\1\2", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)# - name: devices\n", r"\1- name: devices\n", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)#   (\w+: )", r"\1  \2", text, flags=re.MULTILINE)
    text = text.replace("transport: tcp", "transport: tls").replace("_certificate: none", "_certificate: required")
    text = re.sub(r"^ +password: .*\n", "", text, flags=re.MULTILINE).replace("mqtt://127", "mqtts://127")
    (tmp_path / "file").write_text("secret")
    text = re.sub(r"/etc/fieldgate/\S+", str(tmp_path / "file"), text)
    settings = gateway_from(text).settings
    assert settings.gateway.id == "edge-01"
    assert settings.uplinks[0].password == "secret"
    assert settings.uplinks[0].tls.key_file == tmp_path / "file"
    assert settings.listeners[0].tls.crl_file == tmp_path / "file"
    assert settings.access[0].http.url == "http://127.0.0.1:8090/mqtt/auth"
    assert settings.access[0].rules == (Rule(name="devices", topics=("plant/%u/#",)),)


def test_the_commented_sinks_of_receiver_yaml_are_right_too() -> None:
    text = (ROOT / "receiver.yaml").read_text()
    text = re.sub(r"^  # (- \w+:|  \w+:)", r"  \1", text, flags=re.MULTILINE)
    assert [type(sink).__name__ for sink in receiver_from(text).settings.sinks] == [
        "JsonLinesSink",
        "SqliteSink",
        "MqttSink",
    ]


@pytest.mark.parametrize(("name", "schema"), [("gateway.yaml", gateway_schema()), ("receiver.yaml", receiver_schema())])
def test_the_file_of_the_repository_fits_the_schema(name: str, schema: dict[str, Any]) -> None:
    assert mistakes(yaml.safe_load((ROOT / name).read_text()), schema, schema) == []


FRONT_DOOR = """
listeners:
- {bind: 'unix:/x', tls: {min_version: 1.2}, proxy_protocol: off, max_connect_rate: 5}
- {name: b, bind: '127.0.0.1:9', max_byte_rate: 1MiB, max_keep_alive: unlimited, websocket_origins: []}
access:
- {client_id_is_username: true, rules: [{name: a, actions: [read]}]}
- {name: b, rules: []}
limits: {sys_interval: never}
sessions: {max_sessions_per_user: 3}
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uplinks: [{protocol: 3.1.1, window: '${WINDOW:-3}', batch: {linger: '${LINGER}'}, tls: }]",
        FRONT_DOOR,
        "spool: {durability: 1s, max_size: 1.5GiB}\nstreams: [{name: a, topics: [a/b], time_to_live: 1h30m}]",
    ],
)
def test_what_the_loader_takes_fits_the_schema(text: str) -> None:
    gateway_from(text, {"LINGER": "1s"}) if "streams" not in text else gateway_from(text)
    assert mistakes(yaml.safe_load(text), gateway_schema(), gateway_schema()) == []


@pytest.mark.parametrize(
    "text",
    [
        "spol: {}",
        "spool: {max_size: 1}",
        "spool: {when_full: never}",
        "uplinks: [{window: 0}]",
        "uplinks: [{url: 'mqtt://u:p@h'}]",
        "uplinks: []",
        "streams: [{name: a b}]",
        "api: {bind: 8080}",
        "listeners: [{bind: 'unix:/x/'}]",
        "listeners: [{max_connect_rate: none}]",
        "access: [{client_id_is_username: maybe}]",
        "access: [{rules: [{topics: []}]}]",
        "access: []",
    ],
)
def test_what_the_loader_refuses_does_not_fit_the_schema(text: str) -> None:
    assert mistakes(yaml.safe_load(text), gateway_schema(), gateway_schema())


def test_a_schema_is_json_with_a_meaning_for_every_key_and_the_defaults() -> None:
    schema = json.loads(json.dumps(gateway_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    batch = schema["properties"]["uplinks"]["items"]["properties"]["batch"]["properties"]
    assert batch["linger"]["default"] == "250ms"
    assert batch["max_records"]["default"] == 2000
    assert batch["linger"]["description"].startswith("A record waits")
    assert "default" not in schema["properties"]["gateway"]["properties"]["id"]
    sinks = receiver_schema()["properties"]["sinks"]["items"]["oneOf"]
    assert [sink["properties"]["type"]["const"] for sink in sinks] == ["jsonl", "sqlite", "mqtt"]


def test_the_effective_settings_are_read_back_the_same() -> None:
    loaded = gateway_from("""
        gateway: {id: "null", data_dir: "a # b", grace_period: 0s}
        listeners: [{name: a}, {name: b, bind: "[::1]:9"}]
        streams: [{name: x, topics: ["#", "a: b", "$${literal}", 'q"uote', "é\\t"], time_to_live: 1m30s}, {name: "on"}]
        spool: {max_size: 1000000000B, durability: 10ms}
        uplinks: [{url: "mqtts://h", username: "yes", streams: [x, "on"], topic: "{stream}"}]
    """)
    assert gateway_from(describe(loaded)).settings == loaded.settings
    sinks = receiver_from(
        "sinks: [{type: jsonl}, {type: mqtt}, {type: mqtt, url: 'mqtt://b', window: 3}, {type: sqlite}]"
    )
    assert receiver_from(describe(sinks)).settings == sinks.settings
    assert gateway_from(describe(GatewaySettings())).settings == GatewaySettings()
    assert receiver_from(describe(ReceiverSettings())).settings == ReceiverSettings()


def test_the_effective_settings_show_where_each_value_came_from_and_no_secret() -> None:
    loaded = gateway_from(
        "uplinks:\n- name: cloud\n  username: me\n  password: hunter2\n  window: 7\n",
        {"FIELDGATE__LOG__LEVEL": "debug"},
    )
    text = describe(loaded)
    assert re.search(r"window: 7 +# .*gateway\.yaml:5", text)
    assert re.search(r"linger: 250ms +# default", text)
    assert re.search(r"level: debug +# environment variable FIELDGATE__LOG__LEVEL", text)
    assert re.search(rf"password: \"{re.escape(MASK)}\" +# .*gateway\.yaml:4", text)
    values = {value.key: value for value in effective_values(loaded)}
    assert values["uplinks[cloud].password"].text == f'"{MASK}"'
    assert values["uplinks[cloud].window"].origin.endswith("gateway.yaml:5")
    assert "hunter2" not in text + repr(values) + repr(loaded)


def test_a_value_of_every_origin_is_listed_once() -> None:
    loaded = gateway_from("")
    assert isinstance(loaded, Loaded)
    keys = [value.key for value in effective_values(loaded)]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(loaded.origins)
