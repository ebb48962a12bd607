"""The end: the devices' ledger against what the receiver wrote, and the bytes it took."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from simulators.comparison import Comparison, compare
from simulators.ledger import read_ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The demo's ledger."""

    comparison: Comparison
    duplicates_dropped: int
    """Records that reached the receiver a second time and were dropped by it."""
    wire_bytes: int
    """All that the gateway sent over the link, MQTT and resends included."""
    plain_bytes: int
    """The same records as plain MQTT publishes with QoS 1."""

    @property
    def good(self) -> bool:
        """Nothing acknowledged is missing, and nothing came twice without a reason."""
        return self.comparison.adds_up and self.comparison.published > 0

    @property
    def saved(self) -> float:
        """The part of the bytes that did not have to be sent, between 0 and 1."""
        return max(0.0, 1 - self.wire_bytes / self.plain_bytes) if self.plain_bytes else 0.0


def judge(ledger: Path, received_db: Path, *, duplicates_dropped: int, wire_bytes: int) -> Verdict:
    """Compare. Raises OSError or sqlite3.Error when a file can't be read."""
    return Verdict(
        comparison=compare(read_ledger(ledger), received_db),
        duplicates_dropped=duplicates_dropped,
        wire_bytes=wire_bytes,
        plain_bytes=_plain_bytes(received_db),
    )


def _plain_bytes(received_db: Path) -> int:
    with closing(sqlite3.connect(f"{received_db.resolve().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT length(CAST(topic AS BLOB)), length(payload) FROM record")
        return sum(publish_size(topic, payload) for topic, payload in rows)


def publish_size(topic_bytes: int, payload_bytes: int) -> int:
    """The size of an MQTT 3.1.1 PUBLISH with QoS 1."""
    remaining = 2 + topic_bytes + 2 + payload_bytes
    length_bytes = 1 + (remaining > 127) + (remaining > 16_383) + (remaining > 2_097_151)
    return 1 + length_bytes + remaining
