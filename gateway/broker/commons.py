"""What all connections of a broker have in common, and what its parts need of one connection.

The broker makes it (`gateway.broker.broker`), and gives it to each client. So the halves of a connection, what waits
for its commits, and what the broker does by itself need neither the broker's file nor that of the client.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.ports import Clock
from gateway.broker.agenda import Actions, Agenda
from gateway.broker.counters import Counters
from gateway.broker.delivery import Delivery
from gateway.broker.ports import Connected, Observer
from gateway.broker.refused_connects import RefusedConnects
from gateway.broker.retained import RetainedMessages
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.sessions import Sessions
from gateway.broker.subscribing import Subscribing
from gateway.broker.unreleased import Unreleased
from gateway.spool.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Commons:
    """See above; `traffic` is told of every run of publishes that is taken."""

    store: Store
    clock: Clock
    agenda: Agenda
    counters: Counters
    routes: Routes
    sessions: Sessions
    subscribing: Subscribing
    delivery: Delivery
    retained: RetainedMessages
    unreleased: Unreleased
    refused_connects: RefusedConnects
    traffic: Observer | None
    actions: Actions = field(default_factory=Actions)
    """Waits for commits with functions of their outcome, for what no client waits for."""

    def later(self, key: Hashable, delay_s: float, action: Callable[[], None]) -> None:
        """Have `action` done at a tick after `delay_s`."""
        self.agenda.add(key, self.clock.monotonic_s() + delay_s, action)

    def turned_away(
        self, reason: str, detail: str = "", *, address: str, client: str = "", username: str | None = None
    ) -> None:
        """Count and remember a connection that was not let in; `reason` is a word of the counters."""
        self.counters.refused_connects[reason] += 1
        self.refused_connects.add(
            self.clock.now_us(), address=address, reason=reason, client=client, username=username, detail=detail
        )


class Party(Connected, Protocol):
    """One connected client, as the halves of its connection and what waits for its commits see it."""

    @property
    def commons(self) -> Commons:
        """What it has in common with the others."""

    @property
    def session(self) -> Session:
        """Its session, which may have another client by now."""

    @property
    def max_packet_size_bytes(self) -> int | None:
        """What it takes at most; None: anything."""

    def count_publishes(self, number: int, refusal: str | None) -> None:
        """Count publishes of it of which it is known now what became of them."""
