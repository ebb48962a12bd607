"""`fieldgate check`: what it looks at besides the file itself, and how it says so."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli.program import app
from tests.support.certificates import Authority
from tests.support.passwords import write_users


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("FIELDGATE_")]:
        monkeypatch.delenv(name)


def checked(folder: Path, name: str = "gateway.yaml", **sections: Any) -> tuple[int, str]:
    """Exit code, and what it said to the person."""
    path = folder / name
    path.write_text(yaml.safe_dump(sections))
    result = CliRunner().invoke(app, ["check", "-c", str(path)])
    return result.exit_code, result.stderr


def tls_listener(cert_file: Path, key_file: Path) -> dict[str, Any]:
    tls = {"cert_file": str(cert_file), "key_file": str(key_file)}
    return {"name": "tls", "transport": "tls", "bind": "127.0.0.1:8883", "tls": tls}


def test_certificates_of_a_listener_that_fit_are_right_and_others_are_named_with_their_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.server("edge"), authority.server("other")
    assert checked(tmp_path, listeners=[tls_listener(pair.cert_file, pair.key_file)])[0] == 0
    code, said = checked(tmp_path, listeners=[tls_listener(pair.cert_file, other.key_file)])
    assert code == 78
    assert f"{tmp_path / 'gateway.yaml'}:" in said
    assert "listeners[tls].tls.cert_file: The key in" in said


def test_certificates_of_an_uplink_and_of_the_http_interface_are_loaded(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.client("edge"), authority.server("other")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    tls = {"ca_file": str(nonsense), "cert_file": str(pair.cert_file), "key_file": str(other.key_file)}
    code, said = checked(
        tmp_path,
        uplinks=[{"name": "cloud", "url": "mqtts://cloud:8883", "tls": tls}],
        api={"bind": "127.0.0.1:8080", "tls": {"cert_file": str(pair.cert_file), "key_file": str(other.key_file)}},
    )
    assert code == 78
    assert "3 problems" in said
    assert f"uplinks[cloud].tls.ca_file: {nonsense} holds no certificate in PEM" in said
    assert f"uplinks[cloud].tls.cert_file: the key in {other.key_file} is not that of {pair.cert_file}" in said
    assert "api.tls.cert_file: the key in" in said


def test_certificates_of_a_receiver_are_loaded(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    broken = {"url": "mqtts://cloud:8883", "tls": {"ca_file": str(nonsense)}}
    code, said = checked(
        tmp_path, "receiver.yaml", receiver=broken, sinks=[{"type": "mqtt", **broken, "url": "mqtts://b:1"}]
    )
    assert code == 78
    assert "receiver.tls.ca_file" in said
    assert "sinks[mqtt].tls.ca_file" in said


def test_a_password_file_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    passwords = write_users(tmp_path / "passwords", {"anna": "secret"})
    passwords.chmod(0o644)
    code, said = checked(tmp_path, access=[{"name": "default", "password_file": str(passwords)}])
    assert code == 0
    assert f"Warning: The password file {passwords} can be read by every user of this machine." in said


def test_problems_come_file_by_file_each_in_the_order_of_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ok\n" * 0 + "nonsense\nmore nonsense\n")
    two.write_text("nonsense\n")
    for path in (one, two):
        path.chmod(0o600)
    access = [{"name": "default", "acl_file": str(one)}, {"name": "other", "acl_file": str(two)}]
    code, said = checked(tmp_path, access=access)
    assert code == 78
    places = [line.strip().partition(": ")[0] for line in said.splitlines()[1:]]
    assert places == [f"{one}:1", f"{one}:2", f"{two}:1"]
    monkeypatch.setenv("FIELDGATE__LOG__LEVEL", "loud")
    _, said = checked(tmp_path, log={"format": "poem"}, api={"bind": "nowhere"})
    assert [line.strip().partition(":")[0] for line in said.splitlines()[1:]] == [
        str(tmp_path / "gateway.yaml"),
        str(tmp_path / "gateway.yaml"),
        "environment variable FIELDGATE__LOG__LEVEL",
    ]


def test_certificates_that_have_ended_are_warnings_each_with_its_key(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server(valid=-dt.timedelta(hours=1))
    tls = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
    code, said = checked(
        tmp_path,
        api={"tls": tls},
        listeners=[tls_listener(pair.cert_file, pair.key_file)],
        uplinks=[{"name": "cloud", "url": "mqtts://cloud.example", "tls": tls}],
    )
    assert code == 0
    warnings = [line for line in said.splitlines() if line.startswith("Warning: ") and " ended on " in line]
    assert [line.split(": ")[1] for line in warnings] == [
        "listeners[tls].tls.cert_file",
        "uplinks[cloud].tls.cert_file",
        "api.tls.cert_file",
    ]


def test_a_script_gets_mistakes_with_their_lines_and_what_is_right_with_its_origin(tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong.yaml", tmp_path / "right.yaml"
    wrong.write_text("gateway:\n  id: edge-01\n  data_dirr: data\n")
    right.write_text("gateway:\n  id: edge-01\n")
    refused = CliRunner().invoke(app, ["check", "-c", str(wrong), "--json"])
    assert (refused.exit_code, refused.stderr) == (78, "")
    (found,) = json.loads(refused.stdout)
    (problem,) = found["problems"]
    assert (found["file"], found["is_right"], found["values"]) == (str(wrong), False, [])
    assert (problem["file"], problem["line"], problem["key"]) == (str(wrong), 3, "gateway.data_dirr")
    taken = CliRunner().invoke(app, ["check", "-c", str(right), "--json"])
    assert (taken.exit_code, taken.stderr) == (0, "")
    (found,) = json.loads(taken.stdout)
    assert (found["is_right"], found["problems"]) == (True, [])
    values = {value["key"]: value for value in found["values"]}
    assert values["gateway.id"] == {"key": "gateway.id", "value": "edge-01", "origin": f"{right}:2"}
    assert values["log.level"]["origin"] == "default"


def test_both_files_of_a_folder_are_checked_and_one_that_is_wrong_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text("gateway: {id: edge-01}\n")
    (tmp_path / "receiver.yaml").write_text("receiver: {url: 5}\n")
    result = CliRunner().invoke(app, ["check", "--json"])
    assert result.exit_code == 78
    assert [(each["file"], each["is_right"]) for each in json.loads(result.stdout)] == [
        ("gateway.yaml", True),
        ("receiver.yaml", False),
    ]
