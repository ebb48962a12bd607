"""Links that try MQTT 5 and step down to 3.1.1 where the broker knows nothing newer.

A broker of 3.1.1 answers a CONNECT of version 5 with return code 1 (3.1.1 [MQTT-3.1.2-2]), which is 0x84 in MQTT 5's
words. Only `protocol: auto` steps down: who wrote 5 wants its reason codes, and would rather wait than go without.
Every new connection begins with 5 again, so that a broker that was renewed is met at its best. A broker that
says nothing at all, or hangs up without a word, can't be told from one that is away: there `protocol: 3.1.1` must be
written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bridge.errors import LinkRefused
from bridge.link import MqttLink
from bridge.link_settings import LinkSettings
from bridge.ports import Delivery, Link, LinkEvents, LinkLimits, Publish
from config.settings import Protocol

log = logging.getLogger(__name__)

UNSUPPORTED_VERSION: Final = 0x84
LinkMaker = Callable[[LinkSettings, LinkEvents], Link]


class Links:
    """Makes the links to one broker, a new one for each connection, and says once that it had to step down."""

    def __init__(self, settings: LinkSettings, *, lost: str, make: LinkMaker = MqttLink) -> None:
        """`lost` is the sentence that says what its owner goes without under 3.1.1."""
        self._settings = settings
        self._lost = lost
        self._make = make
        self._is_told = False

    def __call__(self, events: LinkEvents) -> Link:
        """A link that is not connected yet."""
        if self._settings.protocol is Protocol.AUTO:
            return SteppingLink(self, events)
        return self.make(events)

    def make(self, events: LinkEvents, *, is_old: bool = False) -> Link:
        """A link of the version that is configured, or of 3.1.1."""
        protocol = Protocol.V311 if is_old else self._settings.protocol
        if protocol is Protocol.AUTO:
            protocol = Protocol.V5
        return self._make(replace(self._settings, protocol=protocol), events)

    def stepped_down(self) -> None:
        """The broker did not take MQTT 5."""
        if not self._is_told:
            self._is_told = True
            log.warning(
                "%s does not speak MQTT 5; 3.1.1 it is. %s "
                "Use a broker of MQTT 5; or write protocol: 5 to wait for one, or 3.1.1 to have this line no more.",
                self._settings.url,
                self._lost,
            )


class SteppingLink:
    """One connection, with MQTT 5 or else 3.1.1; implements `bridge.ports.Link`."""

    def __init__(self, links: Links, events: LinkEvents) -> None:
        self._links = links
        self._events = events
        self._link = links.make(events)

    async def connect(self) -> LinkLimits:
        """As the port says; twice at once, when the broker refuses the version. `mqtt_version` tells which it is."""
        try:
            return await self._link.connect()
        except LinkRefused as refused:
            if refused.reason_code != UNSUPPORTED_VERSION:
                raise
        await self._link.close()
        self._link = self._links.make(self._events, is_old=True)
        limits = await self._link.connect()
        self._links.stepped_down()
        return limits

    def publish(self, message: Publish) -> int:
        """As the port says."""
        return self._link.publish(message)

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        """As the port says."""
        await self._link.subscribe(topic_filter, qos=qos)

    def acknowledge(self, delivery: Delivery) -> None:
        """As the port says."""
        self._link.acknowledge(delivery)

    async def close(self) -> None:
        """As the port says."""
        await self._link.close()
