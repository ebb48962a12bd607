"""What devices sent, on a terminal."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.exporting import progress_text
from gateway.cli.record_text import Payload, clock, line, payload_of, payload_text
from gateway.cli.shown import cut, one_line, shown, width


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("ü €", "ü €"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\r\nb", r"a\r\nb"),
        ("left\u202eright", r"left\u202eright"),
        ("\ud800", r"\ud800"),
        ("1\u202f000", "1\u202f000"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_nothing_that_a_terminal_obeys_gets_through(text: str, seen: str) -> None:
    assert shown(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"a":1}', '{"a":1}'),
        ('{\n  "a": 1.50,\n  "b": "x\\n  y"\n}', '{"a": 1.50,"b": "x\\n  y"}'),
        ("{\nno json\n}", r"{\nno json\n}"),
        ("[1,\n2]", "[1,2]"),
        ("two\nlines", r"two\nlines"),
        ("{" * 5000 + "\n", "{" * 5000 + r"\n"),
    ],
)
def test_json_comes_on_one_line_as_it_was_written(text: str, seen: str) -> None:
    assert one_line(text) == seen


@given(st.text())
def test_whatever_it_is_it_is_one_printable_line(text: str) -> None:
    for made in (shown(text), one_line(text), cut(shown(text), 10)):
        assert "\x1b" not in made
        assert len(made.splitlines()) <= 1
    assert width(cut(shown(text), 10)) <= 10


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "(empty)"),
        (b"21.5", "21.5"),
        (b"\xff\x00", "hex:ff 00"),
        (b"\xff" * 65, "base64:" + "/" * 86 + "8="),
    ],
)
def test_a_payload_is_text_or_its_bytes(data: bytes, seen: str) -> None:
    assert payload_text(payload_of(data)) == seen


def test_a_payload_that_was_cut_says_so() -> None:
    assert payload_text({"text": "abc", "size_bytes": 2048, "is_truncated": True}) == "abc… (2.0 KiB in all)"
    assert payload_text({"base64": "!"}) == "(unreadable)"


RECORD: dict[str, Any] = {
    "at": "2026-01-02T03:04:05.678Z",
    "client": "press\x1b",
    "topic": "plant/1",
    "qos": 1,
    "retain": True,
    "payload": {"text": "0123456789" * 20, "size_bytes": 200, "is_truncated": False},
}


@pytest.mark.parametrize(
    ("mode", "end"),
    [
        (Payload.FULL, "0123456789" * 20),
        (Payload.SHORT, "0123456789" * 3 + "01…"),
        (Payload.NONE, "200 B"),
    ],
)
def test_a_line_has_time_client_topic_flags_and_payload(mode: Payload, end: str) -> None:
    text = line(RECORD, mode, columns=80, zone=UTC)
    assert text == rf"03:04:05.678  press\x1b  plant/1  q1 retained  {end}"


@pytest.mark.parametrize(
    ("at", "seen"), [("2026-01-02T03:04:05Z", "03:04:05.000"), (None, "--:--:--"), ("soon", "--:--:--")]
)
def test_a_time_that_is_none_does_not_matter(at: object, seen: str) -> None:
    assert clock(at, UTC) == seen


@pytest.mark.parametrize(
    ("written", "total", "seen"),
    [
        (0, 0, "0 records, 2.0 KiB"),
        (5, None, "5 records, 2.0 KiB"),
        (5, 10, "[##########          ]  50 %  5 of 10 records, 2.0 KiB"),
        (12, 10, "[####################] 100 %  12 of 10 records, 2.0 KiB"),
    ],
)
def test_progress_is_a_bar_where_the_end_is_known(written: int, total: int | None, seen: str) -> None:
    assert progress_text(written, 2048, total, "record") == seen
