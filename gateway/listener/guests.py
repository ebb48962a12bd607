"""The connections of one listener: whether one more may come, who is there, and how many are from one address."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Iterator

from config.settings import Listener, ProxyProtocol
from gateway.broker.broker import Broker
from gateway.listener.door import Guest
from gateway.listener.peer import Peer
from gateway.listener.places import Places

logger = logging.getLogger(__name__)


class Guests:
    """See above. Those who are turned away are counted by the broker, and told in the log."""

    __slots__ = ("_at_address", "_broker", "_groups", "_is_empty", "_places", "_settings")

    def __init__(self, settings: Listener, broker: Broker, places: Places) -> None:
        self._settings = settings
        self._broker = broker
        self._places = places
        self._groups: dict[Guest, str | bytes | None] = {}
        """With what counts as its address, where connections of one address are counted."""
        self._at_address: Counter[str | bytes] = Counter()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Guest]:
        """All of them, whoever comes and goes meanwhile."""
        return iter(tuple(self._groups))

    def follow(self, settings: Listener) -> None:
        """Have other limits for those to come."""
        before, self._settings = self._settings, settings
        if (settings.max_connections_per_address is None) != (before.max_connections_per_address is None):
            self._at_address.clear()
            # Behind a load balancer those that are here were never counted.
            is_located = self._is_located
            self._groups = {guest: self._count(guest.origin) if is_located else None for guest in self._groups}

    @property
    def _is_located(self) -> bool:
        """Whether the socket's address is the client's own; else a PROXY header says it (`located`)."""
        return self._settings.proxy_protocol is ProxyProtocol.OFF

    # ---- coming and going -----------------------------------------------------------------------------------------

    def may_come(self, peer: Peer) -> bool:
        """Whether one more connection may come; it has its place then, and `add` is to follow."""
        if len(self._groups) >= self._settings.max_connections:
            self._refuse(peer, "max_connections", self._settings.max_connections)
            return False
        if self._is_located and not self._has_place(peer):
            return False
        if not self._is_located and not self._is_balancer(peer):
            self._broker.turned_away(
                "proxy_address", f"It is no load balancer of the listener {self._settings.name!r}.", address=str(peer)
            )
            logger.warning(
                "The listener %r closes a new connection from %s: its address is not one of those that "
                "`proxy_addresses` names for load balancers.",
                self._settings.name,
                peer,
            )
            return False
        if not self._places.take():
            self._refuse(peer, "limits.max_connections", self._places.max_connections)
            return False
        return True

    def add(self, guest: Guest) -> None:
        """It is here."""
        self._groups[guest] = self._count(guest.origin) if self._is_located else None
        self._is_empty.clear()

    def located(self, guest: Guest) -> bool:
        """A load balancer has said who is behind it; false when there is no place for the connection."""
        if not self._has_place(guest.origin):
            return False
        self._groups[guest] = self._count(guest.origin)
        return True

    def remove(self, guest: Guest) -> None:
        """It is gone; idempotent."""
        if guest not in self._groups:
            return
        self._places.free()
        group = self._groups.pop(guest)
        if group is not None:
            self._at_address[group] -= 1
            if not self._at_address[group]:
                del self._at_address[group]
        if not self._groups:
            self._is_empty.set()

    async def all_left(self, within_s: float) -> None:
        """Wait until nobody is here. Raises TimeoutError."""
        await asyncio.wait_for(self._is_empty.wait(), within_s)

    # ---- within ---------------------------------------------------------------------------------------------------

    def _is_balancer(self, peer: Peer) -> bool:
        """Whether its PROXY header would be believed."""
        balancers = self._settings.proxy_addresses
        if not balancers or not peer.host:
            return True
        address = ipaddress.ip_address(peer.host.partition("%")[0])
        return any(address in network for network in balancers)

    def _has_place(self, peer: Peer) -> bool:
        """Whether one more connection may come from its address."""
        limit = self._settings.max_connections_per_address
        if limit is not None and peer.host and self._at_address[peer.group] >= limit:
            self._refuse(peer, "max_connections_per_address", limit)
            return False
        return True

    def _count(self, peer: Peer) -> str | bytes | None:
        """Count it among those of its address; returns what counts as that, None where nobody asks."""
        if self._settings.max_connections_per_address is None or not peer.host:
            return None
        self._at_address[peer.group] += 1
        return peer.group

    def _refuse(self, peer: Peer, limit: str, number: int) -> None:
        self._broker.turned_away(limit, f"There are {number} connections already.", address=str(peer))
        logger.warning(
            "The listener %r closes a new connection from %s: there are %d connections already (%s).",
            self._settings.name,
            peer,
            number,
            limit,
        )
