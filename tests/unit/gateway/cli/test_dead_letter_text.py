"""The table of dead letters."""

from __future__ import annotations

import io

from rich.console import Console

from gateway.cli.dead_letter_text import table


def test_a_narrow_window_still_shows_when_a_letter_died() -> None:
    letter = {
        "id": 1,
        "count": 1,
        "size_bytes": 40_000,
        "at": "2026-11-22T22:54:34.431Z",
        "stream": "telemetry",
        "uplink": "cloud",
        "reason": "too_large",
        "topics": ["plant/camera/frame"],
    }
    out = io.StringIO()
    Console(file=out, width=80).print(table([letter]))
    assert "2026-11-22 22:54Z" in out.getvalue()
    assert "too_large" in out.getvalue()
