"""What the operator may write, as typed and checked values.

Every class here is one mapping of `gateway.yaml` or `receiver.yaml`; every field is one of its keys and has a default.
Sizes are in bytes, durations in seconds: the unit stands in the name. The loader (`config.loader`) turns written
values ("250ms", "1GiB") into these.
"""

from __future__ import annotations

import enum
import ipaddress
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

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: 127.0.0.0/8, ::1 or the name localhost."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.casefold() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """The `gateway` section: who this box is and where it keeps its data."""

    id: str = field(default_factory=socket.gethostname)
    data_dir: Path = Path("./data")
    grace_period_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixPath:
    """A Unix socket to listen on, in place of a host and port."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class Transport(enum.Enum):
    """How devices connect: over a stream of bytes or over WebSocket, each in the clear or under TLS."""

    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"

    @property
    def is_tls(self) -> bool:
        """Whether the listener needs a certificate."""
        return self in {Transport.TLS, Transport.WSS}

    @property
    def is_websocket(self) -> bool:
        """Whether MQTT travels in WebSocket messages (MQTT 5 §6)."""
        return self in {Transport.WS, Transport.WSS}


class ProxyProtocol(enum.Enum):
    """Whether a load balancer in front says who is behind it; `v2`: no connection without its header."""

    OFF = "off"
    V2 = "v2"


class ClientCertificate(enum.Enum):
    """Whether a TLS client has to show a certificate of its own."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class UsernameFrom(enum.Enum):
    """What of a client's certificate is its user name; `password`: nothing, CONNECT says who it is."""

    PASSWORD = "password"  # noqa: S105 - a word of the configuration
    COMMON_NAME = "common_name"
    SUBJECT_ALT_NAME = "subject_alt_name"


class TlsVersion(enum.Enum):
    """The oldest version of TLS that is spoken."""

    V12 = "1.2"
    V13 = "1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    """The `tls` section of a listener: its certificate, and what it asks of clients."""

    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    """Whose client certificates are believed."""
    crl_file: Path | None = None
    client_certificate: ClientCertificate = ClientCertificate.NONE
    username_from: UsernameFrom = UsernameFrom.PASSWORD
    min_version: TlsVersion = TlsVersion.V12


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One door for devices. `access` names the rules of entry that hold here (`Access`)."""

    name: str = "local"
    transport: Transport = Transport.TCP
    bind: Address | UnixPath = Address(host="127.0.0.1", port=1883)
    access: str = "default"
    tls: ListenerTls = ListenerTls()
    websocket_path: str = "/mqtt"
    websocket_origins: tuple[str, ...] = ()
    """Origins of web pages that may connect; empty: any, but where nobody proves who he is: those of this host."""
    proxy_protocol: ProxyProtocol = ProxyProtocol.OFF
    proxy_addresses: tuple[Network, ...] = ()
    """The load balancers, who alone may connect then; empty: whoever comes is believed to be one."""
    max_connections: int = 10_000
    max_connections_per_address: int | None = None
    max_connect_rate: int | None = 5000
    """New connections a second; those on top wait in the system's queue."""
    connect_timeout_s: float = 10.0
    max_connect_size_bytes: int = 64 * KIB
    """The largest packet taken before a client was let in."""
    max_packet_size_bytes: int = 2 * MIB
    receive_maximum: int = 1024
    topic_alias_maximum: int = 16
    max_message_rate: int | None = None
    """Publishes a second of one client; faster ones are read more slowly."""
    max_byte_rate: int | None = None
    """Bytes a second of one client, likewise."""
    max_keep_alive_s: int | None = None
    """MQTT 5 clients that ask for a longer one, or for none, are told this one (§3.2.2.3.14)."""
    stall_timeout_s: float = 60.0
    """A client that takes nothing of what waits for it for so long is cut."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: loopback or a Unix socket, and no load balancer in front of it."""
        is_near = isinstance(self.bind, UnixPath) or self.bind.is_loopback
        return is_near and self.proxy_protocol is ProxyProtocol.OFF


