"""What the operator may write, as typed and checked values.

Every class here is one mapping of `gateway.yaml` or `receiver.yaml`; every field is one of its keys and has a default.
Sizes are in bytes, durations in seconds: the unit stands in the name. The loader (`config.loader`) turns written
values ("250ms", "1GiB") into these. Each section has a file of its own; this is where all of them are imported from.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from config.access import Access, Action, Anonymous, Effect, HttpAuthentication, Jwt, Rule
from config.addresses import Address, BrokerUrl, Network, UnixPath
from config.limits import Limits, Retained, Sessions, WhenQueueFull
from config.listener import ClientCertificate, Listener, ListenerTls, ProxyProtocol, TlsVersion, Transport, UsernameFrom
from config.operation import Api, ApiTls, Log, LogFormat, Telemetry
from config.receiver import JsonLinesSink, MqttSink, ReceiverIdentity, SinkSettings, SqliteSink
from config.sizes import GIB, KIB, MIB
from config.storage import Spool, Stream, WhenFull
from config.uplink import Batch, Compression, Encoding, Protocol, Retry, Tls, Uplink

__all__ = [
    "GIB",
    "KIB",
    "MIB",
    "Access",
    "Action",
    "Address",
    "Anonymous",
    "Api",
    "ApiTls",
    "Batch",
    "BrokerUrl",
    "ClientCertificate",
    "Compression",
    "Effect",
    "Encoding",
    "GatewayIdentity",
    "GatewaySettings",
    "HttpAuthentication",
    "JsonLinesSink",
    "Jwt",
    "Limits",
    "Listener",
    "ListenerTls",
    "Log",
    "LogFormat",
    "MqttSink",
    "Network",
    "Protocol",
    "ProxyProtocol",
    "ReceiverIdentity",
    "ReceiverSettings",
    "Retained",
    "Retry",
    "Rule",
    "Sessions",
    "SinkSettings",
    "Spool",
    "SqliteSink",
    "Stream",
    "Telemetry",
    "Tls",
    "TlsVersion",
    "Transport",
    "UnixPath",
    "Uplink",
    "UsernameFrom",
    "WhenFull",
    "WhenQueueFull",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """The `gateway` section: who this box is and where it keeps its data."""

    id: str = field(default_factory=socket.gethostname)
    data_dir: Path = Path("./data")
    grace_period_s: float = 10.0


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
class ReceiverSettings:
    """The whole of `receiver.yaml`."""

    receiver: ReceiverIdentity = ReceiverIdentity()
    api: Api = Api(bind=Address(host="127.0.0.1", port=8081))
    sinks: tuple[SinkSettings, ...] = (JsonLinesSink(),)
    telemetry: Telemetry = Telemetry()
    log: Log = Log()
