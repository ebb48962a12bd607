"""The token file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web import tokens
from bridge.web.errors import TokenFileError
from bridge.web.tokens import Token, Tokens, digest, make, parse_tokens, read_tokens

PATH = Path("tokens.txt")
ONE, OTHER = make(bytes(32)), make(bytes(range(32)))


def line(name: str, role: str, token: str) -> str:
    return f"{name}:{role}:{digest(token)}"


def problems(text: str) -> list[str]:
    with pytest.raises(TokenFileError) as caught:
        parse_tokens(text.encode(), PATH)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_has_tokens_comments_and_empty_lines() -> None:
    text = f"\ufeff# ours\n\n{line('a', 'viewer', ONE)}\r\n  {line('b', 'operator', OTHER)}  \n"
    found = parse_tokens(text.encode(), PATH)
    assert len(found) == 2
    first, second = found.find(ONE), found.find(OTHER)
    assert first is not None
    assert second is not None
    assert (first.name, first.role, second.name, second.role) == ("a", "viewer", "b", "operator")
    assert found.find("") is None
    assert found.find(digest(ONE)) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("what", "tokens.txt:1: a line is a name, a role and a SHA-256"),
        ("\na:viewer", "tokens.txt:2: a line is a name, a role and a SHA-256"),
        ("a:admin:" + "0" * 64, "tokens.txt:1: a role is viewer or operator, not 'admin'"),
        ("a:viewer:12", "tokens.txt:1: a token is kept as its SHA-256"),
        ("a:viewer:" + "Z" * 64, "tokens.txt:1: a token is kept as its SHA-256"),
        ("a b:viewer:" + "0" * 64, "tokens.txt:1: a token's name is of letters"),
    ],
)
def test_a_line_that_means_nothing_is_named(text: str, sentence: str) -> None:
    (found,) = problems(text)
    assert found.startswith(sentence)


def test_the_same_name_or_token_twice_is_a_mistake() -> None:
    text = "\n".join([line("a", "viewer", ONE), line("a", "viewer", OTHER), line("c", "operator", ONE)])
    same_name, same_token = problems(text)
    assert same_name == "tokens.txt:2: the token 'a' is there already, in line 1. Delete one of the two lines."
    assert same_token == "tokens.txt:3: the same token is there already, in line 1. Delete one of the two lines."


def test_text_that_is_not_utf8_is_named_with_its_line() -> None:
    with pytest.raises(TokenFileError, match=r"tokens.txt:2: the line is not UTF-8"):
        parse_tokens(b"# x\n\xff\n", PATH)


def test_so_many_tokens_are_read_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    (found,) = problems(f"{line('a', 'viewer', ONE)}\n{line('b', 'viewer', OTHER)}")
    assert "more than 1 tokens" in found


def test_every_line_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = tokens.hmac.compare_digest
    monkeypatch.setattr(
        tokens.hmac, "compare_digest", lambda known, given: compared.append(known) or real(known, given)
    )
    found = Tokens(
        [Token(name="a", role="viewer", digest=digest(ONE)), Token(name="b", role="viewer", digest="0" * 64)]
    )
    assert found.find(ONE) is not None
    assert len(compared) == 2


@pytest.mark.parametrize(("mode", "sentence"), [(0o602, "can be written by every user of this machine"), (0o000, None)])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int, sentence: str | None) -> None:
    path = tmp_path / "tokens"
    path.write_text(line("a", "viewer", ONE))
    path.chmod(mode)
    if sentence is None:
        if os.geteuid() == 0:
            return  # root reads everything
        sentence = "can't be read: Permission denied"
    with pytest.raises(TokenFileError, match=sentence):
        read_tokens(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="can't be read: No such file"):
        read_tokens(tmp_path / "none")
    with pytest.raises(TokenFileError, match=r"is not a regular file|Is a directory"):
        read_tokens(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TokenFileError, match="is not a regular file"):
        read_tokens(tmp_path / "pipe")


def test_a_file_that_every_user_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens"
    path.write_text(line("a", "viewer", ONE))
    path.chmod(0o644)
    assert len(read_tokens(path)) == 1
    assert "can be read by every user" in caplog.text


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_found_by_itself_alone(random_bytes: bytes) -> None:
    token = make(random_bytes)
    found = Tokens([Token(name="a", role="operator", digest=digest(token))])
    assert found.find(token) is not None
    assert found.find(token[:-1]) is None
    assert found.find(token + "A") is None


@given(st.binary(max_size=300))
def test_no_content_breaks_the_reading(content: bytes) -> None:
    with contextlib.suppress(TokenFileError):
        parse_tokens(content, PATH)
