"""One face for other people's MQTT clients, so that a test says once what each of them has to see.

A peer is one client with one connection at a time. What it cannot do stands in its `LACKS`; what it is told wrong is
never mended here: reasons and properties are those that the library hands to its user.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.support.front_door import Door

TIMEOUT_S = 60.0

Properties = Mapping[str, Any]
"""Of a publish: user_property (pairs), content_type, response_topic, correlation_data, payload_format, expiry_s, alias;
of a message that came also identifiers."""


class Refused(Exception):
    """The server did not let the client in; `reason` is the code that the library reports, None where it has none."""

    def __init__(self, reason: int | None) -> None:
        super().__init__(f"refused with {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the server is to say when the client is gone."""

    topic: str
    payload: str
    qos: int = 1
    retain: bool = False
    delay_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a client connects."""

    clean: bool = True
    expiry_s: int = 0
    """MQTT 5; under 3.1.1 a session that is not clean is kept."""
    keep_alive_s: int = 30
    username: str | None = None
    password: str | None = None
    will: Will | None = None
    receive_maximum: int | None = None
    alias_maximum: int | None = None
    hold: bool = False
    """Acknowledge nothing before `Peer.acknowledge`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What CONNACK said; the server's keep alive where it told one."""

    session_present: bool
    keep_alive_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message as the library handed it over. `handle` is what the library wants to acknowledge it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties = field(default_factory=dict)
    handle: Any = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()


class Peer(ABC):
    """One client. `version` is 4 or 5; `gone` is done when its connection ends, with the reason that
    the server told.
    """

    LACKS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, door: Door, client_id: str, *, version: int, options: Options) -> None:
        self.door = door
        self.client_id = client_id
        self.version = version
        self.options = options
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.gone: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What to believe at the door, and the certificate to show."""
        if not self.door.is_tls:
            return None
        context = ssl.create_default_context(cafile=str(self.door.ca_file))
        if self.door.pair is not None:
            context.load_cert_chain(self.door.pair.cert_file, self.door.pair.key_file)
        return context

    @property
    def keeps_session(self) -> bool:
        """Whether the session outlives the connection."""
        return self.options.expiry_s > 0 or (self.version == 4 and not self.options.clean)

    @abstractmethod
    async def connect(self) -> Welcome:
        """Raises Refused, or OSError where the connection could not be made at all."""

    @abstractmethod
    async def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int | None = None,
    ) -> int:
        """Returns the reason code: the granted QoS, or 0x80 and above."""

    @abstractmethod
    async def unsubscribe(self, topic_filter: str) -> None:
        """Returns when it is acknowledged."""

    @abstractmethod
    async def publish(
        self, topic: str, payload: str, qos: int = 0, *, retain: bool = False, properties: Properties | None = None
    ) -> int | None:
        """Returns when it is acknowledged: with the reason code, None where the library tells none. Raises
        ConnectionError when the connection ended before."""

    @abstractmethod
    async def disconnect(self, reason: int = 0) -> None:
        """Say goodbye."""

    @abstractmethod
    async def cut(self) -> None:
        """Be gone without a word."""

    @abstractmethod
    async def close(self) -> None:
        """Give back whatever is held, in any state."""

    async def acknowledge(self, heard: Heard) -> None:
        """Acknowledge a message of a client that holds."""
        raise NotImplementedError

    async def hear(self) -> Heard:
        """The next message."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self.heard.get()

    async def hear_all(self, count: int) -> list[Heard]:
        """The next so many."""
        return [await self.hear() for _ in range(count)]

    async def until_gone(self) -> int | None:
        """The reason for which the server ended the connection; None: it gave none."""
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.shield(self.gone)

    def _is_gone(self, reason: int | None) -> None:
        if not self.gone.done():
            self.gone.set_result(reason)
