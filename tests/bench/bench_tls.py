"""Ingest through TLS: what encryption costs at the edge."""

from __future__ import annotations

from simulators.load import edge, mosquitto
from simulators.load.run import run_against
from tests.bench import bench_ingest
from tests.bench.case import OURS, PEER, Case, Context, Figures, Side
from tests.bench.loads import Load
from tests.support.certificates import Authority

LOAD = Load(name="tls", title="QoS 1, 20 connections with a window of 500, TLS 1.3", messages=200_000)
_TIMEOUT_S = 90.0


def ours(context: Context) -> Figures:
    """The gateway; its certificate is an ECDSA one (P-256)."""
    authority = Authority(context.folder / "tls")
    server = authority.server()
    tls = {"cert_file": str(server.cert_file), "key_file": str(server.key_file), "min_version": "1.3"}
    gateway = edge.start(context.folder, listener={"transport": "tls", "tls": tls})
    with gateway.child:
        options = LOAD.options(
            port=gateway.port, messages=context.messages(LOAD.messages), ca_file=str(authority.ca_file)
        )
        cpu_before_s = gateway.child.cpu_s()
        result = run_against(gateway.child, options, timeout_s=_TIMEOUT_S)
        return bench_ingest.figures(result, gateway.child.cpu_s() - cpu_before_s)


def in_memory(context: Context) -> Figures:
    """Mosquitto, with the same kind of certificate."""
    authority = Authority(context.folder / "tls")
    server = authority.server()
    lines = [f"certfile {server.cert_file}", f"keyfile {server.key_file}", "tls_version tlsv1.3"]
    broker = mosquitto.start(context.folder, lines=lines)
    with broker.child:
        options = LOAD.options(
            port=broker.port, messages=context.messages(LOAD.messages), ca_file=str(authority.ca_file)
        )
        cpu_before_s = broker.child.cpu_s()
        result = run_against(broker.child, options, timeout_s=_TIMEOUT_S)
        return bench_ingest.figures(result, broker.child.cpu_s() - cpu_before_s)


def cases() -> list[Case]:
    """One case."""
    return [
        Case(
            name="ingest-tls",
            title=f"Durable ingest: {LOAD.title}",
            says=(
                "160-byte JSON. The load generator does its own half of the encryption; its share of a core says how "
                "near it was to being the limit."
            ),
            sides=(Side(name=OURS, measure=ours), Side(name=PEER, measure=in_memory)),
            figures=bench_ingest.FIGURES,
        )
    ]
