"""Keys and tokens for tests, made once a run."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SECRET = b"0123456789abcdef0123456789abcdef"


@functools.cache
def rsa_pair(bits: int = 2048) -> tuple[bytes, bytes]:
    """A private and a public key, as PEM."""
    return _pems(rsa.generate_private_key(public_exponent=65537, key_size=bits))


@functools.cache
def ec_pair(curve: str = "P-256") -> tuple[bytes, bytes]:
    """A private and a public key, as PEM."""
    return _pems(ec.generate_private_key(ec.SECP256R1() if curve == "P-256" else ec.SECP384R1()))


def _pems(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def forged(head: Mapping[str, Any], claims: Any, key: bytes = SECRET) -> bytes:
    """A token with whatever head and claims, signed with HMAC-SHA-256: what no library would make."""
    parts = [_base64(json.dumps(part).encode()) for part in (head, claims)]
    signature = hmac.digest(key, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, _base64(signature)])


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
