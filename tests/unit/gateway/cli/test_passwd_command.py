"""`fieldgate passwd` as a person or a script meets it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.access.password_file import read_users
from gateway.cli.program import app
from tests.support.passwords import MOSQUITTO_LINES, write_lines

ROOT = Path(__file__).parents[4]
TIMEOUT_S = 30.0


def passwd(*words: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["passwd", *words], input=stdin, prog_name="fieldgate")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "passwords"


def matches(file: Path, user: str, password: bytes) -> bool:
    return read_users(file, seed=bytes(64)).hashes[user].matches(password)


def test_a_new_file_is_private_and_holds_an_argon2id_hash(file: Path) -> None:
    result = passwd("--stdin", str(file), "alice", stdin="geheim\nmore\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Added 'alice' in {file}.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("alice:$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(file, "alice", b"geheim")


def test_a_users_password_is_changed_and_the_rest_stays(file: Path) -> None:
    write_lines(file, "# ours", *MOSQUITTO_LINES, "")
    result = passwd("--stdin", str(file), "alice", stdin="neu\n")
    assert result.stderr == f"Changed the password of 'alice' in {file}.\n"
    lines = file.read_text().splitlines()
    assert (lines[0], lines[2:]) == ("# ours", [MOSQUITTO_LINES[1], ""])
    assert matches(file, "alice", b"neu")


def test_two_users_with_one_password_have_two_hashes(file: Path) -> None:
    for user in ("a", "b"):
        passwd("--stdin", str(file), user, stdin="same\n")
    first, second = (line.partition(":")[2] for line in file.read_text().splitlines())
    assert first != second


@pytest.mark.parametrize(
    ("stdin", "password"),
    [
        ("a b:c$d \n", b"a b:c$d "),
        ("geheim\r\n", b"geheim"),
        ("no line end", b"no line end"),
        ("ünïcödé\n", "ünïcödé".encode()),
        (b"\xff\xfe\n", b"\xff\xfe"),
        ("x" * 65535, b"x" * 65535),
    ],
)
def test_a_password_is_a_line_as_it_stands(file: Path, stdin: str | bytes, password: bytes) -> None:
    assert passwd("--stdin", str(file), "alice", stdin=stdin).exit_code == 0
    assert matches(file, "alice", password)


@pytest.mark.parametrize("stdin", ["", "\n", "\r\n", "a\0b\n", "x" * 65536])
def test_what_is_no_password_is_refused_and_nothing_written(file: Path, stdin: str) -> None:
    result = passwd("--stdin", str(file), "alice", stdin=stdin)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert not file.exists()


@pytest.mark.parametrize("user", ["", "a:b", " a", "a ", "#a", "a\nb", "a\0", "a\x7f"])
def test_a_name_that_a_line_cannot_hold_is_wrong_usage(file: Path, user: str) -> None:
    assert passwd("--stdin", str(file), "--", user, stdin="x\n").exit_code == 2
    assert not file.exists()


@pytest.mark.parametrize(
    ("user", "password", "code", "says"),
    [
        ("alice", "secret", 0, "That is the password of 'alice'."),
        ("bob", "secret2", 0, "That is the password of 'bob'."),
        ("bob", "secret", 1, "Error: That is not the password of 'bob'."),
        ("carol", "secret", 1, "Error: There is no user 'carol' in"),
    ],
)
def test_check_says_whether_it_is_the_password(file: Path, user: str, password: str, code: int, says: str) -> None:
    write_lines(file, *MOSQUITTO_LINES)
    before = file.read_bytes()
    result = passwd("--check", "--stdin", str(file), user, stdin=f"{password}\n")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(says)
    assert file.read_bytes() == before


def test_check_names_a_bad_line(file: Path) -> None:
    write_lines(file, MOSQUITTO_LINES[0], "bob:geheim")
    result = passwd("--check", "--stdin", str(file), "alice", stdin="secret\n")
    assert result.exit_code == 1
    assert f"{file}:2: the password of 'bob' can't be used" in result.stderr
    assert "geheim" not in result.stderr


def test_a_user_is_deleted(file: Path) -> None:
    write_lines(file, "# ours", *MOSQUITTO_LINES)
    result = passwd("--delete", str(file), "alice")
    assert (result.exit_code, result.stderr) == (0, f"Deleted 'alice' from {file}.\n")
    assert file.read_text() == f"# ours\n{MOSQUITTO_LINES[1]}\n"
    result = passwd("--delete", str(file), "alice")
    assert (result.exit_code, result.stderr) == (1, f"Error: There is no user 'alice' in {file}.\n")


def test_deleting_from_a_file_that_is_not_there_says_so(file: Path) -> None:
    result = passwd("--delete", str(file), "alice")
    assert result.exit_code == 1
    assert f"{file}: can't be changed: No such file or directory" in result.stderr


@pytest.mark.parametrize("other", ["--check", "--stdin"])
def test_delete_goes_with_nothing_else(file: Path, other: str) -> None:
    assert passwd("--delete", other, str(file), "alice").exit_code == 2


def test_without_a_terminal_it_asks_for_stdin(file: Path) -> None:
    result = passwd(str(file), "alice")
    assert result.exit_code == 1
    assert "Use --stdin" in result.stderr


# ---- On a terminal -------------------------------------------------------------------------------------------------


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "passwd", *words],
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self.answered = 0

    def answer(self, prompt: str, text: str) -> None:
        """Wait for the prompt, which comes after the echo was turned off; type the text."""
        while prompt not in self.seen[self.answered :]:
            assert self._read(), f"{prompt!r} never came: {self.seen!r}"
        self.answered = len(self.seen)
        os.write(self.master, f"{text}\n".encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and all that was shown."""
        while self._read():
            pass
        code = self.process.wait(TIMEOUT_S)
        os.close(self.master)
        return code, self.seen

    def _read(self) -> bool:
        readable, _, _ = select.select([self.master], [], [], TIMEOUT_S)
        try:
            data = os.read(self.master, 4096) if readable else b""
        except OSError:  # a terminal that nobody holds any more ends like this
            data = b""
        self.seen += data.decode()
        return bool(data)


def test_a_person_is_asked_twice_and_nothing_is_shown(file: Path) -> None:
    terminal = Terminal(str(file), "alice")
    terminal.answer("Password: ", "geheim")
    terminal.answer("The same again: ", "geheim")
    code, shown = terminal.end()
    assert code == 0
    assert "Added 'alice'" in shown
    assert "geheim" not in shown
    assert matches(file, "alice", b"geheim")


def test_two_different_answers_change_nothing(file: Path) -> None:
    terminal = Terminal(str(file), "alice")
    terminal.answer("Password: ", "geheim")
    terminal.answer("The same again: ", "geheem")
    code, shown = terminal.end()
    assert code == 1
    assert "not the same" in shown
    assert not file.exists()
