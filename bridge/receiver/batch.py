"""What a sink is given: whole blocks of records that it does not have yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from bridge.block import Block
from bridge.receiver.ledger import LaneKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Records of one lane that follow each other: `block` holds only what the sink is to write."""

    lane: LaneKey
    block: Block


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What a sink writes at once, and the rows of its ledger that make it known; they become durable together.

    The same object is given again when a write failed and is tried again.
    """

    portions: Sequence[Portion]
    ledger_rows: Sequence[tuple[str, str, str, bytes]]
    """(gateway, stream, epoch, bytes) as `Draft.rows` gives them."""
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A record that a sink will never take, with the reason as a sentence."""

    code: ClassVar[str] = "sink_refused"

    lane: LaneKey
    seq: int
    topic: str
    payload: bytes
    reason: str


def cut(block: Block, first_seq: int, next_seq: int) -> Block:
    """The block with only the records first_seq ≤ seq < next_seq, which it must hold; itself when that is all."""
    if first_seq == block.first_seq and next_seq == block.next_seq:
        return block
    part = slice(first_seq - block.first_seq, next_seq - block.first_seq)
    return replace(
        block,
        first_seq=first_seq,
        topic_index=block.topic_index[part],
        client_index=block.client_index[part],
        delta_us=block.delta_us[part],
        flags=block.flags[part],
        payloads=block.payloads[part],
        property_index=None if block.property_index is None else block.property_index[part],
    )
