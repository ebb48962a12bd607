"""What arrived in the cloud, held against the devices' ledger."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from simulators.ledger import Entry, Ledger, payload_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a ledger and what arrived add up; counts are payloads unless they say records."""

    published: int
    acknowledged: int
    """Those that the gateway answered for (PUBACK, or PUBREC for QoS 2)."""
    refused: int
    received: int
    """Different payloads of the ledger that arrived."""
    received_records: int
    """Records that arrived, copies and strangers included."""
    missing: tuple[Entry, ...]
    """Acknowledged, and not there: there must be none."""
    duplicates: int
    """Records too many that nothing explains: there must be none."""
    resent: int
    """Records too many because a QoS 1 device repeated a publish whose PUBACK it never saw, as it must."""
    unacknowledged: int
    """Published with QoS 1 or 2, never answered; these may or may not have arrived."""
    strangers: int
    """Records that the ledger knows nothing of."""

    @property
    def adds_up(self) -> bool:
        """Nothing acknowledged is missing and nothing is there twice without a reason."""
        return not self.missing and not self.duplicates


def compare(ledger: Ledger, received: Path | Iterable[str]) -> Comparison:
    """Hold what arrived (received.db, received.jsonl, or the ids of its payloads) against the ledger.

    Raises OSError or sqlite3.Error when the file can't be read, ValueError when a line of it is not as specified.
    """
    copies = Counter(received_ids(received) if isinstance(received, Path) else received)
    entries = ledger.entries
    duplicates = resent = 0
    for name, count in copies.items():
        entry = entries.get(name)
        if entry is not None and count > 1:
            excused = min(count - 1, entry.resent) if entry.qos == 1 else 0
            resent += excused
            duplicates += count - 1 - excused
    return Comparison(
        published=len(entries),
        acknowledged=sum(entry.promised for entry in entries.values()),
        refused=sum(entry.refused is not None for entry in entries.values()),
        received=sum(name in entries for name in copies),
        received_records=copies.total(),
        missing=tuple(entry for name, entry in entries.items() if entry.promised and name not in copies),
        duplicates=duplicates,
        resent=resent,
        unacknowledged=sum(not e.promised and e.refused is None and e.qos > 0 for e in entries.values()),
        strangers=sum(count for name, count in copies.items() if name not in entries),
    )


def received_ids(path: Path) -> Iterator[str]:
    """The id of each record in a received.jsonl (by its name's end) or else a received.db."""
    return _ids_of_json_lines(path) if path.suffix == ".jsonl" else _ids_of_database(path)


def _ids_of_database(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        for client, topic, payload in database.execute("SELECT client, topic, payload FROM record"):
            yield payload_id(client, topic, bytes(payload))


def _ids_of_json_lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = json.loads(raw)
                text = line.get("payload")
                payload = base64.b64decode(line["payload_base64"]) if text is None else text.encode()
                yield payload_id(line["client"], line["topic"], payload)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if not raw.endswith(b"\n"):  # it is being written just now
                    return
                raise ValueError(f"{path}:{number}: this is not a line of a received.jsonl: {error!r}.") from error
