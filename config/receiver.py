"""The sections `receiver` and `sinks`: where frames come from and where their records go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from config.addresses import BrokerUrl
from config.sizes import MIB
from config.uplink import Protocol, Retry, Tls


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
