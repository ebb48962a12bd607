"""The units of deploy/systemd, held against systemd's own tools, and the gateway run as they would have it run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
WORST_EXPOSURE = 2.0

analyze = shutil.which("systemd-analyze")
with_systemd = pytest.mark.skipif(analyze is None, reason="systemd-analyze is not installed (Debian: systemd)")


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_hardened_as_systemd_judges(unit: Path) -> None:
    assert analyze is not None
    said = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= WORST_EXPOSURE


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    assert analyze is not None
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/fieldgate/bin/fieldgate", "/bin/true"))
    checked = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    about_ours = [line for line in (checked.stdout + checked.stderr).splitlines() if copy.stem in line]
    assert about_ours == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is_and_stays_down_over_a_bad_configuration(
    unit: Path, tmp_path: Path
) -> None:
    text = unit.read_text()
    start = re.search(r"^ExecStart=/opt/fieldgate/bin/fieldgate (\S+) -c \S+$", text, re.MULTILINE)
    assert start is not None
    bad = tmp_path / "bad.yaml"
    bad.write_text("nonsense: true\n")
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", start[1], "-c", str(bad)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert f"RestartPreventExitStatus={ended.returncode}" in text, ended.stderr


_STRICT = """
import ctypes, os, runpy, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, PR_SET_NO_NEW_PRIVS = 65, 1, 38
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    sys.exit(77)
sys.argv = ["fieldgate", *sys.argv[1:]]
runpy.run_module("gateway", run_name="__main__")
"""


def test_the_program_works_without_memory_that_is_writable_and_executable(tmp_path: Path) -> None:
    configuration = tmp_path / "gateway.yaml"
    users = tmp_path / "users"
    subprocess.run(
        [sys.executable, "-c", _STRICT, "passwd", "--stdin", str(users), "anna"],
        input=b"correct horse\n", capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    if not users.exists():
        pytest.skip("this kernel has no PR_SET_MDWE (6.3 and later have)")
    configuration.write_text(f"access: [{{name: default, password_file: {users}}}]\n")
    checked = subprocess.run(
        [sys.executable, "-c", _STRICT, "check", "-c", str(configuration)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_a_credential_that_systemd_hands_over_is_read_where_the_unit_says(tmp_path: Path) -> None:
    (tmp_path / "fieldgate_uplink-password").write_text("secret of the uplink\n")
    configuration = tmp_path / "gateway.yaml"
    password_file = "${CREDENTIALS_DIRECTORY}/fieldgate_uplink-password"
    configuration.write_text(f"uplinks: [{{name: cloud, username: edge, password_file: '{password_file}'}}]\n")
    handed_over = {"CREDENTIALS_DIRECTORY": str(tmp_path), "FIELDGATE__GATEWAY__DATA_DIR": "/var/lib/fieldgate"}
    checked = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(configuration)],
        env={**os.environ, **handed_over},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "secret of the uplink" not in checked.stdout
    assert "/var/lib/fieldgate" in checked.stdout
