"""The `uplinks` section: the roads to cloud brokers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from config.addresses import BrokerUrl
from config.sizes import KIB


class Encoding(enum.Enum):
    """How the records of a frame are laid out (docs/frame-format.md)."""

    BLOCKS = "blocks"
    JSON = "json"


class Compression(enum.Enum):
    """How the body of a frame is compressed."""

    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


class Protocol(enum.Enum):
    """The MQTT version that is spoken to a broker. `auto`: 5, or 3.1.1 where the broker refuses 5."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a TLS link proves itself and what it believes."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """When a frame is sealed: at so many records, so many bytes on the wire, or after so long; the first decides."""

    max_records: int = 2000
    max_size_bytes: int = 128 * KIB
    linger_s: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Backoff between attempts to connect or to send: full jitter between 0 and a doubling limit."""

    first_s: float = 0.5
    max_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """One road to a cloud broker."""

    name: str = "cloud"
    url: BrokerUrl = BrokerUrl()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls()
    protocol: Protocol = Protocol.AUTO
    streams: tuple[str, ...] = ("*",)
    topic: str = "fieldgate/v1/{gateway}/{stream}"
    batch: Batch = Batch()
    encoding: Encoding = Encoding.BLOCKS
    compression: Compression = Compression.ZSTD
    window: int = 20
    ack_timeout_s: float = 30.0
    keep_alive_s: int = 30
    retry: Retry = Retry()
