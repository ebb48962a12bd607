"""Dead letters back into their streams, as the database's thread does it: inside the transaction of a commit.

A letter goes and its records come in one transaction, so that they are never lost and never there twice. The stored
bytes are used again as they are: a record's number is implied by its block's place, its time is written in the block.

The records go to the uplink that could not deliver them, or to the one that somebody chose; to all others they are a
gap, since those have had them. A letter whose uplink is not there any more stays until somebody chooses: to send it to
all uplinks would deliver it twice at some, and to none would lose it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import google_crc32c

from bridge.block import Block
from bridge.errors import BlockError
from bridge.ports import Gap, StoredBlock
from gateway.spool.sealer import SealedBlock
from gateway.spool.stored_record import block_in, inflated

MAX_LETTERS: Final = 64
MAX_RECORDS: Final = 8000
MAX_BYTES: Final = 4 * 1024 * 1024
"""What one commit takes of letters at most, but one in any case: no acknowledgement is to wait for a great replay. Each
record is looked at, and 100 000 of them were measured at 0.3 s."""
ELSEWHERE: Final = "replayed"
"""The reason of the gap that the other uplinks see, which have delivered the records under their first numbers."""
DAMAGED: Final = (
    "These records were found damaged on the disk, and may not be what the devices said. "
    "Export them to look at what is left, then discard the letter."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A letter that was not replayed; `message` is a sentence."""

    id: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """What a stream is to a replay."""

    stream: int
    uplinks: Sequence[str]
    """Those that carry it."""
    oldest_us: int | None
    """What was received before is past its time-to-live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Letters that are to go back; `roads` has the streams that there are, by name."""

    ids: Sequence[int]
    roads: Mapping[str, Road]
    to: str | None = None
    """The uplink that is to deliver them; None: the one that could not, each its own."""


@dataclass(slots=True, kw_only=True)
class Taken:
    """What became of a replay."""

    blocks: list[SealedBlock] = field(default_factory=list)
    gaps: list[tuple[int, str, Gap]] = field(default_factory=list)
    """(stream, uplink, gap) for uplinks that have delivered the records already."""
    ids: list[int] = field(default_factory=list)
    records: int = 0
    refused: list[Refused] = field(default_factory=list)
    left: Sequence[int] = ()
    """Not looked at: for another commit."""


def take(connection: sqlite3.Connection, replay: Replay, next_seqs: Mapping[int, int]) -> Taken:
    """Delete letters and make blocks of them, numbered from `next_seqs` on (by the streams' ids)."""
    taken = Taken()
    numbers = dict(next_seqs)
    size = 0
    for place, number in enumerate(replay.ids):
        row = connection.execute(
            "SELECT uplink, stream, count, reason, compressed, length(body) FROM dead_letter WHERE id = ?", (number,)
        ).fetchone()
        if row is None:
            taken.refused.append(Refused(id=number, message=f"There is no dead letter {number} any more."))
            continue
        if place and (size + row[5] > MAX_BYTES or place >= MAX_LETTERS or taken.records + row[2] > MAX_RECORDS):
            taken.left = replay.ids[place:]
            break
        uplink, name, count, reason, is_compressed, length = row
        road = replay.roads.get(name)
        target = replay.to or uplink
        if road is None:
            message = (
                f"There is no stream {name} in the configuration any more. "
                "Add it again, or export the records and discard the letter."
            )
            taken.refused.append(Refused(id=number, message=message))
            continue
        if reason != "corrupt" and target not in road.uplinks:
            message = _nobody_carries(name, target, road.uplinks, was_chosen=replay.to is not None)
            taken.refused.append(Refused(id=number, message=message))
            continue
        (body,) = connection.execute("SELECT body FROM dead_letter WHERE id = ?", (number,)).fetchone()
        found = None if reason == "corrupt" else _sealed(body, is_compressed=bool(is_compressed))
        if found is None or found.block.count != count:
            taken.refused.append(Refused(id=number, message=DAMAGED))
            continue
        if road.oldest_us is not None and found.block.received_at_us < road.oldest_us:
            message = f"Its records are past the time-to-live of stream {name}, and would be dropped at once."
            taken.refused.append(Refused(id=number, message=message))
            continue
        connection.execute("DELETE FROM dead_letter WHERE id = ?", (number,))
        first_seq = numbers[road.stream]
        numbers[road.stream] = first_seq + count
        taken.blocks.append(replace(found, stream=road.stream, block=replace(found.block, first_seq=first_seq)))
        gap = Gap(first_seq=first_seq, count=count, reason=ELSEWHERE)
        taken.gaps += [(road.stream, other, gap) for other in road.uplinks if other != target]
        taken.ids.append(number)
        taken.records += count
        size += length
    return taken


def _nobody_carries(stream: str, uplink: str, carriers: Sequence[str], *, was_chosen: bool) -> str:
    """The sentence for a letter whose uplink does not carry its stream: only a person knows who stands in for it."""
    if not carriers:
        return f"No uplink carries stream {stream}. Have one carry it, or export the records and discard the letter."
    names = ", ".join(carriers)
    if was_chosen:
        return f"Uplink {uplink} does not carry stream {stream}; choose one that does: {names}."
    return (
        f"Uplink {uplink}, which could not deliver these records, does not carry stream {stream} any more. "
        f"Choose the uplink that is to deliver them (`fieldgate dlq replay --to UPLINK`): {names}."
    )


def _sealed(body: bytes, *, is_compressed: bool) -> SealedBlock | None:
    """The block in a letter, without a place yet; None when there is none that can be read."""
    try:
        raw = inflated(body, is_compressed=is_compressed)
        block = block_in(raw, first_seq=0)
    except BlockError:
        return None
    stored = StoredBlock(
        first_seq=0,
        count=len(block),
        received_at_us=block.received_at_us,
        raw_size_bytes=len(raw),
        plain_size_bytes=plain_size_bytes(block),
        compressed=is_compressed,
        body=body,
    )
    return SealedBlock(0, stored, google_crc32c.value(body))


def plain_size_bytes(block: Block) -> int:
    """What the records took as PUBLISH packets (MQTT 5 §3.3), without their properties, which are few."""
    size = 0
    for record in block:
        rest = 2 + len(record.topic.encode()) + (2 if record.qos else 0) + len(record.payload)
        size += rest + 2 + (rest >= 128) + (rest >= 16_384) + (rest >= 2_097_152)
    return size
