"""What of the running gateway the endpoints read and act upon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.ports import Clock
from bridge.uplink import Uplink
from gateway.broker.broker import Broker
from gateway.chronicle import Chronicle
from gateway.configuration import Configuration
from gateway.overview import Overview
from gateway.spool.notes import Notes
from gateway.spool.spool import Spool
from gateway.traffic.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All on the event loop; `uplinks` is the gateway's own mapping, in which they come and go."""

    spool: Spool
    notes: Notes
    broker: Broker
    uplinks: Mapping[str, Uplink]
    overview: Overview
    chronicle: Chronicle
    traffic: Traffic
    configuration: Configuration
    clock: Clock
