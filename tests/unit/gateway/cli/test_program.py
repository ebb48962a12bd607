"""The command as a person meets it: help, exit codes, sentences."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bridge.version import VERSION
from gateway.cli.program import app

ROOT = Path(__file__).parents[4]
COMMANDS = [
    ["run"],
    ["receive"],
    ["check"],
    ["passwd"],
    ["schema"],
    ["status"],
    ["top"],
    ["tail"],
    ["queue", "peek"],
    ["queue", "export"],
    ["queue", "pause"],
    ["queue", "resume"],
    ["queue", "drain"],
    ["dlq", "list"],
    ["dlq", "show"],
    ["dlq", "replay"],
    ["dlq", "discard"],
    ["dlq", "export"],
    ["doctor"],
    ["pub"],
    ["sub"],
    ["completion"],
    ["import", "mosquitto"],
    ["demo"],
    ["bench"],
    ["simulate", "devices"],
    ["simulate", "cloud"],
    ["simulate", "link"],
    ["simulate", "scenario"],
]


def fieldgate(*words: str) -> Result:
    """Run the command inside this process."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(words), prog_name="fieldgate")


def test_the_version_is_the_packages() -> None:
    result = fieldgate("--version")
    assert result.exit_code == 0
    assert result.stdout == f"fieldgate {VERSION}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(command: list[str]) -> None:
    result = fieldgate(*command, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    fieldgate {' '.join(command)}" in result.stdout


def test_the_whole_gateway_of_the_readme_passes_the_check_as_it_stands(tmp_path: Path) -> None:
    _, _, rest = (ROOT / "README.md").read_text().partition("This is a whole gateway:\n")
    example = tmp_path / "gateway.yaml"
    example.write_text(rest.partition("```yaml\n")[2].partition("```\n")[0])
    assert "uplinks:" in example.read_text()
    result = fieldgate("check", "-c", str(example))
    assert result.exit_code == 0, result.output


def test_the_list_of_cases_ends_quietly_when_nobody_reads_on() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.bench", "--list"], cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False
        )
    assert ran.stderr == b""


