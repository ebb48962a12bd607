"""The password file: what is read, what is refused, and how a line is changed."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.errors import AccessError
from gateway.access.password_edit import delete_user, set_user
from gateway.access.password_file import parse_users, read_users
from tests.support.passwords import MOSQUITTO_LINES, quick_hash

ALICE, BOB = MOSQUITTO_LINES
QUICK = quick_hash("x")
RANDOM = bytes(range(64))
PATH = Path("passwords.txt")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", []),
        (b"\n\n# nobody\n   \n", []),
        (f"{ALICE}\n{BOB}\n".encode(), ["alice", "bob"]),
        (f"{ALICE}\r\n\r\n# a comment\r\n{BOB}".encode(), ["alice", "bob"]),
        (f"\ufeff{ALICE}".encode(), ["alice"]),
        (f"  {ALICE}  \n".encode(), ["alice"]),
        (f"a b : {QUICK}\n".encode(), ["a b"]),
        (f"ü/+#$:{QUICK}\n".encode(), ["ü/+#$"]),
    ],
)
def test_a_file_has_these_users(content: bytes, names: list[str]) -> None:
    assert list(parse_users(content, path=PATH, seed=RANDOM).hashes) == names


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"alice\n", "passwords.txt:1: a line is a user name, a colon and a hash"),
        (b"# x\n\nalice:\n", "passwords.txt:3: the password of 'alice' can't be used: there is no hash"),
        (b"alice:secret\n", "passwords.txt:1: the password of 'alice' can't be used: there is no hash"),
        (f":{QUICK}\n".encode(), "passwords.txt:1: there is no user name before the colon"),
        (f"a\x01b:{QUICK}\n".encode(), "passwords.txt:1: a user name holds no control characters"),
        (f"a\0b:{QUICK}\n".encode(), "passwords.txt:1: a user name holds no control characters"),
        (f"a:{QUICK}\nb:{QUICK}\na:{QUICK}\n".encode(), "passwords.txt:3: the user 'a' is there already, in line 1"),
        (f"a:{QUICK}\n\xe4:{QUICK}".encode("latin-1"), "passwords.txt:2: the line is not UTF-8"),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_what_to_do(content: bytes, says: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse_users(content, path=PATH, seed=RANDOM)
    (problem,) = caught.value.problems
    assert says in str(problem)
    assert str(problem).endswith(".")
    assert "secret" not in str(problem)


def test_every_bad_line_is_named_at_once() -> None:
    with pytest.raises(AccessError) as caught:
        parse_users(b"a\nb\n# c\nd:x\n", path=PATH, seed=RANDOM)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 4]


@given(st.binary(max_size=200))
def test_any_bytes_are_users_or_refused(content: bytes) -> None:
    try:
        users = parse_users(content, path=PATH, seed=RANDOM)
    except AccessError:
        return
    assert users.hashes == {}


def test_unknown_users_meet_the_kinds_of_hashes_as_often_as_known_ones_do() -> None:
    content = "\n".join([BOB, *(ALICE.replace("alice", f"user{number}") for number in range(3))]).encode()
    users = parse_users(content, path=PATH, seed=RANDOM)
    met = Counter(users.decoy(f"unknown{number}").kind for number in range(400))
    assert met.keys() == {"$6$", "$7$101"}
    assert 200 < met["$7$101"] < 370
    assert not any(decoy in users.hashes.values() for decoy in users.decoys.values())


def test_an_unknown_user_meets_the_same_kind_each_time_the_file_is_read() -> None:
    first, second = (parse_users(f"{ALICE}\n{BOB}".encode(), path=PATH, seed=RANDOM) for _ in range(2))
    assert all(first.decoy(f"u{number}") == second.decoy(f"u{number}") for number in range(50))


def test_without_users_the_decoy_is_what_new_passwords_are() -> None:
    assert parse_users(b"", path=PATH, seed=RANDOM).decoy("x").kind == "$argon2id$v=19$m=19456,t=2,p=1"


def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(AccessError) as caught:
        read_users(tmp_path / "none", seed=RANDOM)
    assert str(caught.value.problems[0]) == (
        f"{tmp_path}/none: can't be read: No such file or directory. "
        "Make it readable for the gateway's user, or mend `password_file`."
    )


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_file_that_everybody_may_read_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warns: bool
) -> None:
    path = tmp_path / "passwords"
    path.write_text(ALICE)
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        read_users(path, seed=RANDOM)
    assert ("can be read by every user" in caplog.text) is warns


def test_users_are_not_shown() -> None:
    assert "alice" not in repr(parse_users(ALICE.encode(), path=PATH, seed=RANDOM))


# ---- Changes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, b"bob:NEW\n", False),
        (b"", b"bob:NEW\n", False),
        (b"# users\r\n\r\nalice:1\r\n", b"# users\r\n\r\nalice:1\r\nbob:NEW\r\n", False),
        (b"alice:1", b"alice:1\nbob:NEW\n", False),
        (b"bob:old", b"bob:NEW", True),
        (b"# bob:1\n bob : old\r\nalice:1\n", b"# bob:1\nbob:NEW\r\nalice:1\n", True),
        (b"bob:1\nalice:1\nbob:2\n", b"bob:NEW\nalice:1\n", True),
        (b"bobby:1\nbroken\n\xff\xfe\n", b"bobby:1\nbroken\n\xff\xfe\nbob:NEW\n", False),
    ],
)
def test_setting_a_user_leaves_all_other_lines(
    tmp_path: Path, before: bytes | None, after: bytes, expected: bool
) -> None:
    path = tmp_path / "passwords"
    if before is not None:
        path.write_bytes(before)
    was_there = set_user(path, "bob", "NEW")
    assert path.read_bytes() == after
    assert was_there is expected
    assert [item.name for item in tmp_path.iterdir()] == ["passwords"]


def test_a_new_file_is_for_its_owner_only_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.touch()
    old.chmod(0o640)
    before = os.umask(0)
    try:
        set_user(new, "bob", "NEW")
        set_user(old, "bob", "NEW")
    finally:
        os.umask(before)
    assert new.stat().st_mode & 0o777 == 0o600
    assert old.stat().st_mode & 0o777 == 0o640


def test_deleting_a_user_leaves_all_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_bytes(b"# bob\r\nbob:1\r\nalice:1\nbob:2")
    assert delete_user(path, "bob")
    assert path.read_bytes() == b"# bob\r\nalice:1\n"
    inode = path.stat().st_ino
    assert not delete_user(path, "bob")
    assert path.stat().st_ino == inode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "passwords")
    set_user(tmp_path / "link", "bob", "NEW")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "passwords").read_bytes() == b"bob:NEW\n"


def test_a_file_that_cannot_be_changed_is_named(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="none: can't be changed: No such file or directory"):
        delete_user(tmp_path / "none", "bob")
    with pytest.raises(AccessError, match="can't be changed"):
        set_user(tmp_path / "no" / "folder", "bob", "NEW")


def test_a_replacement_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "passwords"
    path.write_bytes(b"alice:1\n")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessError, match="No space left on device"):
        set_user(path, "bob", "NEW")
    assert path.read_bytes() == b"alice:1\n"
    assert [item.name for item in tmp_path.iterdir()] == ["passwords"]


def test_two_commands_at_once_lose_no_user(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.starmap(set_user, [(path, f"user{number}", "NEW") for number in range(40)])
        pool.close()
        pool.join()
    assert sorted(path.read_text().splitlines()) == sorted(f"user{number}:NEW" for number in range(40))
