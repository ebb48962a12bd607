"""Password files for tests: lines that mosquitto_passwd 2.0 wrote, and quick hashes of our own kind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from argon2 import PasswordHasher

MOSQUITTO_LINES = (
    "alice:$7$101$rKFMX3R+jV+Xul2N$GlHmVws5LlmuoAaVRWVnK3oNW6+FRV1ptuFtYsuCnirxHghS0G3fbwb5sAp3vj1bXorFUtBUbRfRsvN+piQPSQ==",
    "bob:$6$b7qHGXnPMX0Oa4y+$w4Pqy9+HLCPezsJ/pEy3q6Tk0AtWpZWab31JISNny8WKMAbw+puQxy+cJz59zvoD+dEPnqegNhkIPk39VElQHQ==",
)
"""alice's password is `secret`, bob's is `secret2`."""

MOSQUITTO_PASSWD = shutil.which("mosquitto_passwd")

_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def quick_hash(password: str) -> str:
    """An Argon2id hash that takes next to no time."""
    return _QUICK.hash(password)


def write_users(path: Path, users: dict[str, str]) -> Path:
    """A password file that only its owner may read."""
    path.write_text("".join(f"{user}:{quick_hash(password)}\n" for user, password in users.items()))
    path.chmod(0o600)
    return path


def write_lines(path: Path, *lines: str) -> Path:
    """A file of these lines that only its owner may read."""
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


def mosquitto_passwd(path: Path, user: str, password: str, *, kind: str = "sha512-pbkdf2") -> None:
    """Have Mosquitto's own program set a password; it makes the file when there is none."""
    assert MOSQUITTO_PASSWD is not None
    path.touch(mode=0o600)
    subprocess.run(
        [MOSQUITTO_PASSWD, "-H", kind, "-b", str(path), user, password], check=True, capture_output=True, timeout=20
    )
