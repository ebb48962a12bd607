"""The live view: verdict, tiles, uplinks, streams, the busiest devices. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.record_text import clock
from gateway.cli.shown import cut, shown
from gateway.cli.status_page import titled
from gateway.cli.words import duration, size
from gateway.words import count, counted

DEVICES = 10
_COLOURS = {"ok": "green", "warning": "yellow", "critical": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The bodies of /api/v1/overview, /streams and /devices, of about the same moment."""

    overview: dict[str, Any]
    streams: dict[str, Any]
    devices: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"overview": self.overview, "streams": self.streams, "devices": self.devices}


def page(view: View, *, columns: int, note: str = "", trouble: str = "") -> RenderableType:
    """The whole, what counts most at the top: a small terminal cuts the rest off. `note` stands in the frame of the
    verdict; `trouble` says why nothing newer is known, in the verdict's place."""
    parts = [_unknown(view.overview, trouble, note) if trouble else _verdict(view.overview, note)]
    parts += [_tiles(view.overview), _uplinks(view), _streams(view.streams)]
    if view.devices["devices"]:
        parts.append(_devices(view.devices))
    return Group(*parts, _events(view.overview, columns))


def plain(view: View) -> str:
    """One line, for where there is no terminal."""
    overview = view.overview
    states = ", ".join(f"{one['name']} {_state(one)}" for one in overview["uplinks"]) or "no uplink"
    return shown(
        f"{clock(overview['at'])}  {overview['verdict']['word']}  in {count(overview['in']['per_s'])}/s  "
        f"queued {count(overview['queued']['records'])} ({size(overview['queued']['bytes'])})  {states}  "
        f"devices {count(overview['devices']['connected'])}"
    )


def _verdict(overview: dict[str, Any], note: str) -> RenderableType:
    verdict = overview["verdict"]
    return Panel(
        Text(shown(verdict["sentence"]), style="bold"),
        title=Text(shown(verdict["word"])),
        subtitle=Text(note, style="dim") if note else None,
        border_style=_COLOURS.get(verdict["level"], "yellow"),
    )


def _unknown(overview: dict[str, Any], trouble: str, note: str) -> RenderableType:
    """A verdict that nobody stands behind any more must not be read as one."""
    return Panel(
        Text(f"{shown(trouble)} What is below was so at {clock(overview['at'])}.", style="bold"),
        title=Text("Unknown"),
        subtitle=Text(note, style="dim") if note else None,
        border_style="red",
    )


def _tiles(overview: dict[str, Any]) -> RenderableType:
    queued, saved, devices = overview["queued"], overview["saved"], overview["devices"]
    age = "" if queued["oldest_age_s"] is None else f", oldest {duration(queued['oldest_age_s'])}"
    when = "" if queued["drained_in_s"] is None else f"drained in {duration(queued['drained_in_s'])}"
    if not queued["records"]:
        when = "nothing waits"
    if queued["full_in_s"] is not None:
        when = f"full in {duration(queued['full_in_s'])}"
    ratio = "–" if saved["ratio"] is None else f"{saved['ratio']:.1f} times smaller"
    if saved["ratio"] is not None and saved["ratio"] < 1:
        ratio = "more than plain MQTT"  # a few small records: each frame has its head
    dropped = sum(overview["dropped"].values())
    lost = f"{counted(overview['dead_letters'], 'dead letter')}, {count(dropped)} dropped"
    tiles = (
        ("In", f"{count(overview['in']['per_s'])}/s", counted(overview["in"]["records"], "record")),
        ("Queued", counted(queued["records"], "record"), f"{size(queued['bytes'])}{age}"),
        ("Delivery", when or "–", lost),
        ("On the wire", size(saved["wire_bytes"]), ratio),
        ("Devices", f"{count(devices['connected'])} here", f"{count(devices['absent'])} away"),
    )
    return Columns(
        [Panel(Text(f"{first}\n{second}"), title=title, title_align="left") for title, first, second in tiles]
    )


def _uplinks(view: View) -> RenderableType:
    table = titled("Uplinks", ("name", "state"), ("delivered", "per s", "in flight", "retries"), ("why",))
    more = {one["name"]: one for one in view.streams["uplinks"]}
    for one in view.overview["uplinks"]:
        detail = more.get(one["name"], {})
        online = one["state"] == "online"
        table.add_row(
            Text(shown(one["name"])),
            Text(_state(one), style="green" if online else "yellow"),
            count(one["delivered"]),
            count(one["per_s"]),
            count(detail.get("in_flight_total", 0)),
            count(detail.get("retries", 0)),
            Text("" if online else shown(one["reason"] or "")),
        )
    return table


def _state(uplink: dict[str, Any]) -> str:
    text = str(uplink["state"]).replace("_", " ")
    return text if uplink["next_try_in_s"] is None else f"{text}, again in {duration(uplink['next_try_in_s'])}"


def _streams(streams: dict[str, Any]) -> RenderableType:
    table = titled("Streams", ("name",), ("waiting", "size", "oldest", "in /s", "out /s", "dropped"))
    for one in streams["streams"]:
        dropped = sum(one["dropped"].values())
        table.add_row(
            Text(shown(one["name"])),
            count(one["records"]),
            size(one["bytes"]),
            "–" if one["oldest_age_s"] is None else duration(one["oldest_age_s"]),
            count(one["in_per_s"]),
            count(one["out_per_s"]),
            Text(count(dropped), style="yellow" if dropped else ""),
        )
    return table


def _devices(devices: dict[str, Any]) -> RenderableType:
    table: Table = titled("Busiest devices", ("client",), ("per s", "published", "queued", "refused"), ("last topic",))
    for one in devices["devices"][:DEVICES]:
        table.add_row(
            Text(cut(shown(one["client"]), 40), style="" if one["is_connected"] else "dim"),
            count(one["per_s"]),
            count(one["published"]),
            count(one["queued"]),
            count(one["refused"]),
            Text(cut(shown(one["last_topic"] or "–"), 60)),
        )
    return table


def _events(overview: dict[str, Any], columns: int) -> RenderableType:
    lines = [Text("Last events", style="bold")]
    for one in overview["events"][:5]:
        text = cut(shown(f"{clock(one['at'])}  {one['text']}"), max(columns, 20))
        lines.append(Text(text, style="" if one["severity"] == "info" else "yellow"))
    return Group(*lines) if len(lines) > 1 else Text("")
