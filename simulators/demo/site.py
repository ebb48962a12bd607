"""The stage: a fresh folder, addresses that are free, and the configuration files."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from simulators.units import Endpoint

HOST = "127.0.0.1"
_USUAL_PORTS = {"devices": 1883, "cloud": 1884, "gateway_api": 8080, "receiver_api": 8081}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything is."""

    folder: Path
    devices: Endpoint
    """The gateway's listener."""
    cloud: Endpoint
    gateway_api: Endpoint
    receiver_api: Endpoint

    @property
    def gateway_yaml(self) -> Path:
        """The gateway's configuration."""
        return self.folder / "gateway.yaml"

    @property
    def receiver_yaml(self) -> Path:
        """The receiver's configuration."""
        return self.folder / "receiver.yaml"

    @property
    def ledger(self) -> Path:
        """What the devices sent, and what was acknowledged to them."""
        return self.folder / "ledger.jsonl"

    @property
    def received_db(self) -> Path:
        """What the receiver wrote into SQLite."""
        return self.folder / "received.db"

    @property
    def received_jsonl(self) -> Path:
        """What the receiver wrote as JSON lines."""
        return self.folder / "received.jsonl"

    def log(self, name: str) -> Path:
        """The log of one of the processes."""
        return self.folder / f"{name}.log"

    def write_configurations(self, *, uplink: Endpoint) -> None:
        """Write gateway.yaml and receiver.yaml; `uplink` is where the gateway finds the cloud. Raises OSError."""
        # Paths are written as JSON strings, which YAML reads as they are.
        self.gateway_yaml.write_text(
            f"""\
gateway: {{id: demo-edge, data_dir: {json.dumps(str(self.folder / "gateway-data"))}}}
listeners:
  - {{name: local, transport: tcp, bind: "{self.devices}"}}
streams:
  - {{name: telemetry, topics: ["#"]}}
uplinks:
  - name: cloud
    url: mqtt://{uplink}      # the link that the demo cuts; the cloud's broker itself is at {self.cloud}
    protocol: "3.1.1"         # amqtt, which plays the cloud, speaks no other
    retry: {{first: 250ms, max: 3s}}
api: {{bind: "{self.gateway_api}"}}
"""
        )
        self.receiver_yaml.write_text(
            f"""\
receiver:
  url: mqtt://{self.cloud}
  protocol: "3.1.1"
  topic: fieldgate/v1/+/+
  state: {json.dumps(str(self.folder / "receiver.db"))}
api: {{bind: "{self.receiver_api}"}}
sinks:
  - {{type: jsonl, path: {json.dumps(str(self.received_jsonl))}}}
  - {{type: sqlite, path: {json.dumps(str(self.received_db))}}}
"""
        )


def make_site(parent: Path, *, usual_ports: bool = True) -> Site:
    """A fresh folder in `parent`, and the usual ports, or free ones where they are taken. Raises OSError."""
    stem = datetime.now().astimezone().strftime("run-%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = parent.resolve() / (f"{stem}-{attempt}" if attempt else stem)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    else:
        raise FileExistsError(f"{folder}: there is no name left for a folder of this run.")
    return Site(folder=folder, **free_endpoints(usual=usual_ports))


def free_endpoints(*, usual: bool = True) -> dict[str, Endpoint]:
    """An endpoint for each role, all different: the usual port when it is wished and nobody listens on it."""
    held: list[socket.socket] = []  # held together, so that no two roles get the same port
    try:
        found = {}
        for role, port in _USUAL_PORTS.items():
            sock = _bound(port if usual else 0)
            held.append(sock)
            found[role] = Endpoint(host=HOST, port=sock.getsockname()[1])
        return found
    finally:
        for sock in held:
            sock.close()


@contextlib.contextmanager
def held_ports(site: Site) -> Iterator[None]:
    """The system gives none of the site's ports to anybody who takes any; their owners can bind them all the same.

    A process that has not started yet, or was killed, would else find its port taken by a stranger.
    """
    with contextlib.ExitStack() as stack:
        for endpoint in (site.devices, site.cloud, site.gateway_api, site.receiver_api):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # without listening it is in no server's way
            with contextlib.suppress(OSError):  # taken already: its owner will say so
                sock.bind((endpoint.host, endpoint.port))
        yield


def _bound(usual: int) -> socket.socket:
    for port in (usual, 0):
        sock = socket.socket()
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers bind; a listener still is in the way
        try:
            sock.bind((HOST, port))
            sock.listen(1)  # two sockets may be bound with SO_REUSEADDR, but only one may listen
        except OSError:
            sock.close()
            if not port:
                raise
            continue
        return sock
    raise AssertionError  # the loop returns or raises
