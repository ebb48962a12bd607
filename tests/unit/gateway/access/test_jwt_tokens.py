"""Tokens as passwords, genuine and forged."""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Jwt
from gateway.access.errors import AccessError
from gateway.access.jwt_tokens import LEEWAY_S, Tokens
from gateway.access.token_shape import MAX_TOKEN_BYTES, BadToken, looks_like_token
from tests.support.tokens import SECRET, ec_pair, forged, rsa_pair

NOW_S = 1_700_000_000.0
CLAIMS = {"sub": "sensor-1", "exp": NOW_S + 100}


def key_of(algorithm: str) -> tuple[bytes, bytes]:
    """What signs, and what checks."""
    return {"HS256": (SECRET, SECRET), "RS256": rsa_pair(), "ES256": ec_pair()}[algorithm]


def tokens(tmp_path: Path, algorithm: str = "HS256", *, key: bytes | None = None, **more: Any) -> Tokens:
    path = tmp_path / "key"
    path.write_bytes(key_of(algorithm)[1] if key is None else key)
    path.chmod(0o600)
    return Tokens.open(Jwt(key_file=path, algorithm=algorithm, **more))


def sign(claims: dict[str, Any], algorithm: str = "HS256", **head: Any) -> bytes:
    return jwt.encode(claims, key_of(algorithm)[0], algorithm=algorithm, headers=head).encode()


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_a_genuine_token_names_its_holder_until_it_expires(tmp_path: Path, algorithm: str) -> None:
    holder = tokens(tmp_path, algorithm).check(sign(CLAIMS, algorithm), now_s=NOW_S)
    assert holder.username == "sensor-1"
    assert holder.valid_for_s == 100 + LEEWAY_S


@pytest.mark.parametrize(
    ("claims", "settings", "is_good"),
    [
        ({"exp": NOW_S + 1}, {}, True),
        ({"exp": NOW_S - LEEWAY_S + 1}, {}, True),
        ({"exp": NOW_S - LEEWAY_S}, {}, False),
        ({"exp": None}, {}, False),
        ({"exp": "soon"}, {}, False),
        ({"exp": True}, {}, False),
        ({"exp": 10**400}, {}, False),
        ({"exp": float("inf")}, {}, False),
        ({"exp": float("nan")}, {}, False),
        ({"nbf": NOW_S + LEEWAY_S}, {}, True),
        ({"nbf": NOW_S + LEEWAY_S + 1}, {}, False),
        ({"nbf": "never"}, {}, False),
        ({"iat": NOW_S + LEEWAY_S + 1}, {}, False),
        ({"iat": NOW_S - 1e6}, {}, True),
        ({"aud": "gateway"}, {"audience": "gateway"}, True),
        ({"aud": ["x", "gateway"]}, {"audience": "gateway"}, True),
        ({"aud": "other"}, {"audience": "gateway"}, False),
        ({}, {"audience": "gateway"}, False),
        ({"aud": "gateway"}, {}, False),
        ({"iss": "us"}, {"issuer": "us"}, True),
        ({"iss": "them"}, {"issuer": "us"}, False),
        ({}, {"issuer": "us"}, False),
        ({"iss": "anybody"}, {}, True),
        ({"sub": ""}, {}, False),
        ({"sub": "a\0b"}, {}, False),
        ({"sub": 7}, {}, False),
        ({"sub": ["sensor-1"]}, {}, False),
        ({"device": "sensor-1", "sub": "x"}, {"username_claim": "device"}, True),
        ({}, {"username_claim": "device"}, False),
    ],
)
def test_claims_are_held_to(tmp_path: Path, claims: dict[str, Any], settings: dict[str, Any], is_good: bool) -> None:
    checker = tokens(tmp_path, **settings)
    token = forged({"alg": "HS256", "typ": "JWT"}, CLAIMS | claims)
    if is_good:
        assert checker.check(token, now_s=NOW_S).username == "sensor-1"
    else:
        with pytest.raises(BadToken):
            checker.check(token, now_s=NOW_S)


def test_a_token_without_exp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadToken, match="exp"):
        tokens(tmp_path).check(sign({"sub": "sensor-1"}), now_s=NOW_S)


@pytest.mark.parametrize(
    "token",
    [
        forged({"alg": "none"}, CLAIMS),
        forged({"alg": "None"}, CLAIMS).rpartition(b".")[0] + b".",
        forged({"alg": "HS512"}, CLAIMS),
        forged({"alg": "RS256"}, CLAIMS),
        forged({"alg": "HS256"}, CLAIMS, key=b"another key that is long enough!"),
        forged({"alg": "HS256", "crit": ["exp"]}, CLAIMS),
        forged({"alg": "HS256", "crit": ["b64"], "b64": False}, CLAIMS),
        forged({}, CLAIMS),
        forged({"alg": ["HS256"]}, CLAIMS),
        forged({"alg": "HS256"}, [1, 2]),
        forged({"alg": "HS256"}, "text"),
        b"a.b.c",
        b"..",
    ],
)
def test_a_forged_token_is_refused(tmp_path: Path, token: bytes) -> None:
    with pytest.raises(BadToken):
        tokens(tmp_path).check(token, now_s=NOW_S)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_that_was_signed_with_the_public_key_as_a_secret_is_refused(tmp_path: Path, algorithm: str) -> None:
    checker = tokens(tmp_path, algorithm)
    for named in ("HS256", algorithm):
        with pytest.raises(BadToken):
            checker.check(forged({"alg": named}, CLAIMS, key=key_of(algorithm)[1]), now_s=NOW_S)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_a_token_with_one_changed_byte_is_refused(tmp_path: Path, algorithm: str) -> None:
    checker = tokens(tmp_path, algorithm)
    token = sign(CLAIMS, algorithm)
    for place in range(0, len(token) - 1, 7):
        changed = bytearray(token)
        changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
        with pytest.raises(BadToken):
            checker.check(bytes(changed), now_s=NOW_S)


