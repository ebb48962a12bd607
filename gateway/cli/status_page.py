"""A gateway's status as a page for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.cli.words import duration, ended, saved, size
from gateway.words import count, counted

NEEDS = frozenset({"gateway", "verdict", "streams", "uplinks", "spool", "rates", "listeners"})
"""What a status must have to be a gateway's."""


def page(status: dict[str, Any]) -> RenderableType:
    """The whole page. Names and errors are written as they are: nothing in them is taken for markup."""
    return Group(
        _head(status),
        _verdict(status),
        _listeners(status),
        *([_local(status["broker"])] if "broker" in status else []),
        _streams(status),
        _uplinks(status),
        _spool(status["spool"]),
    )


def _head(status: dict[str, Any]) -> RenderableType:
    rates = status["rates"]
    return Text.assemble(
        (status["gateway"], "bold"),
        f"  Fieldgate {status['version']}, up {duration(status['uptime_s'])}",
        f"   in {count(rates['in_per_s'])}/s   out {count(rates['out_per_s'])}/s",
    )


_STYLES = {"ok": "green", "warning": "yellow", "critical": "red"}


def _verdict(status: dict[str, Any]) -> RenderableType:
    """The sentence that every page says, and beside it why uplinks are away."""
    verdict = status["verdict"]
    text = Text(verdict["sentence"], style="bold")
    for name, uplink in status["uplinks"].items():
        if uplink["state"] not in {"online", "paused"} and uplink["last_error"]:  # paused it is for no error's sake
            text.append(f"\nUplink {name} is {uplink['state'].replace('_', ' ')}: {ended(uplink['last_error'])}")
    return Panel(text, border_style=_STYLES.get(verdict["level"], "yellow"))


def titled(title: str, left: tuple[str, ...], right: tuple[str, ...] = (), last: tuple[str, ...] = ()) -> Table:
    """A table without lines: text columns, then number columns, then columns that may fold."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    for name in last:
        table.add_column(name, overflow="fold")
    return table


def _listeners(status: dict[str, Any]) -> RenderableType:
    table = titled("Listeners", ("name", "transport", "bind"), ("connections",), ("certificate until",))
    for item in status["listeners"]:
        until = (item.get("certificate_expires_at") or "–").partition("T")[0]
        transport = item.get("transport", "tcp")
        table.add_row(Text(item["name"]), Text(transport), Text(item["bind"]), count(item["connections"]), Text(until))
    return table


def _local(status: dict[str, Any]) -> RenderableType:
    columns = ("here", "away", "subscriptions", "waiting", "size", "retained", "refused", "dropped")
    table = titled("Local clients", (), columns)
    refused = sum(status["refused_connects"].values()) + sum(status["refused_publishes"].values())
    dropped = sum(status["dropped"].values())
    table.add_row(
        count(status["connected"]),
        count(status["absent"]),
        count(status["subscriptions"] + status["shared_subscriptions"]),
        count(status["queued_messages"]),
        size(status["queued_bytes"]),
        count(status["retained_messages"]),
        count(refused),
        Text(count(dropped), style="yellow" if dropped else ""),
    )
    return table


def _streams(status: dict[str, Any]) -> RenderableType:
    table = titled("Streams", ("name",), ("waiting", "size", "oldest", "accepted", "dropped"))
    for name, item in status["streams"].items():
        dropped = sum(item["dropped"].values())
        table.add_row(
            Text(name),
            count(item["records"]),
            size(item["bytes"]),
            "–" if item["oldest_age_s"] is None else duration(item["oldest_age_s"]),
            count(item["accepted"]),
            Text(count(dropped), style="yellow" if dropped else ""),
        )
    return table


def _uplinks(status: dict[str, Any]) -> RenderableType:
    columns = ("records", "frames", "in flight", "on the wire", "saved", "retries", "dead letters")
    table = titled("Uplinks", ("name", "state"), columns)
    for name, item in status["uplinks"].items():
        online = item["state"] == "online"
        table.add_row(
            Text(name),
            Text(item["state"].replace("_", " "), style="green" if online else "yellow"),
            count(item["records"]),
            count(item["frames"]),
            count(item["in_flight"]),
            size(item["wire_bytes"]),
            saved(item["raw_bytes"], item["wire_bytes"]),
            count(item["retries"]),
            count(item["dead_letters"]),
        )
    # A column would fold them into pieces on a narrow terminal. Of those that are away the verdict says it.
    errors = [
        Text(ended(f"The last error of {name}: {item['last_error']}"))
        for name, item in status["uplinks"].items()
        if item["last_error"] and item["state"] == "online"
    ]
    return Group(table, *errors)


def _spool(spool: dict[str, Any]) -> RenderableType:
    limit = max(spool["limit_bytes"], 1)
    table = Table(title="Spool", title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column(width=30)
    table.add_column()
    table.add_row(
        ProgressBar(total=limit, completed=min(spool["size_bytes"], limit), width=30),
        f"{size(spool['size_bytes'])} of {size(limit)}, {counted(spool['commits'], 'commit')}",
    )
    return table
