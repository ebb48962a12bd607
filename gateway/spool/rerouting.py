"""Streams and uplinks that come and go while the spool is at work.

A stream that is new gets its row at once. Which uplinks a lane waits for changes between two commits, on the event
loop: while a commit is written, it may release blocks that a new uplink would still have to see. A new uplink begins
with the oldest record that is kept; one that was taken out holds nothing back any more.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from config.settings import GatewaySettings
from gateway.spool.committer import Committer
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.spool.lane import Lane
from gateway.spool.loading import forget_others, load_lanes

log = logging.getLogger(__name__)


def new_lanes(settings: GatewaySettings, known: Iterable[str]) -> Callable[[sqlite3.Connection], list[Lane]]:
    """A job that makes the rows and lanes of streams that have none yet."""
    names = set(known)

    def job(connection: sqlite3.Connection) -> list[Lane]:
        return [lane for lane in load_lanes(connection, settings, without=names) if lane.name not in names]

    return job


async def reroute(settings: GatewaySettings, lanes: Iterable[Lane], committer: Committer) -> None:
    """Have every lane wait for the uplinks that carry it by the settings, whose tasks do not run yet."""
    lanes = list(lanes)
    await committer.between_commits(lambda: _follow(settings, lanes, committer))

    def forget(connection: sqlite3.Connection) -> None:
        for lane in lanes:
            forget_others(connection, lane.id, carriers(settings, lane.name))

    try:
        await committer.do(forget)
    except (SpoolFull, SpoolBusy) as error:  # the next start forgets them, too
        log.warning("%s What is known of uplinks that were taken out stays there until the next start.", error)


def _follow(settings: GatewaySettings, lanes: Iterable[Lane], committer: Committer) -> None:
    for lane in lanes:
        wanted = carriers(settings, lane.name)
        for uplink in [one for one in lane.watermarks if one not in wanted]:
            committer.progress.forget_uplink(lane, uplink)
        for uplink in wanted:
            lane.watermarks.setdefault(uplink, lane.first_seq)
        committer.progress.note_carriers(lane)


def carriers(settings: GatewaySettings, stream: str) -> list[str]:
    """The uplinks that carry a stream, which may be an old one that the settings do not name."""
    return [uplink.name for uplink in settings.uplinks if any(fnmatchcase(stream, each) for each in uplink.streams)]
