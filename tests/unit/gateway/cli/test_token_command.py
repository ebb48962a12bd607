"""`fieldgate token` as a person or a script meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bridge.web import tokens
from bridge.web.tokens import read_tokens
from gateway.cli.program import app


def token(*words: str) -> Result:
    return CliRunner().invoke(app, ["token", *words], prog_name="fieldgate")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_new_token_is_printed_once_and_only_its_digest_is_kept(file: Path) -> None:
    result = token("prometheus", "--file", str(file))
    made = result.stdout.strip()
    assert (result.exit_code, made.startswith("fgt_"), len(made)) == (0, True, 47)
    assert "Added the token 'prometheus', viewer" in result.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert made not in file.read_text()
    found = read_tokens(file).find(made)
    assert found is not None
    assert (found.name, found.role) == ("prometheus", "viewer")


def test_a_token_of_the_same_name_is_replaced_and_the_rest_stays(file: Path) -> None:
    file.touch(0o600)
    file.write_text("# ours\n")
    first = token("a", "--file", str(file)).stdout.strip()
    other = token("b", "--file", str(file)).stdout.strip()
    second = token("a", "--role", "operator", "--file", str(file)).stdout.strip()
    kept = read_tokens(file)
    assert (kept.find(first), len(kept)) == (None, 2)
    assert [found.role for found in (kept.find(second), kept.find(other)) if found] == ["operator", "viewer"]
    assert file.read_text().startswith("# ours\n")


def test_a_token_is_deleted(file: Path) -> None:
    made = token("a", "--file", str(file)).stdout.strip()
    assert token("a", "--delete", "--file", str(file)).exit_code == 0
    assert read_tokens(file).find(made) is None
    again = token("a", "--delete", "--file", str(file))
    assert (again.exit_code, f"There is no token 'a' in {file}." in again.stderr) == (1, True)


def test_a_name_that_a_line_cannot_hold_is_wrong_usage(file: Path) -> None:
    result = token("a:operator", "--file", str(file))
    assert (result.exit_code, file.exists()) == (2, False)
    assert "letters, digits" in result.stderr


def test_a_broken_file_is_named_with_its_line_and_left_alone(file: Path) -> None:
    file.touch(0o600)
    file.write_text("\nwhat is this\n")
    result = token("a", "--file", str(file))
    assert (result.exit_code, file.read_text()) == (1, "\nwhat is this\n")
    assert f"{file}:2: a line is a name, a role and a SHA-256" in result.stderr


def test_a_token_that_nobody_would_read_is_not_added(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    for name in ("a", "b", "b"):
        assert token(name, "--file", str(file)).exit_code == 0
    before = file.read_text()
    result = token("c", "--file", str(file))
    assert (result.exit_code, result.stdout, file.read_text()) == (1, "", before)
    assert "holds 2 tokens, and more are not read" in result.stderr
