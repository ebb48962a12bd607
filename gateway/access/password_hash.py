"""The hashes of a password file, as text and at work; pure.

    $6$<salt>$<digest>                    Mosquitto: SHA-512 of password and salt
    $7$<iterations>$<salt>$<digest>       Mosquitto: PBKDF2 with HMAC-SHA-512
    $argon2id$v=19$m=…,t=…,p=…$…$…        Argon2id (RFC 9106), what Fieldgate writes

Salt and digest of the first two are base64. `matches` takes milliseconds on purpose: never call it on the event loop.
What a line may ask for is bounded, so that a file from elsewhere can't take all memory or hold a core for minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from typing import Final

from argon2 import Type
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import hash_secret, verify_secret

MAX_PBKDF2_ITERATIONS: Final = 10_000_000
MAX_ARGON2_MEMORY_KIB: Final = 256 * 1024
MAX_ARGON2_PASSES: Final = 64
MAX_ARGON2_LANES: Final = 16
SHA512_BYTES: Final = 64

ARGON2_MEMORY_KIB: Final = 19 * 1024
"""With two passes and one lane: OWASP's advice, and little enough for a box with 256 MiB. The uplink needs the rest."""
ARGON2_PASSES: Final = 2
ARGON2_LANES: Final = 1
SALT_BYTES: Final = 16
ARGON2_DIGEST_BYTES: Final = 32

_ARGON2ID: Final = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>\d{1,10}),t=(?P<passes>\d{1,10}),p=(?P<lanes>\d{1,10})"
    r"\$(?P<salt>[A-Za-z0-9+/]+)\$(?P<digest>[A-Za-z0-9+/]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaltedSha512:
    """Mosquitto's `$6$`, that of version 1.6 and before."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def kind(self) -> str:
        """Hashes of one kind take the same time."""
        return "$6$"

    def matches(self, password: bytes) -> bool:
        """Whether this is the hash of `password`."""
        return hmac.compare_digest(hashlib.sha512(password + self.salt).digest(), self.digest)

    def decoy(self, random_bytes: bytes) -> PasswordHash:
        """One of the same kind that matches nothing known. `random_bytes`: at least 64."""
        return replace(self, digest=random_bytes[:SHA512_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbkdf2Sha512:
    """Mosquitto's `$7$`."""

    iterations: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def kind(self) -> str:
        """Hashes of one kind take the same time."""
        return f"$7${self.iterations}"

    def matches(self, password: bytes) -> bool:
        """Whether this is the hash of `password`."""
        made = hashlib.pbkdf2_hmac("sha512", password, self.salt, self.iterations, SHA512_BYTES)
        # HMAC fills its key up with NULs, so a password and the same one with NULs behind it have one hash.
        return hmac.compare_digest(made, self.digest) and b"\0" not in password

    def decoy(self, random_bytes: bytes) -> PasswordHash:
        """One of the same kind that matches nothing known. `random_bytes`: at least 64."""
        return replace(self, digest=random_bytes[:SHA512_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2id:
    """`encoded` is the whole text, parameters, salt and digest."""

    encoded: str = field(repr=False)

    @property
    def kind(self) -> str:
        """Hashes of one kind take the same time."""
        return self.encoded.rsplit("$", 2)[0]

    def matches(self, password: bytes) -> bool:
        """Whether this is the hash of `password`. Raises argon2's VerificationError when there is no memory for it."""
        try:
            return verify_secret(self.encoded.encode(), password, Type.ID)
        except VerifyMismatchError:
            return False

    def decoy(self, random_bytes: bytes) -> PasswordHash:
        """One of the same kind that matches nothing known. `random_bytes`: at least 64."""
        head, _, digest = self.encoded.rpartition("$")
        size = len(_from_base64(digest + "=" * (-len(digest) % 4)))
        made = (random_bytes * (size // len(random_bytes) + 1))[:size]
        return Argon2id(encoded=f"{head}${base64.b64encode(made).decode().rstrip('=')}")


PasswordHash = SaltedSha512 | Pbkdf2Sha512 | Argon2id


def make(password: bytes, *, salt: bytes) -> str:
    """A new hash of `password`, as text. `salt`: random bytes, SALT_BYTES of them."""
    return hash_secret(
        password,
        salt,
        time_cost=ARGON2_PASSES,
        memory_cost=ARGON2_MEMORY_KIB,
        parallelism=ARGON2_LANES,
        hash_len=ARGON2_DIGEST_BYTES,
        type=Type.ID,
    ).decode()


def parse(text: str) -> PasswordHash:
    """Read a hash. Raises ValueError with the half of a sentence that says what is wrong (never the text itself)."""
    if text.startswith("$6$"):
        return _sha512(text)
    if text.startswith("$7$"):
        return _pbkdf2(text)
    if text.startswith("$argon2id$"):
        return _argon2id(text)
    if text.startswith("$argon2"):
        raise ValueError("only the argon2id kind of Argon2 is read")
    raise ValueError("there is no hash behind the user name that begins with $argon2id$, $7$ or $6$")


def _sha512(text: str) -> SaltedSha512:
    parts = text.split("$")
    if len(parts) != 4:
        raise ValueError("a $6$ hash has a salt and a digest, with a $ between them")
    return SaltedSha512(salt=_salt(parts[2]), digest=_sha512_digest(parts[3]))


def _pbkdf2(text: str) -> Pbkdf2Sha512:
    parts = text.split("$")
    if len(parts) != 5:
        raise ValueError("a $7$ hash has a number of iterations, a salt and a digest, with a $ between them")
    written = parts[2]
    if not (written.isascii() and written.isdigit() and len(written) <= 10):
        raise ValueError("the number of iterations of its $7$ hash is not a number")
    iterations = int(written)
    if not 1 <= iterations <= MAX_PBKDF2_ITERATIONS:
        raise ValueError(f"the number of iterations of its $7$ hash is not from 1 to {MAX_PBKDF2_ITERATIONS}")
    return Pbkdf2Sha512(iterations=iterations, salt=_salt(parts[3]), digest=_sha512_digest(parts[4]))


def _argon2id(text: str) -> Argon2id:
    found = _ARGON2ID.fullmatch(text)
    if found is None:
        raise ValueError("its Argon2id hash is cut short or was changed")
    for name, most in (("memory", MAX_ARGON2_MEMORY_KIB), ("passes", MAX_ARGON2_PASSES), ("lanes", MAX_ARGON2_LANES)):
        if not 1 <= int(found[name]) <= most:
            raise ValueError(
                f"its Argon2id hash asks for {found[name]} of {name}, and {most} is the most that is taken"
            )
    for name, least in (("salt", 8), ("digest", 12)):
        written = found[name]
        if len(_from_base64(written + "=" * (-len(written) % 4))) < least:
            raise ValueError(f"the {name} of its Argon2id hash is shorter than {least} bytes")
    if int(found["memory"]) < 8 * int(found["lanes"]):
        raise ValueError("its Argon2id hash has less memory than its lanes need")
    return Argon2id(encoded=text)


def _salt(text: str) -> bytes:
    salt = _from_base64(text)
    if not salt:
        raise ValueError("its hash has no salt")
    return salt


def _sha512_digest(text: str) -> bytes:
    digest = _from_base64(text)
    if len(digest) != SHA512_BYTES:
        raise ValueError("the digest of its hash is cut short or was changed")
    return digest


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its hash holds characters that are not base64") from None
