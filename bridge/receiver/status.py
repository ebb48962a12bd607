"""The receiver's state as one JSON-ready mapping: what `/api/v1/status` answers and what the metrics are made of.

Lists of ranges are cut at MAX_RANGES a lane, newest first kept; the counts beside them are always whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.json_lines import rfc3339
from bridge.ports import Clock
from bridge.receiver.held import Held
from bridge.receiver.ledger import Lane, LaneKey
from bridge.receiver.receiver import Receiver
from bridge.receiver.settler import Settler
from bridge.receiver.state import SET_ASIDE
from bridge.receiver.writer import SinkWriter

MAX_RANGES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """Reads the status off the parts of a receiver; everything from memory."""

    version: str
    receiver_id: str
    url: str
    started_s: float
    clock: Clock
    receiver: Receiver
    settler: Settler
    held: Held
    writers: Sequence[SinkWriter]

    def problems(self) -> list[str]:
        """Why the receiver is not receiving, as sentences; nothing when it is."""
        found = []
        if self.receiver.link.state != "online":
            why = self.receiver.link.last_error or "not connected yet."
            found.append(f"The link to {self.url} is {self.receiver.link.state}: {why}")
        return found + [
            f"The sink {writer.sink.name} is {writer.state}: {writer.last_error or 'not opened yet.'}"
            for writer in self.writers
            if writer.state != "ready"
        ]

    def sentence(self) -> str:
        """How it stands, in one line, for a service manager."""
        return " ".join(self.problems()) or f"Connected to {self.url}; every sink is ready."

    def status(self) -> dict[str, Any]:
        """Everything, as the API answers it."""
        tally = self.settler.tally
        lanes = sorted(self.settler.ledger)
        by_reason = {name.removeprefix(SET_ASIDE): n for name, n in tally.items() if name.startswith(SET_ASIDE)}
        gaps = [found for key, lane in lanes if (found := _gaps(key, lane))]
        holes = [found for key, lane in lanes if (found := self._holes(key, lane))]
        return {
            "version": self.version,
            "receiver": self.receiver_id,
            "uptime_s": round(self.clock.monotonic_s() - self.started_s, 3),
            "link": self._link(),
            "frames": tally["frames"],
            "records": tally["records"],
            "duplicates": tally["duplicates"],
            "wire_bytes": tally["wire_bytes"],
            "missing": sum(item["records"] for item in holes),
            "dropped": sum(item["records"] for item in gaps),
            "waiting": {"frames": self.receiver.waiting_frames, "bytes": self.receiver.waiting_bytes},
            "set_aside": {"count": sum(by_reason.values()), "by_reason": by_reason},
            "epoch_changes": self.settler.epoch_changes,
            "gaps": gaps,
            "holes": holes,
            "streams": [self._lane(key, lane) for key, lane in lanes],
            "gateways": self._gateways(),
            "sinks": [self._sink(writer) for writer in self.writers],
        }

    def _link(self) -> dict[str, Any]:
        link = self.receiver.link
        return {
            "url": self.url,
            "state": link.state,
            "since": rfc3339(link.since_us),
            "connections": link.connections,
            "sessions_lost": link.sessions_lost,
            "dropped": link.dropped,
            "last_error": link.last_error,
        }

    def _lane(self, key: LaneKey, lane: Lane) -> dict[str, Any]:
        current = self.settler.current.get(key[:2])
        return {
            **key._asdict(),
            "current": None if current is None else current == key.epoch,
            "records": lane.arrived.count(),
            "next_seq": lane.next_seq,
            "duplicates": lane.duplicates,
        }

    def _gateways(self) -> dict[str, Any]:
        return {
            name: {
                "frames": news.frames,
                "records": news.records,
                "last_frame_at": rfc3339(news.last_frame_at_us),
                "last_sent_at": rfc3339(news.last_sent_at_us),
            }
            for name, news in sorted(self.settler.gateways.items())
        }

    def _sink(self, writer: SinkWriter) -> dict[str, Any]:
        waiting = self.held.since(writer.position)
        lag_s = (self.clock.now_us() - waiting[0].received_at_us) / 1e6 if waiting else 0.0
        last = writer.last_write_at_us
        return {
            "name": writer.sink.name,
            "state": writer.state,
            "records": writer.records,
            "writes": writer.writes,
            "lag_frames": len(waiting),
            "lag_records": sum(item.records for item in waiting),
            "lag_s": round(max(0.0, lag_s), 3),
            "errors": writer.errors,
            "refused": writer.refused,
            "last_error": writer.last_error,
            "last_write_at": None if last is None else rfc3339(last),
        }

    def _holes(self, key: LaneKey, lane: Lane) -> dict[str, Any] | None:
        """The lane's holes, without what a sink has: a state that was lost does not make records missing."""
        holes = lane.holes()
        for writer in self.writers:
            if holes and (known := writer.lane(key)) is not None:
                holes = [part for start, stop in holes for part in known.arrived.missing(start, stop)]
        if not holes:
            return None
        return {
            **key._asdict(),
            "records": sum(stop - start for start, stop in holes),
            "ranges": [{"first_seq": start, "count": stop - start} for start, stop in holes[-MAX_RANGES:]],
        }


def _gaps(key: LaneKey, lane: Lane) -> dict[str, Any] | None:
    if not lane.gaps:
        return None
    reasons = {reason: known.count() for reason, known in lane.gaps.items()}
    ranges = sorted((start, stop - start, reason) for reason, known in lane.gaps.items() for start, stop in known)
    return {
        **key._asdict(),
        "records": sum(reasons.values()),
        "reasons": reasons,
        "ranges": [{"first_seq": at, "count": n, "reason": reason} for at, n, reason in ranges[-MAX_RANGES:]],
    }
