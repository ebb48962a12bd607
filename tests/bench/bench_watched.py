"""What an open dashboard costs the devices: processor time a message, with and without somebody looking on."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import threading
from collections.abc import Iterator
from dataclasses import replace

from simulators.load import edge
from simulators.load.processes import ProcessFailed
from simulators.load.run import run_against
from tests.bench import bench_ingest
from tests.bench.case import OURS, Case, Context, Figures, Side, Target
from tests.bench.loads import USUAL

LOAD = replace(USUAL, messages=500_000)
OVERVIEW = ("/api/v1/overview", "/api/v1/history?span=24h")
"""What a browser follows on the first page."""
EVERYTHING = (*OVERVIEW, "/api/v1/streams", "/api/v1/devices", "/api/v1/topics?prefix=", "/api/v1/dead-letters")
"""What six of them follow, each on another page."""
TURNS = 8
FIGURES = {"times the processor": "times as much processor time a message", "edge µs CPU": "µs with it"}
_TIMEOUT_S = 90.0


def looked_at(paths: tuple[str, ...]) -> Side:
    """One gateway that is given load after load, every second one while its live bodies are followed.

    Processes differ among themselves by more than what is looked for, so both are measured on one, and each load
    with the mean of those before and after it.
    """

    def measure(context: Context) -> Figures:
        gateway = edge.start(context.folder, sections={"spool": {"max_size": "8GiB"}})
        with gateway.child:
            ratios, followed = [], []
            before = _cpu_us(gateway, (), context)
            for _ in range(TURNS):
                followed.append(_cpu_us(gateway, paths, context))
                after = _cpu_us(gateway, (), context)
                ratios.append(followed[-1] / ((before + after) / 2))
                before = after
            return {"times the processor": statistics.median(ratios), "edge µs CPU": statistics.median(followed)}

    return Side(name=OURS, measure=measure)


def _cpu_us(gateway: edge.Edge, paths: tuple[str, ...], context: Context) -> float:
    """Processor time a message, in µs, of one load."""
    with _followed(gateway.api_port, paths) as bodies:
        options = LOAD.options(port=gateway.port, messages=context.messages(LOAD.messages))
        cpu_before_s = gateway.child.cpu_s()
        result = run_against(gateway.child, options, timeout_s=_TIMEOUT_S)
        cpu_s = gateway.child.cpu_s() - cpu_before_s
    gateway.child.check()
    if bodies.seen < len(paths):
        raise ProcessFailed(f"Only {bodies.seen} live bodies came of {len(paths)} that were followed.")
    return bench_ingest.figures(result, cpu_s)["edge µs CPU"]


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
    return [
        Case(
            name=f"watched-{name}",
            title=f"Durable ingest while {title}",
            says="On one gateway, with and without somebody who looks on, in turns.",
            sides=(looked_at(paths),),
            figures=FIGURES,
            targets=(Target(figure="times the processor", value=1.03, at_most=True),) if paths is OVERVIEW else (),
            rounds=1,
        )
        for name, title, paths in (
            ("overview", "the dashboard's overview is open", OVERVIEW),
            ("everything", "six dashboards are open, each on another page", EVERYTHING),
        )
    ]
