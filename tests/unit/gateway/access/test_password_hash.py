"""Hashes as text and at work."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import password_hash
from gateway.access.password_hash import parse
from tests.support.passwords import MOSQUITTO_LINES, MOSQUITTO_PASSWD, mosquitto_passwd, quick_hash

SHA512 = MOSQUITTO_LINES[1].partition(":")[2]
PBKDF2 = MOSQUITTO_LINES[0].partition(":")[2]
DIGEST = base64.b64encode(bytes(64)).decode()
ARGON = "$argon2id$v=19$m={m},t={t},p={p}$c29tZXNhbHQ$" + "A" * 43

needs_mosquitto = pytest.mark.skipif(MOSQUITTO_PASSWD is None, reason="mosquitto_passwd is not installed")


@pytest.mark.parametrize(
    ("text", "password"),
    [
        (PBKDF2, b"secret"),
        (SHA512, b"secret2"),
        (quick_hash("pass:word ü"), "pass:word ü".encode()),
        (password_hash.make(b"\x00\xff binary", salt=bytes(16)), b"\x00\xff binary"),
    ],
    ids=["$7$", "$6$", "argon2id", "made here"],
)
def test_a_hash_matches_its_password_and_no_other(text: str, password: bytes) -> None:
    hashed = parse(text)
    assert hashed.matches(password)
    for other in (b"", password + b"\0", password[:-1], password.swapcase(), b"x"):
        assert not hashed.matches(other)


@needs_mosquitto
@pytest.mark.parametrize("kind", ["sha512", "sha512-pbkdf2"])
@pytest.mark.parametrize("password", ["a", "pass word", "a:b:$c", "ünïcödé", "x" * 300])
def test_what_mosquitto_passwd_writes_is_read(tmp_path: Path, kind: str, password: str) -> None:
    mosquitto_passwd(tmp_path / "passwords", "user", password, kind=kind)
    _, _, text = (tmp_path / "passwords").read_text().strip().partition(":")
    hashed = parse(text)
    assert hashed.matches(password.encode())
    assert not hashed.matches(password.encode() + b"x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no hash behind the user name"),
        ("secret", "no hash behind the user name"),
        ("$5$salt$digest", "no hash behind the user name"),
        ("$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA", "only the argon2id kind"),
        ("$argon2id$v=19$m=8,t=1$c29tZXNhbHQ$AAAA", "cut short or was changed"),
        (ARGON.format(m=1 << 30, t=1, p=1), "asks for 1073741824 of memory"),
        (ARGON.format(m=8, t=1000, p=1), "asks for 1000 of passes"),
        (ARGON.format(m=1024, t=1, p=99), "asks for 99 of lanes"),
        (ARGON.format(m=8, t=1, p=4), "less memory than its lanes need"),
        (ARGON.format(m=0, t=1, p=1), "asks for 0 of memory"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2Fs$" + "A" * 43, "the salt of its Argon2id hash is shorter"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA", "the digest of its Argon2id hash is shorter"),
        ("$6$c2FsdA==", "a salt and a digest"),
        (f"$6$${DIGEST}", "no salt"),
        ("$6$c2FsdA==$AAAA", "digest of its hash is cut short"),
        (f"$6$c2F*dA==${DIGEST}", "not base64"),
        (f"$7$c2FsdA==${DIGEST}", "a number of iterations, a salt and a digest"),
        (f"$7$many$c2FsdA==${DIGEST}", "is not a number"),
        (f"$7$-1$c2FsdA==${DIGEST}", "is not a number"),
        (f"$7$0$c2FsdA==${DIGEST}", "is not from 1 to"),
        (f"$7$99999999$c2FsdA==${DIGEST}", "is not from 1 to"),
        (f"$7${'9' * 5000}$c2FsdA==${DIGEST}", "is not a number"),
        (f"$7$١٢$c2FsdA==${DIGEST}", "is not a number"),
    ],
)
def test_what_is_no_hash_is_refused_with_what_is_wrong_and_without_the_text(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"hash|argon2id") as caught:
        parse(text)
    assert says in str(caught.value)
    assert DIGEST not in str(caught.value)


@given(st.sampled_from(["", "$6$", "$7$", "$7$1$", "$argon2id$v=19$m=8,t=1,p=1$", SHA512, PBKDF2]), st.text())
def test_any_text_is_a_hash_or_refused(head: str, tail: str) -> None:
    try:
        hashed = parse(head + tail)
    except ValueError:
        return
    assert isinstance(hashed.matches(b"x"), bool)


@pytest.mark.parametrize("text", [SHA512, PBKDF2, quick_hash("x")])
def test_a_decoy_is_of_the_same_kind_and_matches_nothing(text: str) -> None:
    hashed = parse(text)
    decoy = hashed.decoy(bytes(range(64)))
    assert decoy.kind == hashed.kind
    assert decoy != hashed
    for password in (b"x", b"secret", b"secret2"):
        assert not decoy.matches(password)


def test_a_new_hash_asks_for_what_owasp_advises_and_can_be_read() -> None:
    text = password_hash.make(b"x", salt=bytes(16))
    assert text.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert parse(text).kind == "$argon2id$v=19$m=19456,t=2,p=1"


def test_a_hash_is_not_shown() -> None:
    for text in (SHA512, PBKDF2, quick_hash("x")):
        assert text.rpartition("$")[2] not in repr(parse(text))
        assert "digest" not in repr(parse(text))
