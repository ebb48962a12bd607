"""Dead letters as lines for a person. Pure."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.shown import shown
from gateway.cli.words import size
from gateway.words import count


def table(letters: list[dict[str, Any]]) -> RenderableType:
    """One line a letter, newest first."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "records", "size"):
        made.add_column(name, justify="right")
    made.add_column("when", no_wrap=True, min_width=17)  # a narrow window left the date alone
    for name in ("stream", "uplink"):
        made.add_column(name)
    made.add_column("reason", no_wrap=True)
    made.add_column("topics", overflow="fold")
    for letter in letters:
        made.add_row(
            str(letter["id"]),
            count(letter["count"]),
            size(letter["size_bytes"]),
            Text(shown(f"{str(letter['at'])[:16].replace('T', ' ')}Z")),
            Text(shown(str(letter["stream"]))),
            Text(shown(str(letter["uplink"] or "–"))),
            Text(shown(str(letter["reason"]))),
            Text(shown(", ".join(map(str, letter["topics"])))),
        )
    return made


def head(letter: dict[str, Any]) -> list[str]:
    """What is to be said of one letter above its records."""
    records = "1 record" if letter["count"] == 1 else f"{count(letter['count'])} records"
    return [
        shown(f"Dead letter {letter['id']} of stream {letter['stream']}, uplink {letter['uplink'] or '–'}"),
        shown(f"  {records} from number {letter['first_seq']} on, {size(letter['size_bytes'])}, since {letter['at']}"),
        shown(f"  {letter['reason']}: {letter['explanation']}"),
    ]


def described(ids: list[int], wanted: dict[str, str]) -> str:
    """Which letters are meant, for the question before something is done."""
    if ids:
        return f"dead letter {ids[0]}" if len(ids) == 1 else f"{count(len(ids))} dead letters"
    narrowed = ", ".join(f"{name} {value}" for name, value in wanted.items())
    return f"all dead letters of {narrowed}" if narrowed else "all dead letters"
