"""The live view, from bodies to text."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.top_page import View, page, plain

OVERVIEW: dict[str, Any] = {
    "verdict": {"level": "ok", "word": "Safe", "sentence": "Safe: 12 records kept."},
    "in": {"per_s": 12.0, "records": 34567},
    "queued": {"records": 12, "bytes": 2048, "oldest_age_s": 240.0, "full_in_s": None, "drained_in_s": 180.0},
    "uplinks": [
        {
            "name": "cloud",
            "url": "mqtt://x",
            "state": "online",
            "since": "2026-01-01T00:00:00Z",
            "reason": None,
            "next_try_in_s": None,
            "delivered": 500,
            "per_s": 3.0,
        }
    ],
    "saved": {"raw_bytes": 1000, "wire_bytes": 100, "ratio": 10.0},
    "dead_letters": 0,
    "dropped": {},
    "devices": {"connected": 3, "absent": 1},
    "events": [],
    "at": "2026-01-01T00:00:00Z",
}
STREAMS: dict[str, Any] = {
    "streams": [
        {
            "name": "telemetry",
            "records": 12,
            "bytes": 2048,
            "oldest_age_s": None,
            "in_per_s": 12.0,
            "out_per_s": 3.0,
            "dropped": {"full": 7},
        }
    ],
    "uplinks": [{"name": "cloud", "in_flight_total": 2, "retries": 1}],
}
DEVICES: dict[str, Any] = {
    "devices": [
        {
            "client": "press",
            "is_connected": True,
            "per_s": 2.0,
            "published": 10,
            "queued": 0,
            "refused": 1,
            "last_topic": "plant/1",
        }
    ]
}


def drawn(view: View, columns: int = 120) -> str:
    console = Console(width=columns, height=50, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(page(view, columns=columns, note="q ends"))
    return capture.get().replace("\u202f", " ")


def view(**changes: Any) -> View:
    return View(overview={**copy.deepcopy(OVERVIEW), **changes}, streams=STREAMS, devices=DEVICES)


def test_the_page_has_verdict_tiles_uplinks_streams_and_devices() -> None:
    text = drawn(view())
    for part in ("Safe: 12 records kept.", "12/s", "34 567 records", "2.0 KiB, oldest 4 m", "drained in 3 m"):
        assert part in text
    for part in ("10.0 times smaller", "3 here", "cloud", "online", "telemetry", "press", "plant/1", "q ends"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"queued": {**OVERVIEW["queued"], "full_in_s": 60.0}}, "full in 1 m"),
        ({"saved": {"raw_bytes": 0, "wire_bytes": 0, "ratio": None}}, "0 B"),
        ({"saved": {"raw_bytes": 10, "wire_bytes": 90, "ratio": 0.11}}, "more than plain MQTT"),
        ({"dropped": {"full": 3}, "dead_letters": 2}, "2 dead letters, 3 dropped"),
        ({"dropped": {}, "dead_letters": 1}, "1 dead letter, 0 dropped"),
        ({"queued": {**OVERVIEW["queued"], "records": 1}}, "1 record "),
        (
            {"uplinks": [{**OVERVIEW["uplinks"][0], "state": "backing_off", "next_try_in_s": 5.0, "reason": "away"}]},
            "backing off, again in 5.0 s",
        ),
        ({"events": [{"at": "2026-01-01T00:00:00Z", "text": "It started.", "severity": "info"}]}, "It started."),
        ({"uplinks": []}, "Uplinks"),
    ],
)
def test_what_is_the_matter_is_seen(changes: dict[str, Any], part: str) -> None:
    assert part in drawn(view(**changes))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_devices_say_is_neither_markup_nor_an_escape(columns: int) -> None:
    devices = copy.deepcopy(DEVICES)
    devices["devices"][0] |= {"client": "[red]x\x1b[2J", "last_topic": "a\nb\u202e" * 50}
    hostile = View(overview=OVERVIEW, streams=STREAMS, devices=devices)
    text = drawn(hostile, columns)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(len(line) <= columns for line in text.splitlines())
    if columns > 40:
        assert r"[red]x\x1b[2J" in text


def test_a_verdict_is_not_shown_as_one_while_nobody_answers() -> None:
    console = Console(width=80, height=24, color_system=None, force_terminal=False)
    trouble = "Nothing answers at http://127.0.0.1:8080 (\x1b[2J). Trying again."
    with console.capture() as capture:
        console.print(page(view(), columns=80, note="q ends", trouble=trouble))
    first = "\n".join(capture.get().splitlines()[:4])
    assert "Unknown" in first
    assert "Nothing answers at" in first
    assert "q ends" in first
    assert "Safe" not in capture.get()
    assert "\x1b" not in capture.get()


def test_a_line_says_the_same_in_short() -> None:
    line = plain(view()).replace("\u202f", " ")
    assert line.endswith("Safe  in 12/s  queued 12 (2.0 KiB)  cloud online  devices 3")
    assert "no uplink" in plain(view(uplinks=[]))