@given(st.binary(max_size=60) | st.from_regex(rb"[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,40}"))
def test_any_bytes_are_no_token(password: bytes) -> None:
    with pytest.raises(BadToken):
        Tokens(Jwt(key_file=Path("x"), algorithm="HS256"), SECRET).check(password, now_s=NOW_S)


@pytest.mark.parametrize(
    ("password", "looks"),
    [
        (b"a.b.c", True),
        (sign(CLAIMS), True),
        (b"", False),
        (b"secret", False),
        (b"a.b", False),
        (b"a.b.", False),
        (b"a.b.c.d", False),
        (b"a.b.c\n", False),
        (b"a." + b"b" * (MAX_TOKEN_BYTES - 4) + b".c", True),
        (b"a." + b"b" * (MAX_TOKEN_BYTES - 3) + b".c", False),
    ],
)
def test_the_shape_of_a_token(password: bytes, looks: bool) -> None:
    assert looks_like_token(password) is looks


def test_a_deeply_nested_token_is_refused(tmp_path: Path) -> None:
    token = forged({"alg": "HS256"}, CLAIMS)
    head, _, signature = token.split(b".")
    body = base64.urlsafe_b64encode(b'{"exp":' + b"[" * 8000).rstrip(b"=")
    with pytest.raises(BadToken):
        tokens(tmp_path).check(b".".join([head, body, signature]), now_s=NOW_S)
    with pytest.raises(BadToken):
        tokens(tmp_path).check(b".".join([body, body, signature]), now_s=NOW_S)


# ---- The key file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "key", "says"),
    [
        ("HS256", rsa_pair()[1], "HS256 needs a secret"),
        ("HS256", ec_pair()[0], "HS256 needs a secret"),
        ("HS256", b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== somebody", "HS256 needs a secret"),
        ("HS256", b"", "holds a secret of 0 bytes"),
        ("HS256", b"x" * 31 + b"\n", "holds a secret of 31 bytes"),
        ("HS256", b"x" * 70_000, "is larger than 64 KiB"),
        ("RS256", b"", "holds no public key in PEM form"),
        ("RS256", SECRET, "holds no public key in PEM form"),
        ("RS256", rsa_pair()[0], "holds a private key"),
        ("RS256", ec_pair()[1], "holds no RSA key"),
        ("RS256", rsa_pair(1024)[1], "holds an RSA key of 1024 bits"),
        ("ES256", rsa_pair()[1], "holds no key of the curve P-256"),
        ("ES256", ec_pair("P-384")[1], "holds no key of the curve P-256"),
        ("none", SECRET, "can't be used with jwt.algorithm 'none'"),
        ("HS512", SECRET, "can't be used with jwt.algorithm 'HS512'"),
    ],
)
def test_a_key_that_does_not_fit_is_refused_at_start(tmp_path: Path, algorithm: str, key: bytes, says: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(key)
    with pytest.raises(AccessError) as caught:
        Tokens.open(Jwt(key_file=path, algorithm=algorithm))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_key_file_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"none: can't be read: No such file.*`jwt\.key_file`"):
        Tokens.open(Jwt(key_file=tmp_path / "none"))


def test_a_certificate_serves_as_a_public_key(tmp_path: Path) -> None:
    private = load_pem_private_key(rsa_pair()[0], None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(datetime.now(UTC))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(private, hashes.SHA256())  # type: ignore[arg-type]
    )
    checker = tokens(tmp_path, "RS256", key=made.public_bytes(Encoding.PEM))
    assert checker.check(sign(CLAIMS, "RS256"), now_s=NOW_S).username == "sensor-1"


@pytest.mark.parametrize(("algorithm", "warns"), [("HS256", True), ("RS256", False)])
def test_a_secret_that_everybody_may_read_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, algorithm: str, warns: bool
) -> None:
    path = tmp_path / "key"
    path.write_bytes(key_of(algorithm)[1])
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Tokens.open(Jwt(key_file=path, algorithm=algorithm))
    assert ("can be read by every user" in caplog.text) is warns


def test_the_same_key_and_settings_accept_the_same_tokens(tmp_path: Path) -> None:
    one = tokens(tmp_path, "RS256")
    assert tokens(tmp_path, "RS256").accepts_same(one)
    assert not tokens(tmp_path, "RS256", audience="x").accepts_same(one)
    assert not tokens(tmp_path, "HS256").accepts_same(one)
