"""Which clients there are, by names as `npm-5`: a library and the version of MQTT that it speaks (4 is 3.1.1)."""

from __future__ import annotations

from typing import Any

from tests.support.front_door import Door
from tests.support.real_clients.aiomqtt import AiomqttPeer
from tests.support.real_clients.gmqtt import GmqttPeer
from tests.support.real_clients.npm import NodeProcess, NpmPeer
from tests.support.real_clients.paho import PahoPeer
from tests.support.real_clients.peer import Options, Peer

LIBRARIES: dict[str, Any] = {"paho": PahoPeer, "aiomqtt": AiomqttPeer, "gmqtt": GmqttPeer, "npm": NpmPeer}
FIVES = tuple(f"{library}-5" for library in LIBRARIES)
ALL = (*FIVES, *(f"{library}-4" for library in LIBRARIES))


def which_can(*what: str, of: tuple[str, ...] = ALL) -> list[str]:
    """The kinds that can do all of it."""
    return [kind for kind in of if not LIBRARIES[kind.partition("-")[0]].LACKS.intersection(what)]


def made(
    kind: str, door: Door, client_id: str, *, node: NodeProcess | None = None, reconnect: bool = False, **options: Any
) -> Peer:
    """A client that is not connected yet; those of npm need the process `node`."""
    library, _, version = kind.partition("-")
    more = {"node": node, "reconnect": reconnect} if library == "npm" else {}
    peer: Peer = LIBRARIES[library](door, client_id, version=int(version), options=Options(**options), **more)
    return peer