@pytest.mark.parametrize("words", [["schema", "gateway"], ["doctor", "--offline"], ["check"]], ids=" ".join)
def test_a_command_ends_quietly_when_nobody_reads_on(words: list[str], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        ran = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert b"pipe" not in ran.stderr.lower()
    assert ran.returncode == 141


def test_the_help_lists_every_command_and_the_exit_codes() -> None:
    result = fieldgate("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command[0]}" in result.stdout
    assert "0 ok, 1 failed, 2 wrong usage, 78 bad configuration" in result.stdout


@pytest.mark.parametrize("words", [["link", "--to", "127.0.0.1:1", "--listen"], ["cloud", "--bind"]], ids=" ".join)
def test_an_address_that_is_taken_is_named(words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = fieldgate("simulate", *words, address)
    assert result.exit_code == 1
    assert f"Cannot listen on {address} ({words[-1]}): another program listens there." in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["run", "--nothing"],
        ["schema", "nothing"],
        ["simulate"],
        ["simulate", "link"],
        ["simulate", "scenario"],
        ["simulate", "link", "--listen", "x", "--to", "127.0.0.1:1"],
        ["simulate", "link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--delay", "50"],
        ["simulate", "link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--blackhole", "10s"],
        ["simulate", "link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:0"],
        ["simulate", "devices", "--to", "http://x"],
        ["simulate", "devices", "--qos", "3"],
        ["simulate", "devices", "--profile", "nothing"],
        ["simulate", "devices", "--protocol", "4"],
        ["simulate", "devices", "--duration", "1"],
        ["demo", "--qos", "0"],
        ["demo", "--duration", "1s"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_with_a_sentence_on_standard_error(words: list[str]) -> None:
    result = fieldgate(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.startswith("Usage: fieldgate") or words == ["simulate"]


@pytest.mark.parametrize("command", ["run", "receive", "check"])
def test_a_bad_configuration_is_exit_code_78_with_every_mistake_and_its_line(command: str, tmp_path: Path) -> None:
    file = tmp_path / "receiver.yaml" if command == "receive" else tmp_path / "gateway.yaml"
    file.write_text("log: {level: loud}\napi: {bnd: 127.0.0.1:0}\n")
    result = fieldgate(command, "-c", str(file))
    assert result.exit_code == 78
    assert f"{file}:1:" in result.stderr
    assert f"{file}:2:" in result.stderr
    assert "log.level" in result.stderr
    assert "did you mean 'bind'?" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["run", "receive", "check"])
def test_a_file_that_is_not_there_is_exit_code_78(command: str, tmp_path: Path) -> None:
    result = fieldgate(command, "-c", str(tmp_path / "none.yaml"))
    assert result.exit_code == 78
    assert "none.yaml: this file does not exist" in result.stderr


def test_check_shows_the_effective_settings_with_secrets_masked(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("uplinks:\n  - {name: cloud, username: me, password: hunter2}\n")
    result = fieldgate("check", "-c", str(file))
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "username: me" in result.stdout
    assert "max_size: 1GiB" in result.stdout
    assert result.stderr == f"{file} is right.\n"


def test_check_reads_the_files_of_an_access_too(tmp_path: Path) -> None:
    acl, file = tmp_path / "acl", tmp_path / "gateway.yaml"
    file.write_text(f"access: [{{acl_file: {acl}}}]\n")
    acl.write_text("user ann\ntopic raed a\n")
    result = fieldgate("check", "-c", str(file))
    assert result.exit_code == 78
    assert f"{acl}:2: expected read, write, readwrite or deny" in result.output.replace("\n", "")
    acl.write_text("user ann\ntopic read a\n")
    assert fieldgate("check", "-c", str(file)).exit_code == 0


def test_check_tells_a_receivers_file_from_a_gateways(tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text("receiver: {id: me}\n")
    result = fieldgate("check", "-c", str(file))
    assert result.exit_code == 0
    assert "session_expiry: 7d" in result.stdout


def test_check_without_a_file_checks_those_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = fieldgate("check")
    assert result.exit_code == 0
    assert "the gateway's defaults" in result.stderr
    (tmp_path / "gateway.yaml").write_text("log: {level: loud}\n")
    (tmp_path / "receiver.yaml").write_text("receiver: {id: me}\n")
    result = fieldgate("check")
    assert result.exit_code == 78
    assert "gateway.yaml:1:" in result.stderr
    assert "receiver.yaml is right." in result.stderr


def test_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDGATE__API__BIND", "nowhere")
    result = fieldgate("check")
    assert result.exit_code == 78
    assert "FIELDGATE__API__BIND" in result.stderr


@pytest.mark.parametrize(("kind", "key"), [("gateway", "uplinks"), ("receiver", "sinks")])
def test_the_schema_is_json_schema_of_the_asked_file(kind: str, key: str) -> None:
    result = fieldgate("schema", kind)
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert key in schema["properties"]


def test_devices_that_meet_nobody_are_a_sentence_and_exit_code_1() -> None:
    result = fieldgate("simulate", "devices", "--to", "127.0.0.1:1", "--duration", "100ms", "--count", "1")
    assert result.exit_code == 1
    assert "Error: Nothing was published to 127.0.0.1:1" in result.stderr
    assert "Is the gateway running there?" in result.stderr


def test_a_replay_file_that_is_not_there_is_named() -> None:
    result = fieldgate("simulate", "devices", "--replay", "/nowhere/x.csv", "--duration", "1s")
    assert result.exit_code == 1
    assert "/nowhere/x.csv" in result.stderr


def test_help_imports_nothing_that_a_command_needs_to_run() -> None:
    code = "import gateway.cli.program, sys; print(sorted(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30
    ).stdout
    for heavy in ("'aiohttp'", "'asyncio'", "'paho'", "'amqtt'", "'uvloop'", "'yaml'", "'sqlite3'", "'simulators'"):
        assert heavy not in modules


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "120"},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, f"fieldgate {VERSION}\n")


def test_bench_hands_over_to_the_benchmarks_of_a_clone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "bench", "--list"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "ingest" in done.stdout


def test_bench_without_a_clone_measures_this_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.bench.ROOT", tmp_path)
    result = fieldgate("bench", "--quick", "--disk", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "fsyncs a second" in result.output
