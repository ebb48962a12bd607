"""Where a link goes and who it says it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import BrokerUrl, Protocol, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Where a link goes and who it says it is."""

    url: BrokerUrl
    client_id: str
    protocol: Protocol = Protocol.V5
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = field(default_factory=Tls)
    keep_alive_s: int = 30
    connect_timeout_s: float = 10.0
    clean_start: bool = True
    session_expiry_s: int = 0
    """How long the broker keeps the session after the connection (MQTT 5; 3.1.1 keeps it unless `clean_start`)."""
    receive_maximum: int = 65535
    """How many deliveries the broker may have waiting for our acknowledgement (MQTT 5)."""
    max_unsent_bytes: int = 64 * 1024 * 1024
    """More than this unsent means that the broker does not read: the link is given up."""

    def __post_init__(self) -> None:
        if not 1 <= self.receive_maximum <= 65535 or not 0 <= self.keep_alive_s <= 65535:
            raise ValueError("receive_maximum is 1 to 65535, keep_alive_s 0 to 65535")
        if not self.client_id:
            raise ValueError("a link has a client id of its own, so that the broker knows it again")
