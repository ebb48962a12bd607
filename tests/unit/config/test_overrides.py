from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Address, BrokerUrl, JsonLinesSink, MqttSink, SqliteSink
from tests.support.configuration import gateway_from, gateway_problems, receiver_from, receiver_problems


def test_the_environment_overrides_a_key_of_the_file() -> None:
    settings = gateway_from("api: {bind: 'localhost:1'}", {"FIELDGATE__API__BIND": "127.0.0.2:2"}).settings
    assert settings.api.bind == Address(host="127.0.0.2", port=2)


def test_the_items_of_a_list_are_found_by_name_or_number_in_any_case() -> None:
    text = "uplinks: [{name: Plant-2}, {name: other}]"
    environ = {
        "FIELDGATE__UPLINKS__PLANT_2__URL": "mqtt://a",
        "fieldgate__uplinks__Plant-2__batch__linger": "100ms",
        "FIELDGATE__UPLINKS__0__WINDOW": "5",
        "FIELDGATE__UPLINKS__1__WINDOW": "6",
    }
    first, second = gateway_from(text, environ).settings.uplinks
    assert (first.url, first.batch.linger_s, first.window) == (BrokerUrl(host="a", port=1883), 0.1, 5)
    assert second.window == 6


def test_a_name_that_is_a_number_goes_before_the_number_of_an_item() -> None:
    settings = gateway_from("uplinks: [{name: a}, {name: 0}]", {"FIELDGATE__UPLINKS__0__WINDOW": "5"}).settings
    assert [uplink.window for uplink in settings.uplinks] == [20, 5]


def test_an_item_that_is_there_by_default_can_be_overridden_without_a_file() -> None:
    settings = gateway_from("", {"FIELDGATE__UPLINKS__CLOUD__URL": "mqtt://a:9"}).settings
    assert settings.uplinks[0].url == BrokerUrl(host="a", port=9)
    assert receiver_from("", {"FIELDGATE__SINKS__JSONL__PATH": "x"}).settings.sinks == (JsonLinesSink(path=Path("x")),)


def test_a_list_of_values_is_written_with_commas_or_as_yaml() -> None:
    for written in ("a/#, b", '["a/#", b]'):
        settings = gateway_from("", {"FIELDGATE__STREAMS__TELEMETRY__TOPICS": written}).settings
        assert settings.streams[0].topics == ("a/#", "b")


def test_a_whole_list_may_be_written_as_yaml_and_its_items_overridden_again() -> None:
    environ = {
        "FIELDGATE__SINKS": "[{type: sqlite, path: a.db}, {type: mqtt}]",
        "FIELDGATE__SINKS__SQLITE__PATH": "b.db",
    }
    assert receiver_from("", environ).settings.sinks == (SqliteSink(path=Path("b.db")), MqttSink())


def test_sinks_of_one_type_are_told_apart_by_number() -> None:
    text = "sinks: [{type: jsonl, path: a}, {type: jsonl, path: b}]"
    settings = receiver_from(text, {"FIELDGATE__SINKS__1__PATH": "c"}).settings
    assert settings.sinks == (JsonLinesSink(path=Path("a")), JsonLinesSink(path=Path("c")))
    (problem,) = receiver_problems(text, {"FIELDGATE__SINKS__JSONL__PATH": "c"})
    assert "there is no sink 'jsonl'; expected one of 0, 1" in problem.message


def test_a_password_from_the_environment_replaces_the_password_file_of_the_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from the file\n")
    text = f"uplinks: [{{username: u, password_file: {secret}}}]"
    environ = {"FIELDGATE__UPLINKS__CLOUD__PASSWORD": "${as it is}"}
    loaded = gateway_from(text, environ)
    assert loaded.settings.uplinks[0].password == "${as it is}"
    assert loaded.origins["uplinks[cloud].password"].startswith("environment variable")
    environ = {"FIELDGATE__UPLINKS__CLOUD__PASSWORD_FILE": str(secret)}
    text = "uplinks: [{username: u, password: inline}]"
    assert gateway_from(text, environ).settings.uplinks[0].password == "from the file"


def test_a_renamed_item_is_found_by_the_name_in_the_file_and_called_by_the_new_one() -> None:
    loaded = gateway_from("", {"FIELDGATE__UPLINKS__CLOUD__NAME": "sky", "FIELDGATE__UPLINKS__CLOUD__WINDOW": "2"})
    assert (loaded.settings.uplinks[0].name, loaded.settings.uplinks[0].window) == ("sky", 2)
    assert loaded.origins["uplinks[sky].window"] == "environment variable FIELDGATE__UPLINKS__CLOUD__WINDOW"


def test_the_two_programs_may_share_an_environment() -> None:
    environ = {
        "FIELDGATE__SPOOL__MAX_SIZE": "2MiB",
        "FIELDGATE__RECEIVER__ID": "r2",
        "FIELDGATE_CONFIG": "x",
        "HOME": "/",
    }
    assert gateway_from("", environ).settings.spool.max_size_bytes == 2 * 2**20
    assert receiver_from("", environ).settings.receiver.id == "r2"


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("FIELDGATE__UPLINK__CLOUD__URL", "there is no section 'uplink'; did you mean 'uplinks'?"),
        ("FIELDGATE__ZZZ", "there is no section 'zzz'; expected one of access, api, gateway"),
        ("FIELDGATE__UPLINKS__CLUD__URL", "there is no uplink 'clud'; did you mean 'cloud'?"),
        ("FIELDGATE__UPLINKS__ZZZ__URL", "there is no uplink 'zzz'; expected one of cloud"),
        ("FIELDGATE__UPLINKS__CLOUD__ULR", "there is no key 'ulr' here; did you mean 'url'?"),
        ("FIELDGATE__API__BIND__HOST", "this key has no keys below it"),
        ("FIELDGATE__", "expected words between double underscores"),
        ("FIELDGATE__API____BIND", "expected words between double underscores"),
        ("FIELDGATE__API__BIND", "expected an address such as"),
        ("FIELDGATE__API", "expected a mapping with the keys bind"),
        ("FIELDGATE__UPLINKS__CLOUD__WINDOW", "expected a whole number"),
    ],
)
def test_an_override_that_can_not_be_used_names_its_variable(variable: str, sentence: str) -> None:
    (problem,) = gateway_problems("", {variable: "x"})
    assert sentence in problem.message
    assert problem.file == f"environment variable {variable}"


def test_an_override_that_fits_two_items_is_refused() -> None:
    text = "uplinks: [{name: a-b}, {name: a_b}]"
    (problem,) = gateway_problems(text, {"FIELDGATE__UPLINKS__A_B__WINDOW": "3"})
    assert "this could mean any of 2 items; use the number of the uplink, from 0" in problem.message


def test_an_override_that_is_not_unicode_is_refused() -> None:
    (problem,) = gateway_problems("", {"FIELDGATE__GATEWAY__ID": "caf\udce9"})
    assert problem.message == "expected an id, found characters that are not valid Unicode"


def test_two_variables_for_one_key_are_refused() -> None:
    (problem,) = gateway_problems("", {"FIELDGATE__API__BIND": "localhost:1", "fieldgate__api__bind": "localhost:2"})
    assert "sets the same key as the environment variable FIELDGATE__API__BIND" in problem.message


def test_an_override_that_is_not_yaml_names_its_variable() -> None:
    (problem,) = receiver_problems("", {"FIELDGATE__SINKS": "[{type: mqtt"})
    assert problem.file == "environment variable FIELDGATE__SINKS"
    assert problem.key == "sinks"
