"""The keys of one listener in gateway.yaml."""

from __future__ import annotations

from config import topics
from config.kinds import Choice, Duration, FilePath, Maybe, Size, Text, Whole
from config.network import DoorAddress, NetworkRange, Origin
from config.settings import (
    MIB,
    ClientCertificate,
    Listener,
    ListenerTls,
    ProxyProtocol,
    TlsVersion,
    Transport,
    UsernameFrom,
)
from config.shapes import Key, Section, ValueList
from config.shared_keys import DAY, UNLIMITED, name_key

_TLS = Section(
    settings=ListenerTls,
    keys=(
        Key(
            name="cert_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="The certificate (PEM) of this listener and those between it and the root; needs key_file.",
        ),
        Key(
            name="key_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="The private key of cert_file; nobody else may read it.",
        ),
        Key(
            name="ca_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Certificates (PEM) of those whose client certificates are believed; needs client_certificate.",
        ),
        Key(
            name="crl_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Client certificates that were revoked (PEM); needs ca_file.",
        ),
        Key(
            name="client_certificate",
            shape=Choice.of(ClientCertificate),
            doc="Whether a client has to show a certificate of its own.",
        ),
        Key(
            name="username_from",
            shape=Choice.of(UsernameFrom),
            doc="What of the client's certificate is its user name; password: nothing of it.",
        ),
        Key(name="min_version", shape=Choice.of(TlsVersion), doc="The oldest version of TLS that is spoken."),
    ),
)

_WEBSOCKET = (
    Key(
        name="websocket_path",
        shape=Text(expected="a path such as /mqtt", check=topics.check_websocket_path),
        doc="The path of WebSocket connections; another is answered with 404.",
    ),
    Key(
        name="websocket_origins",
        shape=ValueList(item=Origin(), example='["https://plant.example"]', may_be_empty=True),
        doc="Origins of the web pages that may connect; empty: any, but where nobody has to prove who he is: those of "
        "this host.",
    ),
)

_LIMITS = (
    Key(
        name="max_connections",
        shape=Whole(minimum=1, maximum=1_000_000),
        doc="Further connections are closed at once.",
    ),
    Key(
        name="max_connections_per_address",
        shape=Maybe(kind=Whole(minimum=1, maximum=1_000_000), word=UNLIMITED),
        doc="The same for the connections of one address.",
    ),
    Key(
        name="max_connect_rate",
        shape=Maybe(kind=Whole(minimum=1, maximum=1_000_000), word=UNLIMITED),
        doc="New connections a second; those on top wait.",
    ),
    Key(
        name="connect_timeout",
        attribute="connect_timeout_s",
        shape=Duration(minimum_s=0.1, maximum_s=3600),
        doc="A connection that has not been let in by then is closed.",
    ),
    Key(
        name="max_connect_size",
        attribute="max_connect_size_bytes",
        shape=Size(minimum_bytes=64, maximum_bytes=256 * MIB),
        doc="The largest MQTT packet taken from a client that was not let in yet.",
    ),
    Key(
        name="max_packet_size",
        attribute="max_packet_size_bytes",
        shape=Size(minimum_bytes=64, maximum_bytes=256 * MIB),
        doc="The largest MQTT packet taken from a device; a larger one closes its connection. At most half of "
        "spool.max_size, which the default follows.",
    ),
    Key(
        name="receive_maximum",
        shape=Whole(minimum=1, maximum=65535),
        doc="How many publishes of one device may await their acknowledgement (MQTT 5).",
    ),
    Key(
        name="topic_alias_maximum",
        shape=Whole(minimum=0, maximum=65535),
        doc="How many topic aliases a device may use (MQTT 5).",
    ),
    Key(
        name="max_message_rate",
        shape=Maybe(kind=Whole(minimum=1, maximum=100_000_000), word=UNLIMITED),
        doc="Publishes a second of one client; faster ones are read more slowly.",
    ),
    Key(
        name="max_byte_rate",
        shape=Maybe(kind=Size(minimum_bytes=64, maximum_bytes=64 * 1024 * MIB), word=UNLIMITED),
        doc="Bytes a second of one client, likewise.",
    ),
    Key(
        name="max_keep_alive",
        attribute="max_keep_alive_s",
        shape=Maybe(
            kind=Duration(minimum_s=1, maximum_s=65535, whole=True, example="60s or 5m"),  # two bytes, §3.2.2.3.14
            word=UNLIMITED,
        ),
        doc="MQTT 5 clients that ask for a longer keep alive, or for none, are told this one.",
    ),
    Key(
        name="stall_timeout",
        attribute="stall_timeout_s",
        shape=Duration(minimum_s=1, maximum_s=DAY),
        doc="A client that takes nothing of what waits for it for so long is cut.",
    ),
)

LISTENER = Section(
    settings=Listener,
    keys=(
        name_key("listener"),
        Key(name="transport", shape=Choice.of(Transport), doc="How devices connect; ws is WebSocket, wss that in TLS."),
        Key(
            name="bind",
            shape=DoorAddress(),
            doc="The address devices connect to; port 0 means any free port; unix:/path is a Unix socket.",
        ),
        Key(
            name="access",
            shape=Text(expected="the name of an access", check=topics.check_name, pattern=topics.NAME_PATTERN),
            doc="The rules of entry that hold here: the name of one in the access section.",
        ),
        Key(name="tls", shape=_TLS, doc="Certificates, for the transports tls and wss only."),
        *_WEBSOCKET,
        Key(
            name="proxy_protocol",
            shape=Choice.of(ProxyProtocol),
            doc="v2: a load balancer in front says who is behind it, and no connection comes without its header.",
        ),
        Key(
            name="proxy_addresses",
            shape=ValueList(item=NetworkRange(), example="[10.0.0.2, 10.1.0.0/16]", may_be_empty=True),
            doc="The load balancers, who alone may connect then; empty: whoever comes may claim any address.",
        ),
        *_LIMITS,
    ),
)