class Anonymous(enum.Enum):
    """Who may come without proving who he is."""

    LOCAL = "local"
    """Where the access has no way to prove it, clients of this machine: listeners on loopback and Unix sockets."""
    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """The `jwt` section: tokens as passwords (RFC 7519). Off while `key_file` is None."""

    key_file: Path | None = None
    """A secret for HS256, or a public key (PEM) for RS256 and ES256."""
    algorithm: str = "RS256"
    username_claim: str = "sub"
    audience: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAuthentication:
    """The `http` section: a service that is asked (POST, JSON). Off while `url` is None."""

    url: str | None = None
    timeout_s: float = 5.0
    cache_s: float = 60.0


class Effect(enum.Enum):
    """What a rule says."""

    ALLOW = "allow"
    DENY = "deny"


class Action(enum.Enum):
    """What a rule speaks of; `read` is the delivery of a message to its subscriber."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of authorisation. `users` and `clients` are patterns with `*` and `?`; in `topics`, `%u` and `%c` stand
    for the user name and the client id. A rule that denies wins over those that allow."""

    name: str = "rule"
    effect: Effect = Effect.ALLOW
    users: tuple[str, ...] = ("*",)
    clients: tuple[str, ...] = ("*",)
    actions: tuple[Action, ...] = (Action.PUBLISH, Action.SUBSCRIBE, Action.READ)
    topics: tuple[str, ...] = ("#",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Rules of entry, for the listeners that name them: who may come in, and what he may do then.

    The ways to prove who one is are tried in this order: certificate, password file, token, HTTP service. Without
    `acl_file` and `rules` everything is allowed; with one of them, nothing that they don't allow. Rules of which there
    are none allow nothing: only who never wrote the word has none.
    """

    name: str = "default"
    anonymous: Anonymous = Anonymous.LOCAL
    password_file: Path | None = None
    jwt: Jwt = Jwt()
    http: HttpAuthentication = HttpAuthentication()
    client_id_is_username: bool = False
    """A client is refused whose client id is not its user name."""
    acl_file: Path | None = None
    """In Mosquitto's syntax."""
    rules: tuple[Rule, ...] | None = None

    @property
    def has_authentication(self) -> bool:
        """Whether there is a way to prove who one is, besides certificates."""
        return self.password_file is not None or self.jwt.key_file is not None or self.http.url is not None

    @property
    def has_authorization(self) -> bool:
        """Whether anything is denied."""
        return self.acl_file is not None or self.rules is not None


class WhenQueueFull(enum.Enum):
    """What happens to a message for a subscriber whose queue is full."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The `sessions` section: what is kept for subscribers. Limits hold for one session, but for `max_total_…`."""

    max_sessions: int = 100_000
    max_expiry_s: int | None = None
    """Sessions that ask for longer get this; None: as long as they ask, 3.1.1 ones for ever."""
    max_sessions_per_user: int | None = None
    max_subscriptions: int = 10_000
    max_queued_messages: int = 10_000
    max_queued_bytes: int = 16 * MIB
    max_total_queued_bytes: int = 64 * MIB
    when_full: WhenQueueFull = WhenQueueFull.DROP_NEWEST
    max_in_flight: int = 1024
    """Messages in flight to one subscriber, where it did not ask for fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The `retained` section: how much is kept of what was published with RETAIN."""

    max_messages: int = 100_000
    max_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The `limits` section: what all listeners together may have, and one packet may hold."""

    max_connections: int = 20_000
    """Of all listeners together."""
    max_topic_levels: int = 128
    max_user_properties: int = 64
    sys_interval_s: float | None = 10.0
    """How often `$SYS` is published; None: never."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The whole of `gateway.yaml`."""

    gateway: GatewayIdentity = field(default_factory=GatewayIdentity)
    listeners: tuple[Listener, ...] = (Listener(),)
    access: tuple[Access, ...] = (Access(),)
    sessions: Sessions = Sessions()
    retained: Retained = Retained()
    limits: Limits = Limits()
    streams: tuple[Stream, ...] = (Stream(),)
    spool: Spool = Spool()
    uplinks: tuple[Uplink, ...] = (Uplink(),)
    api: Api = Api()
    telemetry: Telemetry = Telemetry()
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
