"""What a commit changed, carried over to the lanes: afterwards they say what the rows say."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.spool.drop_notices import DropNotices
from gateway.spool.lane import Lane
from gateway.spool.plan import Result
from gateway.spool.ports import Outcome
from gateway.spool.retention import DISCARDED


def update(lanes: Mapping[str, Lane], result: Result, notices: DropNotices, *, is_synced: bool) -> None:
    """Call it on the event loop once the commit has ended. `is_synced`: what was committed is on disk."""
    by_id = {lane.id: lane for lane in lanes.values()}
    if result.outcome is Outcome.DURABLE:
        _admit(by_id, result, is_synced=is_synced)
    for drop in result.drops:
        lane = by_id[drop.stream]
        lane.gaps.add(drop.gap)
        lane.dropped[drop.gap.reason] += drop.gap.count
        notices.note(lane.name, drop.gap)
    for letter in result.discarded:
        count_dropped(lanes, letter.stream, DISCARDED, letter.count)
    for stream, head in result.heads.items():
        lane = by_id[stream]
        lane.first_seq = head.first_seq
        lane.first_received_at_us = head.received_at_us
        lane.stored_start = head.stored_start
        lane.tail.forget_below(head.first_seq)


def count_dropped(lanes: Mapping[str, Lane], stream: str, reason: str, count: int) -> None:
    """Count records that are given up; those of a stream that is not here any more are counted in the spool alone."""
    lane = lanes.get(stream)
    if lane is not None and count:
        lane.dropped[reason] = lane.dropped.get(reason, 0) + count


def _admit(by_id: Mapping[int, Lane], result: Result, *, is_synced: bool) -> None:
    replayed = result.replayed
    for stream, uplink, gap in replayed.gaps if replayed is not None else ():
        by_id[stream].gaps.add(gap, uplink)
    fresh = len(result.sealed) - (len(replayed.blocks) if replayed is not None else 0)
    for place, item in enumerate(result.sealed):
        lane, block = by_id[item.stream], item.block
        if lane.first_received_at_us is None:
            lane.first_received_at_us = block.received_at_us
        lane.next_seq = block.next_seq
        if is_synced:
            lane.synced_seq = block.next_seq
        lane.stored_end += len(block.body)
        if place < fresh:
            lane.accepted += block.count
        else:
            lane.replayed += block.count
        lane.tail.append((block,))
        lane.ratio += (max(0.05, len(block.body) / block.raw_size_bytes) - lane.ratio) * 0.2
