"""The `listeners` section: the doors for devices."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from config.addresses import Address, Network, UnixPath
from config.sizes import KIB, MIB


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
