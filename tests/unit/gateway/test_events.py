"""What happened, newest last."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import CAPACITIES, MAX_TEXT, Events, Kind, Severity


class Rows:
    """Stands for the table."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}

    def keep(self, key: int, body: bytes) -> None:
        self.rows[key] = body

    def discard(self, key: int) -> None:
        self.rows.pop(key, None)

    def events(self) -> Events:
        events = Events(keep=self.keep, discard=self.discard)
        events.load(list(self.rows.items()))
        return events


@pytest.fixture
def rows() -> Rows:
    return Rows()


def texts(events: Events, limit: int = 100, **wanted: object) -> list[str]:
    return [event.text for event in events.newest(limit, **wanted)]  # type: ignore[arg-type]


def test_all_kinds_together_are_two_thousand() -> None:
    assert sum(CAPACITIES.values()) == 2000


def test_the_newest_come_first_across_kinds(rows: Rows) -> None:
    events = rows.events()
    for number, kind in enumerate([Kind.UPLINK, Kind.AUDIT, Kind.UPLINK, Kind.SPOOL]):
        events.add(number, kind, Severity.INFO, str(number))
    assert texts(events) == ["3", "2", "1", "0"]
    assert texts(events, 2) == ["3", "2"]
    assert texts(events, kinds=(Kind.UPLINK,)) == ["2", "0"]
    assert texts(events, before=3) == ["1", "0"]
    assert events.newest_id == 4


def test_they_are_found_by_severity(rows: Rows) -> None:
    events = rows.events()
    events.add(1, Kind.SPOOL, Severity.ERROR, "bad")
    events.add(2, Kind.SPOOL, Severity.INFO, "good")
    assert texts(events, severities=(Severity.ERROR,)) == ["bad"]


def test_a_flood_of_one_kind_pushes_out_no_other(rows: Rows) -> None:
    events = rows.events()
    events.add(1, Kind.AUDIT, Severity.INFO, "anna paused the uplink")
    for number in range(5000):
        events.add(2, Kind.DEVICE, Severity.WARNING, f"flood {number}")
    assert len(events) == CAPACITIES[Kind.DEVICE] + 1
    assert len(rows.rows) == len(events)
    assert texts(events, kinds=(Kind.AUDIT,)) == ["anna paused the uplink"]


def test_a_restart_loses_none_and_numbers_go_on(rows: Rows) -> None:
    first = rows.events()
    first.add(5, Kind.UPLINK, Severity.WARNING, "away", subject="cloud", state="backing_off", user="anna")
    again = rows.events()
    assert again.newest(1) == first.newest(1)
    assert again.add(6, Kind.UPLINK, Severity.INFO, "back").id == 2


def test_a_clock_that_is_set_back_does_not_change_their_order(rows: Rows) -> None:
    events = rows.events()
    events.add(1_000_000, Kind.GATEWAY, Severity.INFO, "before")
    events.add(-5, Kind.GATEWAY, Severity.INFO, "after")
    assert texts(events) == ["after", "before"]
    assert events.newest(1)[0].at_us == 0


def test_rows_that_cannot_be_read_are_discarded(rows: Rows) -> None:
    rows.events().add(5, Kind.UPLINK, Severity.WARNING, "away")
    good = dict(rows.rows)
    rows.rows |= {
        7: b"\xc1",
        8: msgpack.packb([1, "uplink"]),
        9: msgpack.packb([1, "no such kind", "info", "x", None, None, None]),
        10: msgpack.packb(["x", "uplink", "info", "x", None, None, None]),
    }
    assert texts(rows.events()) == ["away"]
    assert rows.rows == good


@given(st.text(max_size=2000), st.none() | st.text(max_size=300))
def test_what_a_stranger_said_is_one_bounded_line(text: str, subject: str | None) -> None:
    rows = Rows()
    event = rows.events().add(1, Kind.DEVICE, Severity.INFO, text, subject=subject)
    for part in (event.text, event.subject or ""):
        assert len(part) <= MAX_TEXT
        assert len(part.splitlines()) <= 1
        assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in part)
        part.encode()
    assert rows.events().newest(1) == [event]
