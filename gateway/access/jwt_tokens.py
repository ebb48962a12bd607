"""Tokens as passwords: JWT (RFC 7519), signed with HS256, RS256 or ES256.

The algorithm and the key are the configuration's; what the token's head says of them is compared and never followed
(RFC 8725 §3.1). A check takes a tenth of a millisecond and there is nothing to guess, so it runs on the event loop.

Its libraries take a tenth of a second to import: whoever needs no tokens does not import this file.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from config.settings import Jwt
from gateway.access.errors import AccessError, problem
from gateway.access.files import read_file
from gateway.access.token_shape import BadToken

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("HS256", "RS256", "ES256")
MAX_KEY_FILE_BYTES: Final = 64 * 1024
MIN_SECRET_BYTES: Final = 32
"""As long as the digest, RFC 7518 §3.2."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
LEEWAY_S: Final = 30.0
"""How far the clocks of the gateway and of who signs may be apart."""

_PUBLIC_KEY_MARKS: Final = (b"-----BEGIN", b"ssh-rsa ", b"ecdsa-sha2-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a token names, and for how long, in seconds."""

    username: str
    valid_for_s: float


class Tokens:
    """The key, and what a token has to say. `open` reads the key file."""

    def __init__(self, settings: Jwt, key: bytes | PublicKeyTypes) -> None:
        self._settings = settings
        self._key = key

    @classmethod
    def open(cls, settings: Jwt) -> Tokens:
        """Read `settings.key_file`, which is not None. Raises AccessError when its key is not one for the algorithm."""
        path = settings.key_file
        assert path is not None  # noqa: S101 - the caller knows that the section is on
        content, is_public = read_file(path, key="jwt.key_file", max_bytes=MAX_KEY_FILE_BYTES)
        try:
            if len(content) > MAX_KEY_FILE_BYTES:
                raise ValueError("is larger than 64 KiB, which no key is. Name the key's own file")
            key = _key(settings.algorithm, content)
        except ValueError as error:
            raise AccessError([problem(path, f"{error}.")]) from error
        if isinstance(key, bytes) and is_public:
            logger.warning(
                "The secret of tokens in %s can be read by every user of this machine, who can then make tokens. "
                "Run: chmod o-rwx %s",
                path,
                path,
            )
        return cls(settings, key)

    def accepts_same(self, other: Tokens) -> bool:
        """Whether the key, and what has to stand in a token, are those of `other`."""
        return self._settings == other._settings and self._key == other._key

    def check(self, token: bytes, *, now_s: float) -> Holder:
        """Whom the token names. `now_s`: seconds since 1970. Raises BadToken.

        `exp` is required; `nbf`, `iat` and `aud` hold where they are there; `aud` and `iss` have to be there where the
        settings name them (RFC 7519 §4.1). A token made for an audience is not for us where the settings name none.
        """
        settings = self._settings
        try:
            head = jwt.get_unverified_header(token)
            # Extensions that the signer wants understood (RFC 7515 §4.1.11): none is, here.
            if "crit" in head or "b64" in head:
                raise BadToken("The token's head asks for an extension (crit) that is not known here.")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,  # type: ignore[arg-type]  # its kind was checked against the algorithm in `open`
                algorithms=[settings.algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                # The times are compared below, with a `now` that is a parameter.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]},
            )
        except jwt.PyJWTError as error:
            raise BadToken(f"The token is not accepted: {error}.") from error
        except (ValueError, TypeError, RecursionError) as error:  # what a hostile token can still make of its JSON
            raise BadToken("The token can't be read.") from error
        valid_until_s = _seconds(claims, "exp") + LEEWAY_S
        if now_s >= valid_until_s:
            raise BadToken(f"The token expired {now_s - valid_until_s + LEEWAY_S:.0f} s ago.")
        for claim in ("nbf", "iat"):
            if claim in claims and _seconds(claims, claim) > now_s + LEEWAY_S:
                raise BadToken(f"The token is not valid yet ({claim}). Are the clocks right?")
        username = claims.get(settings.username_claim)
        if not isinstance(username, str) or not username or not username.isprintable():
            raise BadToken(f"The token names no user: its claim {settings.username_claim!r} is not a name.")
        return Holder(username=username, valid_for_s=valid_until_s - now_s)


def _seconds(claims: dict[str, Any], claim: str) -> float:
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"The token's claim {claim!r} is not a number.")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadToken(f"The token's claim {claim!r} is not a time.")
    return seconds


def _key(algorithm: str, content: bytes) -> bytes | PublicKeyTypes:
    """The key of the file. Raises ValueError with a sentence that the file's name begins."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"can't be used with jwt.algorithm {algorithm!r}. Write one of {', '.join(ALGORITHMS)}")
    if algorithm == "HS256":
        return _secret(content)
    key = _public_key(algorithm, content)
    if algorithm == "RS256":
        if not isinstance(key, RSAPublicKey):
            raise ValueError("holds no RSA key, which RS256 needs. Name an RSA key, or write jwt.algorithm: ES256")
        if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"holds an RSA key of {key.key_size} bits. Use one of {MIN_RSA_BITS} or more")
    elif not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("holds no key of the curve P-256, which ES256 needs. Name one, or write jwt.algorithm: RS256")
    return key


def _secret(content: bytes) -> bytes:
    # A public key is no secret: whoever has it could sign with it (RFC 8725 §2.1).
    if any(mark in content for mark in _PUBLIC_KEY_MARKS):
        raise ValueError(
            "holds a key of RSA or of a curve, and HS256 needs a secret. "
            "Write jwt.algorithm: RS256 (or ES256), or name a file with a secret"
        )
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(
            f"holds a secret of {len(secret)} bytes, and {MIN_SECRET_BYTES} is the least. "
            "Make one with: openssl rand -hex 32"
        )
    return secret


def _public_key(algorithm: str, content: bytes) -> PublicKeyTypes:
    if b"PRIVATE KEY-----" in content:
        raise ValueError(
            "holds a private key, which only who signs tokens should have. "
            "Name its public half: openssl pkey -in KEY -pubout"
        )
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            return load_pem_x509_certificate(content).public_key()
        return load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"holds no public key in PEM form, which {algorithm} needs") from error
