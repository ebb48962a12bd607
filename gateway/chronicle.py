"""The gateway's memory of itself: what happened, how much flowed, in which state the uplinks were.

Kept in the spool, in rows that nobody waits for, so that a restart loses none of it and a process that is killed loses
half a minute. `feed` is called about once a second and looks at a few numbers; what needs more is told by those who
know it (`Uplink.on_state`, the audit log, the configuration).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bridge.ports import Clock
from bridge.uplink import Uplink
from bridge.uplink_status import UplinkState
from bridge.version import VERSION
from bridge.web.audit import Audit
from config.report import Report
from gateway.broker.broker import Broker
from gateway.episodes import Admission, Bursts, Episodes, Floods
from gateway.events import Events, Kind, Severity
from gateway.history import History
from gateway.overview import Overview
from gateway.segments import Segments
from gateway.spool.ports import Table
from gateway.spool.spool import Spool
from gateway.words import count, counted

FEED_EVERY_S: Final = 1.0
MANY_GONE: Final = 100
SET_S: Final = 2.0
"""Wall clock and steady clock differ by so much more or less than a moment ago: the wall clock was set."""

_DROPPED: Final = {
    "full": "for want of room, the oldest first",
    "expired": "after their time-to-live",
    "corrupt": "because they are damaged on disk",
    "dead_letter": "into the dead letters",
    "discarded_dead_letter": "from the dead letters, for want of room",
    "discarded_by_operator": "from the dead letters, by an operator",
}
_SEVERITIES: Final = {"expired": Severity.INFO, "dead_letter": Severity.WARNING, "discarded_by_operator": Severity.INFO}


class Chronicle:
    """Owns history, segments and events of one gateway. `start` once, `feed` often, `close` once."""

    def __init__(
        self,
        *,
        spool: Spool,
        broker: Broker,
        uplinks: Mapping[str, Uplink],
        overview: Overview,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._broker = broker
        self._uplinks = uplinks
        self._overview = overview
        self._clock = clock
        self.history = History(keep=self._keeper(Table.HISTORY), discard=self._discarder(Table.HISTORY))
        self.segments = Segments(keep=self._keeper(Table.HISTORY), discard=self._discarder(Table.HISTORY))
        self.events = Events(keep=self._keeper(Table.EVENT), discard=self._discarder(Table.EVENT))
        overview.began_s = self.segments.began_s
        self._drops = Episodes()
        self._refused_connects = Bursts()
        self._flaps = Floods()
        self._was_refusing = False
        self._dead_letters: int | None = None
        self._watched: dict[str, Uplink] = {}
        self._last_feed_s = float("-inf")
        self._ahead_s = clock.now_us() / 1e6 - clock.monotonic_s()
        """By how much the wall clock was ahead of the steady one."""
        self._is_open = False
        self._gone: set[tuple[Table, int]] = set()
        """Rows to be taken away. Those of a process that is killed before are taken away by the next one."""

    def _keeper(self, table: Table) -> Callable[[int, bytes], None]:
        def keep(key: int, body: bytes) -> None:
            self._gone.discard((table, key))
            self._spool.keep_lazily(table, key, body)

        return keep

    def _discarder(self, table: Table) -> Callable[[int], None]:
        return lambda key: self._gone.add((table, key))

    def _take_away(self) -> None:
        """Many at a time: each by itself would wake the disk once a minute for nothing."""
        gone, self._gone = self._gone, set()
        for table, key in gone:
            self._spool.discard(table, key)

    def start(self) -> None:
        """Take up what an earlier process has kept, and watch from now on."""
        rows = [(int(key), body) for key, body in self._spool.load(Table.HISTORY)]
        self.history.load(row for row in rows if not Segments.owns(row[0]))
        self.segments.load((row for row in rows if Segments.owns(row[0])), ended_s=self.history.measured_until_s)
        self.events.load((int(key), body) for key, body in self._spool.load(Table.EVENT))
        self._is_open = True
        self.add(Kind.GATEWAY, Severity.INFO, f"Fieldgate {VERSION} has started.", state="started")
        salvage = self._spool.salvage
        if salvage is not None:
            self.add(
                Kind.SPOOL,
                Severity.ERROR,
                f"The database was damaged and was set aside as {salvage.set_aside}; "
                f"{counted(salvage.records, 'record')} could be saved from it.",
                state="recovered",
            )
        for name, lane in self._spool.lanes.items():
            for reason, total in lane.dropped.items():
                self._drops.begin((name, reason), total)
        self.feed()

    def add(
        self,
        kind: Kind,
        severity: Severity,
        text: str,
        *,
        subject: str | None = None,
        state: str | None = None,
        user: str | None = None,
    ) -> None:
        """Something happened now."""
        self.events.add(self._clock.now_us(), kind, severity, text, subject=subject, state=state, user=user)

    def audit(self, entry: Audit) -> None:
        """Somebody did something, or tried to."""
        who = entry.user or "A stranger"
        what = f"{entry.action} {entry.target}".strip()
        if entry.outcome == "done":
            text, severity = f"{who}: {what}.", Severity.INFO
        else:
            text, severity = f"{who}: {what}: {entry.outcome}. {entry.why}".strip(), Severity.WARNING
        self.add(Kind.AUDIT, severity, text, subject=entry.target or None, state=entry.outcome, user=entry.user)

    def reloaded(self, report: Report, by: str) -> None:
        """The configuration was changed, or a change was refused (`Configuration.on_report`)."""
        text = " ".join([report.message, *(str(problem) for problem in report.problems[:3])])
        severity = Severity.INFO if report.is_valid else Severity.ERROR
        state = "reloaded" if report.is_valid else "refused"
        self.add(Kind.CONFIGURATION, severity, text, state=state, user=None if by in {"", "SIGHUP"} else by)

    def feed(self) -> None:
        """Look at what has changed; does nothing when it was called a moment ago."""
        now_s = self._clock.monotonic_s()
        if now_s - self._last_feed_s < FEED_EVERY_S / 2:
            return
        self._last_feed_s = now_s
        self._watch_uplinks()
        self.history.feed(self._now_s(), now_s, self._overview.totals())
        self._look_at_drops(now_s)
        self._look_at_room()
        self._look_at_dead_letters()
        self._look_at_devices(now_s)
        if len(self._gone) >= MANY_GONE:
            self._take_away()

    def close(self) -> None:
        """The gateway stops: everything that is not over ends here. Before the spool's last flush; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        self.add(Kind.GATEWAY, Severity.INFO, "The gateway stops in good order.", state="stopped")
        self.segments.close(self._now_s())
        self.history.close()
        self._take_away()

    def _now_s(self) -> float:
        """The time by the wall clock. A box without a battery starts in 1970: its outage must not last for decades when
        the clock is right."""
        now_s = self._clock.now_us() / 1e6
        ahead_s = now_s - self._clock.monotonic_s()
        before_s, self._ahead_s = self._ahead_s, ahead_s
        if abs(ahead_s - before_s) >= SET_S:
            self.segments.clock_was_set(ahead_s - before_s)
        return now_s

    def _watch_uplinks(self) -> None:
        """Uplinks come and go with the configuration."""
        for name, uplink in self._uplinks.items():
            if self._watched.get(name) is not uplink:
                self._watched[name] = uplink
                uplink.on_state = self._listener(name)
                self.segments.enter(self._now_s(), name, uplink.status.state, uplink.status.last_error)
        for name in self._watched.keys() - self._uplinks.keys():
            del self._watched[name]

    def _listener(self, name: str) -> Callable[[UplinkState, str | None], None]:
        return lambda state, reason: self._uplink_is(name, state, reason)

    def _uplink_is(self, name: str, state: UplinkState, reason: str | None) -> None:
        before = self.segments.state(name)
        self.segments.enter(self._now_s(), name, state.value, reason)
        after = self.segments.state(name)
        if before == after:
            return
        uplink = self._uplinks.get(name)
        match state:
            case UplinkState.ONLINE:
                severity, text = Severity.INFO, f"Uplink {name} is connected."
            case UplinkState.PAUSED:
                who = None if uplink is None else uplink.paused_by
                severity, text = Severity.WARNING, f"Uplink {name} is paused{f' by {who}' if who else ''}."
            case UplinkState.BACKING_OFF:
                severity, text = Severity.WARNING, f"Uplink {name} has no connection: {reason or 'it was lost'}"
            case UplinkState.STOPPED:
                severity, text = Severity.INFO, f"Uplink {name} has stopped."
            case _:
                return  # to try is not worth a line; how it ends is
        admission = self._flaps.admit(self._clock.monotonic_s(), name)
        if admission is Admission.LAST:
            text = f"Uplink {name} comes and goes; this is not told of any more for a while."
            self.add(Kind.UPLINK, Severity.WARNING, text, subject=name, state=state.value)
        elif admission is Admission.TELL:
            self.add(Kind.UPLINK, severity, text, subject=name, state=state.value)

    def _look_at_drops(self, now_s: float) -> None:
        for name, lane in self._spool.lanes.items():
            for reason, total in lane.dropped.items():
                episode = self._drops.feed(now_s, (name, reason), total)
                if episode is None:
                    continue
                why = _DROPPED.get(reason, f"({reason.replace('_', ' ')})")
                severity = _SEVERITIES.get(reason, Severity.ERROR)
                if episode.is_over:
                    text = f"Stream {name}: no more records are dropped {why}; {count(episode.number)} were."
                    severity = Severity.INFO
                else:
                    text = f"Stream {name}: records are dropped {why}; {count(episode.number)} so far."
                state = "ended" if episode.is_over else "dropping"
                self.add(Kind.SPOOL, severity, text, subject=name, state=state)

    def _look_at_room(self) -> None:
        is_refusing = self._spool.is_refusing
        if is_refusing == self._was_refusing:
            return
        self._was_refusing = is_refusing
        if is_refusing:
            text = "The spool is full and refuses new records; devices keep them."
            self.add(Kind.SPOOL, Severity.ERROR, text, state="refusing")
        else:
            self.add(Kind.SPOOL, Severity.INFO, "The spool has room again and takes new records.", state="room")

    def _look_at_dead_letters(self) -> None:
        letters = self._spool.dead_letters.letters
        before, self._dead_letters = self._dead_letters, letters
        if before is not None and letters > before:
            what = counted(letters - before, "dead letter")
            text = f"{what} more: what could not be delivered is kept, and waits for a decision."
            self.add(Kind.SPOOL, Severity.WARNING, text, state="dead_letter")

    def _look_at_devices(self, now_s: float) -> None:
        for reason, number in self._broker.counters.refused_connects.items():
            more = self._refused_connects.feed(now_s, reason, number)
            if more:
                were = "was" if more == 1 else "were"
                text = f"{counted(more, 'client')} {were} not let in: {reason.replace('_', ' ')}."
                self.add(Kind.DEVICE, Severity.WARNING, text, state="refused")
