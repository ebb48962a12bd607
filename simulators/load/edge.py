"""A gateway as a process of its own, started by its command line and watched through its HTTP interface."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulators.load.processes import Child, free_port

_START_TIMEOUT_S = 60.0
STREAM = "telemetry"
UPLINK = "cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A running gateway. `start_s`: from the start of the process until /readyz answered 200."""

    child: Child
    port: int
    api_port: int
    start_s: float

    def status(self) -> dict[str, Any]:
        """What /api/v1/status says. Raises OSError or ValueError when it doesn't."""
        code, body = _get(self.api_port, "/api/v1/status")
        if code != 200:
            raise ValueError(f"/api/v1/status answered {code}.")
        status: dict[str, Any] = json.loads(body)
        return status

    def waiting(self) -> int:
        """Records that wait in the spool."""
        return int(self.status()["streams"][STREAM]["records"])

    def wait_until_delivered(self, records: int, *, timeout_s: float) -> float:
        """When (`time.monotonic`) the cloud had acknowledged so many and the spool had let go of all.

        Raises ProcessFailed when that takes longer.
        """

        def delivered() -> bool:
            status = self.status()
            waiting, sent = status["streams"][STREAM]["records"], status["uplinks"][UPLINK]["records"]
            return int(waiting) == 0 and int(sent) >= records

        self.child.wait_until(delivered, timeout_s=timeout_s, what=f"delivery of {records} records", poll_s=0.02)
        return time.monotonic()


def configuration(
    *,
    folder: Path,
    port: int,
    api_port: int,
    cloud_port: int,
    protocol: str = "5",
    listener: Mapping[str, Any] | None = None,
    sections: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A `gateway.yaml` with every default but the ports and the folder: durability `commit`, zstd, window 20.

    `listener` and `sections` are laid over it.
    """
    return {
        "gateway": {"id": "bench", "data_dir": str(folder / "data")},
        "listeners": [{"name": "local", "transport": "tcp", "bind": f"127.0.0.1:{port}", **(listener or {})}],
        "streams": [{"name": STREAM, "topics": ["#"]}],
        "spool": {"max_size": "2GiB"},
        "uplinks": [{"name": UPLINK, "url": f"mqtt://127.0.0.1:{cloud_port}", "protocol": protocol}],
        "api": {"bind": f"127.0.0.1:{api_port}"},
        "log": {"level": "warning"},
        **(sections or {}),
    }


def start(
    folder: Path,
    *,
    cloud_port: int | None = None,
    protocol: str = "5",
    listener: Mapping[str, Any] | None = None,
    sections: Mapping[str, Any] | None = None,
) -> Edge:
    """Start a gateway on free ports, its data in `folder`; returns when it is ready. Raises ProcessFailed.

    Without `cloud_port` its uplink finds nobody, so that all it is given stays in the spool. Started again in the same
    folder it goes on with what it holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, api_port = free_port(), free_port()
    settings = configuration(
        folder=folder,
        port=port,
        api_port=api_port,
        cloud_port=cloud_port or free_port(),
        protocol=protocol,
        listener=listener,
        sections=sections,
    )
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    started_s = time.monotonic()
    child = Child(
        [sys.executable, "-m", "gateway", "run", "-c", str(file)],
        name="the gateway",
        log=folder / "gateway.log",
        cwd=folder,
        environment={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    try:
        child.wait_until(lambda: _is_ready(api_port), timeout_s=_START_TIMEOUT_S, what="readiness", poll_s=0.005)
    except BaseException:  # whatever went wrong, an interrupt too: nobody else knows this process yet
        child.stop()
        raise
    return Edge(child=child, port=port, api_port=api_port, start_s=time.monotonic() - started_s)


def _is_ready(api_port: int) -> bool:
    try:
        return _get(api_port, "/readyz")[0] == 200
    except OSError:
        return False


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"The gateway's answer to {path} is not HTTP: {error}") from error
    finally:
        connection.close()
