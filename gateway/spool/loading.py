"""Where every stream stands, read at start: a few look-ups a stream, whatever the backlog."""

from __future__ import annotations

import sqlite3
from collections.abc import Container
from fnmatch import fnmatchcase
from typing import Final

from bridge.ports import Gap
from config.settings import GatewaySettings
from gateway.spool.ages import Ages
from gateway.spool.gaps import EVERYONE
from gateway.spool.lane import TAIL_MAX_BYTES, Lane, Tail
from gateway.spool.rows import head_of, last_block
from gateway.spool.salvage import new_epoch

STREAMS: Final = "SELECT id, name, epoch, next_seq, stored_end FROM stream ORDER BY id"
_UPLINKS_OF: Final = {
    "watermark": "SELECT uplink FROM watermark WHERE stream = ?",
    "gap": "SELECT DISTINCT uplink FROM gap WHERE stream = ?",
}
_FORGET: Final = {
    "watermark": "DELETE FROM watermark WHERE stream = ? AND uplink = ?",
    "gap": "DELETE FROM gap WHERE stream = ? AND uplink = ?",
}


def load_lanes(
    connection: sqlite3.Connection, settings: GatewaySettings, *, without: Container[str] = ()
) -> list[Lane]:
    """A lane for each stream of the settings, and for each older one that still has records; new ones get their row.

    Streams in `without` have their lanes already: nothing of them is looked at.
    """
    known = {row[0] for row in connection.execute("SELECT name FROM stream")}
    for stream in settings.streams:
        if stream.name not in known:
            connection.execute(
                "INSERT INTO stream (name, epoch, next_seq, stored_end) VALUES (?, ?, 1, 0)", (stream.name, new_epoch())
            )
    configured = {stream.name: stream for stream in settings.streams}
    lanes = []
    for row in connection.execute(STREAMS).fetchall():
        if row[1] in without:
            continue
        lane = _load(connection, row, settings)
        if lane.name in configured:
            lane.time_to_live_s = configured[lane.name].time_to_live_s
        elif lane.first_seq == lane.next_seq:
            continue
        lanes.append(lane)
    for lane in lanes:
        lane.tail = Tail(TAIL_MAX_BYTES // len(lanes))
    order = list(configured)
    return sorted(lanes, key=lambda lane: order.index(lane.name) if lane.name in configured else len(order))


def _load(connection: sqlite3.Connection, row: tuple[int, str, str, int, int], settings: GatewaySettings) -> Lane:
    carriers = [
        uplink.name for uplink in settings.uplinks if any(fnmatchcase(row[1], pattern) for pattern in uplink.streams)
    ]
    forget_others(connection, row[0], carriers)
    lane = stored_lane(connection, row)
    _place(connection, lane, carriers)
    return lane


def stored_lane(connection: sqlite3.Connection, row: tuple[int, str, str, int, int]) -> Lane:
    """What the tables say of one stream (`row`: its id, name, epoch, next_seq and stored_end); nothing is written.

    Its watermarks are those on disk, of uplinks that may not be there any more.
    """
    stream, name, epoch, next_seq, stored_end = row
    last = last_block(connection, stream)
    if last:
        next_seq, stored_end = max(next_seq, last.next_seq), max(stored_end, last.stored_end)
    head = head_of(connection, stream)
    lane = Lane(
        id=stream,
        name=name,
        epoch=epoch,
        first_seq=head.first_seq if head else next_seq,
        next_seq=next_seq,
        synced_seq=next_seq,
        stored_start=head.stored_start if head else stored_end,
        stored_end=stored_end,
        first_received_at_us=head.received_at_us if head else None,
        ages=Ages(next_seq),
        watermarks=dict(connection.execute("SELECT uplink, seq FROM watermark WHERE stream = ?", (stream,)).fetchall()),
    )
    for uplink, first, count, reason in connection.execute(
        "SELECT uplink, first_seq, count, reason FROM gap WHERE stream = ? ORDER BY first_seq", (stream,)
    ):
        lane.gaps.add(Gap(first_seq=first, count=count, reason=reason), uplink)
    for counter, value in connection.execute("SELECT name, value FROM counter WHERE stream = ?", (name,)):
        lane.dropped[counter.removeprefix("dropped_")] = value
    return lane


def forget_others(connection: sqlite3.Connection, stream: int, carriers: list[str]) -> None:
    """An uplink that was taken out of the settings holds nothing back; when it comes back, it begins anew."""
    for table in ("watermark", "gap"):
        known = {row[0] for row in connection.execute(_UPLINKS_OF[table], (stream,))}
        for uplink in known - {EVERYONE, *carriers}:
            connection.execute(_FORGET[table], (stream, uplink))


def _place(connection: sqlite3.Connection, lane: Lane, carriers: list[str]) -> None:
    """Where each uplink stands. A new one begins with the oldest record that is kept; from then on its place is
    written down, so that a gap that comes later is declared to it, restart or not."""
    marks, lane.watermarks = lane.watermarks, {}
    for uplink in carriers:
        mark = min(lane.next_seq, marks.get(uplink, lane.first_seq))
        seq = mark
        for gap in lane.gaps.between(mark, lane.first_seq, uplink):
            if gap.first_seq <= seq:
                seq = max(seq, gap.first_seq + gap.count)
        # Below the first block only gaps can be declared; anything else there has gone with its uplink's blessing.
        lane.watermarks[uplink] = mark if seq >= lane.first_seq else lane.first_seq
        if uplink not in marks:
            connection.execute("INSERT INTO watermark VALUES (?, ?, ?)", (uplink, lane.id, lane.watermarks[uplink]))


def load_sessions(connection: sqlite3.Connection) -> dict[str, bytes]:
    """The broker's sessions."""
    return dict(connection.execute("SELECT client_id, snapshot FROM session").fetchall())
