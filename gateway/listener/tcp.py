"""A listener that lets everybody in."""

from __future__ import annotations

from config.settings import Listener
from gateway.access.ports import UNLIMITED, Credentials, Granted, Rights, Verdict
from gateway.broker.broker import Broker
from gateway.listener.listener import MqttListener


class OpenEntry:
    """An entry without rules (`gateway.access.ports.Entry`)."""

    name = "default"

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        """Granted to everybody."""
        return Granted(access=self.name, username=credentials.certificate_username or credentials.username)

    async def decide(self, credentials: Credentials) -> Verdict:
        """Granted to everybody."""
        return Granted(access=self.name, username=credentials.certificate_username or credentials.username)

    def still_knows(self, username: str | None) -> bool:  # noqa: ARG002 - whoever it is
        """Everybody is welcome."""
        return True

    def rights(self, *, client_id: str, username: str | None) -> Rights:  # noqa: ARG002 - whoever it is
        """Everything is allowed."""
        return UNLIMITED


class TcpListener(MqttListener):
    """A listener for everybody."""

    def __init__(self, settings: Listener, broker: Broker) -> None:
        super().__init__(settings, broker, entry=OpenEntry())
