"""What the crash tests promise, held against the devices' ledger and the receiver's sqlite sink."""

from __future__ import annotations

from typing import Any

from simulators.comparison import Comparison, compare
from simulators.ledger import Ledger, payload_id, read_ledger
from tests.support.edge import Edge
from tests.support.publishers import Publishers


async def prove(edge: Edge, publishers: Publishers) -> tuple[Comparison, dict[str, Any]]:
    """Wait until all has arrived and look at every promise; returns the comparison and the receiver's status.

    Everything acknowledged is there. QoS 2: once. QoS 1: nothing twice but what the device itself sent again. Each
    stream is one run of numbers without a hole, and what a client said on a topic stands in the order it was said.
    """
    await publishers.finished()
    _, receiver = await edge.settled()
    ledger = read_ledger(publishers.ledger_path)
    comparison = compare(ledger, edge.received_db)
    assert not comparison.missing, comparison.missing[:5]
    counts = {key: getattr(comparison, key) for key in ("duplicates", "strangers", "refused", "unacknowledged")}
    assert not any(counts.values()), (counts, _twice(edge, ledger))
    assert comparison.received == comparison.published == comparison.acknowledged

    place = {name: number for number, name in enumerate(ledger.entries)}
    numbers: dict[str, list[int]] = {}
    epochs: dict[str, set[str]] = {}
    first: dict[tuple[str, str], list[int]] = {}
    last: dict[tuple[str, str], dict[int, None]] = {}
    for stream, epoch, seq, client, topic, qos, payload in edge.rows():
        numbers.setdefault(stream, []).append(seq)
        epochs.setdefault(stream, set()).add(epoch)
        assert stream == ("alarms" if topic.startswith("alarms/") else "telemetry")
        name = payload_id(client, topic, payload)
        assert ledger.entries[name].qos == qos
        at = place[name]
        seen = last.setdefault((client, topic), {})
        if at in seen:
            del seen[at]  # to stand where its last copy stands
        else:
            first.setdefault((client, topic), []).append(at)
        seen[at] = None
    assert all(len(found) == 1 for found in epochs.values()), epochs
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    for key, copies in last.items():
        assert first[key] == sorted(first[key]), key
        assert list(copies) == sorted(copies), key
    return comparison, receiver


def _twice(edge: Edge, ledger: Ledger) -> list[object]:
    """What is there more often than once, with its sequence numbers and what the ledger says of it."""
    seen: dict[str, list[tuple[str, int]]] = {}
    for stream, _, seq, client, topic, _, payload in edge.rows():
        seen.setdefault(payload_id(client, topic, payload), []).append((stream, seq))
    return [(found, ledger.entries.get(name)) for name, found in seen.items() if len(found) > 1][:5]
