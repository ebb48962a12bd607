"""A receiver's status as a page for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.status_page import titled
from gateway.cli.words import duration, ended, size
from gateway.words import count

NEEDS = frozenset({"receiver", "link", "frames", "records", "duplicates", "missing", "dropped", "set_aside", "sinks"})
"""What a status must have to be a receiver's."""


def page(status: dict[str, Any]) -> RenderableType:
    """The whole page. Names and errors are written as they are: nothing in them is taken for markup."""
    head = Text.assemble(
        (status["receiver"], "bold"), f"  Fieldgate receiver {status['version']}, up {duration(status['uptime_s'])}"
    )
    return Group(head, _verdict(status), _counts(status), _streams(status), _sinks(status))


def troubles(status: dict[str, Any]) -> list[str]:
    """What an operator should look at, as sentences."""
    found = []
    link = status["link"]
    if link["state"] != "online":
        why = f": {link['last_error']}" if link["last_error"] else ""
        found.append(ended(f"The link to {link['url']} is {link['state'].replace('_', ' ')}{why}"))
    if status["missing"]:
        found.append(f"{count(status['missing'])} records are missing, and nobody declared them as dropped.")
    if status["dropped"]:
        found.append(f"{count(status['dropped'])} records were dropped at the edge by a policy, and declared.")
    if aside := status["set_aside"]["count"]:
        found.append(f"{count(aside)} frames or records were set aside with their reason.")
    found += [
        ended(f"Sink {sink['name']} is {sink['state']}: {sink['last_error']}")
        for sink in status["sinks"]
        if sink["last_error"] and sink["state"] != "ready"
    ]
    return found


def _verdict(status: dict[str, Any]) -> RenderableType:
    bad = troubles(status)
    text = Text(f"{count(status['records'])} records received, {count(status['missing'])} missing.", style="bold")
    for sentence in bad:
        text.append(f"\n{sentence}", style="yellow")
    return Panel(text, border_style="yellow" if bad else "green")


def _counts(status: dict[str, Any]) -> RenderableType:
    table = titled("Received", (), ("frames", "records", "duplicates dropped", "on the wire", "waiting frames"))
    table.add_row(
        count(status["frames"]),
        count(status["records"]),
        count(status["duplicates"]),
        size(status["wire_bytes"]),
        count(status["waiting"]["frames"]),
    )
    return table


def _streams(status: dict[str, Any]) -> Table:
    table = titled("Streams", ("gateway", "stream", "epoch"), ("records", "next", "duplicates"))
    for lane in status["streams"]:
        table.add_row(
            Text(lane["gateway"]),
            Text(lane["stream"]),
            Text(lane["epoch"]),
            count(lane["records"]),
            count(lane["next_seq"]),
            count(lane["duplicates"]),
        )
    return table


def _sinks(status: dict[str, Any]) -> Table:
    table = titled("Sinks", ("name", "state"), ("records", "behind", "lag", "errors"), ("last error",))
    for sink in status["sinks"]:
        table.add_row(
            Text(sink["name"]),
            Text(sink["state"], style="green" if sink["state"] == "ready" else "yellow"),
            count(sink["records"]),
            count(sink["lag_records"]),
            duration(sink["lag_s"]),
            count(sink["errors"]),
            Text(sink["last_error"] or "–"),
        )
    return table
