"""The sections `api`, `telemetry` and `log`: how one looks at a program, and acts on it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from config.addresses import Address, Network


class LogFormat(enum.Enum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTls:
    """The `tls` section of the HTTP interface; in the clear while `cert_file` is None."""

    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The HTTP interface: dashboard, `/api/v1`, metrics and health.

    Without password and token file whoever reaches it may do everything, so then it binds to loopback only.
    """

    bind: Address = Address(host="127.0.0.1", port=8080)
    password_file: Path | None = None
    """Who may log in: argon2id hashes, as `fieldgate passwd` writes them."""
    operators: tuple[str, ...] = ()
    """Users of the password file who may act; the others only look."""
    token_file: Path | None = None
    """Bearer tokens for programs, as `fieldgate token` writes them: name, role and SHA-256."""
    tls: ApiTls = ApiTls()
    hosts: tuple[str, ...] = ()
    """Names under which it is reached, besides addresses, localhost and the host's own name: others are refused."""
    trusted_proxies: tuple[Network, ...] = ()
    """Reverse proxies whose word is taken for who calls, and whether by https://; empty: nobody's."""

    @property
    def asks_who(self) -> bool:
        """Whether one has to log in, or to show a token."""
        return self.password_file is not None or self.token_file is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The `telemetry` section: metrics pushed by OpenTelemetry's protocol (OTLP over HTTP). Off while `url` is None."""

    url: str | None = None
    interval_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is logged, and how."""

    level: str = "info"
    format: LogFormat = LogFormat.TEXT
