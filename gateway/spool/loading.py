"""Where every stream stands, read at start: a few look-ups a stream, whatever the backlog."""

from __future__ import annotations

import sqlite3
from fnmatch import fnmatchcase

from bridge.ports import Gap
from config.settings import GatewaySettings
from gateway.spool.lane import Lane
from gateway.spool.recovery import new_epoch
from gateway.spool.schema import key_of, seq_of
from gateway.spool.transaction import head_of


def load_lanes(connection: sqlite3.Connection, settings: GatewaySettings) -> list[Lane]:
    """A lane for each stream of the settings, and for each older one that still has records; new ones get their row."""
    known = {row[0] for row in connection.execute("SELECT name FROM stream")}
    for stream in settings.streams:
        if stream.name not in known:
            connection.execute(
                "INSERT INTO stream (name, epoch, next_seq, stored_end) VALUES (?, ?, 1, 0)", (stream.name, new_epoch())
            )
    configured = {stream.name: stream for stream in settings.streams}
    lanes = []
    for row in connection.execute("SELECT id, name, epoch, next_seq, stored_end FROM stream ORDER BY id").fetchall():
        lane = _load(connection, row, settings)
        if lane.name in configured:
            lane.time_to_live_s = configured[lane.name].time_to_live_s
        elif lane.first_seq == lane.next_seq:
            continue
        lanes.append(lane)
    order = list(configured)
    return sorted(lanes, key=lambda lane: order.index(lane.name) if lane.name in configured else len(order))


def _load(connection: sqlite3.Connection, row: tuple[int, str, str, int, int], settings: GatewaySettings) -> Lane:
    stream, name, epoch, next_seq, stored_end = row
    last = connection.execute(
        "SELECT key, count, stored_end FROM block WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1",
        (key_of(stream, 0), key_of(stream + 1, 0)),
    ).fetchone()
    if last:
        next_seq, stored_end = max(next_seq, seq_of(last[0]) + last[1]), max(stored_end, last[2])
    head = head_of(connection, stream)
    first_seq = head.first_seq if head else next_seq
    marks = dict(connection.execute("SELECT uplink, seq FROM watermark WHERE stream = ?", (stream,)).fetchall())
    watermarks = {
        uplink.name: min(next_seq, marks.get(uplink.name, first_seq))
        for uplink in settings.uplinks
        if any(fnmatchcase(name, pattern) for pattern in uplink.streams)
    }
    # An uplink's place is fixed when it is first seen: a gap that comes later is then declared to it, restart or not.
    connection.executemany(
        "INSERT OR IGNORE INTO watermark VALUES (?, ?, ?)",
        [(uplink, stream, seq) for uplink, seq in watermarks.items()],
    )
    lane = Lane(
        id=stream,
        name=name,
        epoch=epoch,
        first_seq=first_seq,
        next_seq=next_seq,
        stored_start=head.stored_start if head else stored_end,
        stored_end=stored_end,
        first_received_at_us=head.received_at_us if head else None,
        watermarks=watermarks,
    )
    for uplink, first, count, reason in connection.execute(
        "SELECT uplink, first_seq, count, reason FROM gap WHERE stream = ?", (stream,)
    ):
        lane.gaps.add(Gap(first_seq=first, count=count, reason=reason), uplink)
    for counter, value in connection.execute("SELECT name, value FROM counter WHERE stream = ?", (name,)):
        lane.dropped[counter.removeprefix("dropped_")] = value
    return lane


def load_sessions(connection: sqlite3.Connection) -> dict[str, bytes]:
    """The broker's sessions."""
    return dict(connection.execute("SELECT client_id, snapshot FROM session").fetchall())
