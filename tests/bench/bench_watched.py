"""What an open dashboard costs the devices: the same ingest with and without somebody looking on."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import replace

from simulators.load import edge
from simulators.load.processes import ProcessFailed
from simulators.load.run import run_against
from tests.bench import bench_ingest
from tests.bench.case import OURS, Case, Context, Figures, Side, Target
from tests.bench.loads import USUAL

LOAD = replace(USUAL, messages=1_500_000)
OVERVIEW = ("/api/v1/overview", "/api/v1/history?span=24h")
"""What a browser follows on the first page."""
EVERYTHING = (*OVERVIEW, "/api/v1/streams", "/api/v1/devices", "/api/v1/topics?prefix=", "/api/v1/dead-letters")
"""What six of them follow, each on another page."""
_TIMEOUT_S = 90.0


def looked_at(paths: tuple[str, ...]) -> Side:
    """The gateway with live bodies followed over server-sent events."""

    def measure(context: Context) -> Figures:
        gateway = edge.start(context.folder)
        with gateway.child, _followed(gateway.api_port, paths) as bodies:
            options = LOAD.options(port=gateway.port, messages=context.messages(LOAD.messages))
            cpu_before_s = gateway.child.cpu_s()
            result = run_against(gateway.child, options, timeout_s=_TIMEOUT_S)
            figures = bench_ingest.figures(result, gateway.child.cpu_s() - cpu_before_s)
            gateway.child.check()
            if paths and bodies.seen < len(paths):
                raise ProcessFailed(f"Only {bodies.seen} live bodies came of {len(paths)} that were followed.")
            return figures

    names = {(): "Fieldgate, nobody looks", OVERVIEW: f"{OURS}, the overview open"}
    return Side(name=names.get(paths, f"{OURS}, every page open"), measure=measure)


class _Bodies:
    """How many came, over all streams."""

    def __init__(self) -> None:
        self.seen = 0


@contextlib.contextmanager
def _followed(port: int, paths: tuple[str, ...]) -> Iterator[_Bodies]:
    bodies = _Bodies()
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30.0) for _ in paths]
    readers = []
    for path, connection in zip(paths, connections, strict=True):
        connection.request("GET", path, headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        readers.append(threading.Thread(target=_read, args=(answer, bodies), daemon=True))
    for reader in readers:
        reader.start()
    try:
        yield bodies
    finally:
        for connection in connections:
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(2)  # ends the read that waits
        for reader in readers:
            reader.join(5.0)
        for connection in connections:
            connection.close()


def _read(answer: http.client.HTTPResponse, bodies: _Bodies) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        for line in answer:
            if line.startswith(b"data:"):
                bodies.seen += 1


def cases() -> list[Case]:
    """The first page, and all of them at once."""
    nobody = looked_at(())
    return [
        Case(
            name=f"watched-{name}",
            title=f"Durable ingest while {title}",
            says="Both sides are Fieldgate; the second one has nobody who looks on.",
            sides=(looked_at(paths), nobody),
            figures=bench_ingest.FIGURES,
            targets=(Target(figure="acknowledged/s", value=0.97, of_ratio=True),),
        )
        for name, title, paths in (
            ("overview", "the dashboard's overview is open", OVERVIEW),
            ("everything", "every page of the dashboard is open", EVERYTHING),
        )
    ]
