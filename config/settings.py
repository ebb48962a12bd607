"""What the operator may write, as typed and checked values.

Every class here is one mapping of `gateway.yaml` or `receiver.yaml`; every field is one of its keys and has a default.
Sizes are in bytes, durations in seconds: the unit stands in the name. The loader (`config.loader`) turns written
values ("250ms", "1GiB") into these.
"""

from __future__ import annotations

import enum
import socket
from dataclasses import dataclass, field
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class WhenFull(enum.Enum):
    """What the spool does with a new record when it has no room."""

    DROP_OLDEST = "drop_oldest"
    REJECT = "reject"


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


class LogFormat(enum.Enum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and port to listen on; port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """The `gateway` section: who this box is and where it keeps its data."""

    id: str = field(default_factory=socket.gethostname)
    data_dir: Path = Path("./data")
    grace_period_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One door for devices."""

    name: str = "local"
    transport: str = "tcp"
    bind: Address = Address(host="127.0.0.1", port=1883)
    max_connections: int = 10_000
    max_packet_size_bytes: int = 2 * MIB
    receive_maximum: int = 1024
    connect_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An ordered, durable lane of records: the topics that go into it and how long they are worth keeping."""

    name: str = "telemetry"
    topics: tuple[str, ...] = ("#",)
    time_to_live_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The local store. `durability_s` None: an acknowledgement waits for the disk; a number: fsync this often."""

    max_size_bytes: int = GIB
    when_full: WhenFull = WhenFull.DROP_OLDEST
    durability_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a TLS link proves itself and what it believes."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """`mqtt://` or `mqtts://` address of a broker, without user and password."""

    host: str = "127.0.0.1"
    port: int = 1884
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The HTTP interface."""

    bind: Address = Address(host="127.0.0.1", port=8080)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is logged, and how."""

    level: str = "info"
    format: LogFormat = LogFormat.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The whole of `gateway.yaml`."""

    gateway: GatewayIdentity = field(default_factory=GatewayIdentity)
    listeners: tuple[Listener, ...] = (Listener(),)
    streams: tuple[Stream, ...] = (Stream(),)
    spool: Spool = Spool()
    uplinks: tuple[Uplink, ...] = (Uplink(),)
    api: Api = Api()
    log: Log = Log()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverIdentity:
    """The `receiver` section: where frames come from and where the ledger is kept."""

    id: str = "fieldgate-receiver"
    url: BrokerUrl = BrokerUrl()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls()
    protocol: Protocol = Protocol.AUTO
    topic: str = "fieldgate/v1/+/+"
    state: Path = Path("./receiver.db")
    keep_alive_s: int = 30
    session_expiry_s: int = 7 * 24 * 3600
    max_frame_size_bytes: int = 64 * MIB
    retry: Retry = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesSink:
    """One JSON object a line, appended to a file."""

    path: Path = Path("./received.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSink:
    """A table `record` in a SQLite database."""

    path: Path = Path("./received.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSink:
    """Each record published again on its own topic, QoS and retain kept."""

    url: BrokerUrl = BrokerUrl(port=1885)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls()
    protocol: Protocol = Protocol.V5
    window: int = 1000


SinkSettings = JsonLinesSink | SqliteSink | MqttSink


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """The whole of `receiver.yaml`."""

    receiver: ReceiverIdentity = ReceiverIdentity()
    api: Api = Api(bind=Address(host="127.0.0.1", port=8081))
    sinks: tuple[SinkSettings, ...] = (JsonLinesSink(),)
    log: Log = Log()
