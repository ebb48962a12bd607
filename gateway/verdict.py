"""Is the data safe, and when does it arrive? One level, one word and one line, made from figures. Pure.

The first thing that anybody sees, so the worst comes first: data that is being lost, then data that is refused, then
what will become one of them, then what merely waits. A cloud that is away is normal weather: the data is safe, and the
line says how long there is room. What needs a decision but hurts nothing (dead letters, a database that was set aside)
stands at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gateway.figures import RECENT_S, Figures, UplinkFigures
from gateway.logs import escaped
from gateway.words import about, age, count, counted, roughly

Level = Literal["ok", "warning", "critical"]

SOON_S: Final = 3600.0
"""Full within this time is a warning."""
SETTLING_S: Final = 15.0
"""A connection that has been looked for so long is not an outage yet."""
MANY_HELD_S: Final = 60.0
"""With the cloud reachable for so long, records older than this that do not get fewer are a backlog that grows."""
MAX_SENTENCE: Final = 400

_LOST: Final = {
    "full": "dropped, the oldest first, for want of room",
    "expired": "dropped after their time-to-live",
    "corrupt": "found damaged on disk and dropped",
    "dead_letter": "set aside as dead letters",
    "discarded_dead_letter": "dropped from the dead letters for want of room",
    "discarded_by_operator": "discarded from the dead letters",
}
_BY_POLICY: Final = frozenset({"expired", "dead_letter", "discarded_by_operator"})
"""Not a loss by accident: the operator wrote the time-to-live, and dead letters are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`sentence` is one line and begins with the word."""

    level: Level
    word: str
    sentence: str


def verdict(figures: Figures) -> Verdict:
    """The verdict on those figures; there is one for any."""
    level, word, clauses = _main(figures)
    tail = list(_tail(figures))
    if tail and level == "ok":
        level, word = "warning", "Needs a look"
    line = f"{word}: {'; '.join([*clauses, *tail])}"
    # What an operator or the store wrote (names, errors) may hold anything.
    line = escaped(line).rstrip(". ")
    return Verdict(level=level, word=word, sentence=f"{_cut(line)}.")


def _main(figures: Figures) -> tuple[Level, str, list[str]]:
    if figures.failure is not None:
        return "critical", "Store failed", [
            figures.failure.rstrip(". ") or "the disk does not take anything",
            "nothing new is acknowledged, so devices keep what they have",
        ]  # fmt: skip
    lost = {reason: number for reason, number in figures.dropped.items() if number > 0 and reason not in _BY_POLICY}
    if lost:
        return "critical", "Losing data", [*_losses(lost), _kept(figures), *_roads(figures)]
    if figures.is_disk_full:
        return "critical", "Disk full", [
            "new messages are not acknowledged until there is room again", _kept(figures), *_roads(figures)
        ]  # fmt: skip
    if figures.is_refusing:
        return "critical", "Full", [
            "new messages are refused, and devices keep them", _kept(figures), *_roads(figures)
        ]  # fmt: skip
    if figures.full_in_s is not None and figures.full_in_s <= SOON_S and figures.records:
        return "warning", "Filling up", [_room(figures), _kept(figures), *_roads(figures)]
    return _without_need(figures)


def _without_need(figures: Figures) -> tuple[Level, str, list[str]]:
    """Nothing is lost, refused or about to be."""
    paused = [uplink for uplink in figures.uplinks if uplink.state == "paused"]
    away = [uplink for uplink in figures.uplinks if _is_away(uplink)]
    if paused:
        return "warning", "Paused", [*_roads(figures), _kept(figures), *_room_left(figures)]
    if away:
        return "warning", "Safe, waiting", [_kept(figures), *_roads(figures), *_room_left(figures)]
    if not figures.records:
        if not figures.had_records:
            return "ok", "Waiting for the first record", [*_roads(figures)] or ["nothing was published yet"]
        is_whole = not any(_tail(figures))  # a dead letter, too, was accepted
        return (
            "ok",
            "Safe",
            ["all that was accepted has been delivered" if is_whole else _kept(figures), *_roads(figures)],
        )
    if not figures.uplinks:
        return "ok", "Safe", [_kept(figures), "no uplink is configured, so they stay here", *_room_left(figures)]
    oldest_s = figures.oldest_age_s or 0.0
    if figures.drained_in_s is not None:
        return (
            "ok",
            "Safe",
            [_kept(figures), *_roads(figures), f"all delivered in {about(figures.drained_in_s)}"],
        )
    if figures.in_per_s > 0 and oldest_s > MANY_HELD_S and _is_settled(figures):
        return "warning", "Falling behind", [
            _kept(figures), *_roads(figures), "more comes in than goes out", *_room_left(figures)
        ]  # fmt: skip
    return "ok", "Safe", [_kept(figures), *_roads(figures)]


def _tail(figures: Figures) -> Iterator[str]:
    by_policy = {reason: number for reason, number in figures.dropped.items() if number > 0 and reason in _BY_POLICY}
    if figures.failure is None:
        yield from _losses(by_policy)
    if figures.dead_letters > 0:
        waits = "waits" if figures.dead_letters == 1 else "wait"
        yield f"{counted(figures.dead_letters, 'dead letter')} {waits} for a decision"
    if figures.set_aside is not None:
        yield f"a damaged database was set aside as {figures.set_aside}"


def _losses(lost: dict[str, int]) -> Iterator[str]:
    """Each reason, the one with most records first."""
    for place, (reason, number) in enumerate(sorted(lost.items(), key=lambda item: (-item[1], item[0]))):
        were = "was" if number == 1 else "were"
        how = _LOST.get(reason, f"dropped ({reason.replace('_', ' ')})")
        when = f" in the last {roughly(RECENT_S)}" if place == 0 else ""
        yield f"{counted(number, 'record')} {were} {how}{when}"


def _kept(figures: Figures) -> str:
    if figures.records <= 0:
        return "nothing waits for delivery"
    oldest = "" if figures.oldest_age_s is None else f", oldest {age(figures.oldest_age_s)}"
    return f"{counted(figures.records, 'record')} kept{oldest}"


def _room(figures: Figures) -> str:
    seconds = figures.full_in_s or 0.0
    then = "then new messages are refused" if figures.when_full == "reject" else "then the oldest records are dropped"
    return f"{'no room is left' if seconds < 1 else f'room for {about(seconds)}'} at the present rate, {then}"


def _room_left(figures: Figures) -> list[str]:
    if figures.full_in_s is None:
        return []
    return [f"room for {about(figures.full_in_s)} at the present rate"]


def _is_away(uplink: UplinkFigures) -> bool:
    if uplink.state in {"backing_off", "stopped"}:
        return True
    return uplink.state == "connecting" and uplink.for_s >= SETTLING_S


def _is_settled(figures: Figures) -> bool:
    """An uplink has been online for long enough that the rates say something."""
    return any(uplink.state == "online" and uplink.for_s >= MANY_HELD_S for uplink in figures.uplinks)


def _roads(figures: Figures) -> Iterator[str]:
    """Where the uplinks stand: one by its name, of several only those that are not online."""
    if len(figures.uplinks) == 1:
        yield _road(figures.uplinks[0])
        return
    others = [uplink for uplink in figures.uplinks if uplink.state != "online"]
    online = len(figures.uplinks) - len(others)
    if figures.uplinks:
        yield (
            "all uplinks are reachable"
            if not others
            else f"{count(online)} of {len(figures.uplinks)} uplinks reachable"
        )
    for uplink in others[:2]:
        yield _road(uplink)
    if len(others) > 2:
        yield f"and {count(len(others) - 2)} more"


def _road(uplink: UplinkFigures) -> str:
    name = "the cloud" if uplink.name == "cloud" else f"uplink {uplink.name}"
    match uplink.state:
        case "online":
            return f"{name} is reachable"
        case "paused":
            who = f" by {uplink.paused_by}" if uplink.paused_by else ""
            return f"{name} was paused{who} {roughly(uplink.for_s)} ago"
        case "connecting" if uplink.for_s < SETTLING_S:
            return f"connecting to {name}"
        case "stopped":
            return f"{name} is stopped"
        case _:
            return f"{name} has been unreachable for {roughly(uplink.for_s)}"


def _cut(line: str) -> str:
    return line if len(line) <= MAX_SENTENCE else f"{line[: MAX_SENTENCE - 1]}…"
