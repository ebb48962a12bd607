"""What a person sees: a panel that lives on a terminal, plain lines everywhere else, and the ledger at the end."""

from __future__ import annotations

import os
from typing import Protocol

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simulators.demo.scene import Scene
from simulators.demo.verdict import Verdict
from simulators.link_model import LinkState
from simulators.units import counted, format_bytes

PLAIN_EVERY_S = 5.0
_MAX_LISTED = 10


class View(Protocol):
    """Shows the scene; entered while the demo runs."""

    def open(self) -> None:
        """Begin."""

    def tell(self, sentence: str) -> None:
        """Something happened (it is in the scene already)."""

    def refresh(self) -> None:
        """The scene changed; called a few times a second."""

    def close(self) -> None:
        """End, and leave the terminal as it was; idempotent."""


def make_view(scene: Scene, console: Console, *, plain_every_s: float = PLAIN_EVERY_S) -> View:
    """A live panel on a terminal that can do it, else plain lines."""
    able = console.is_terminal and not console.is_dumb_terminal and bool(os.environ.get("TERM"))
    return LiveView(scene, console) if able else PlainView(scene, console, plain_every_s)


class PlainView:
    """A line when something happens, and one with the figures now and then."""

    def __init__(self, scene: Scene, console: Console, every_s: float = PLAIN_EVERY_S) -> None:
        self._scene = scene
        self._console = console
        self._every_s = every_s
        self._next_s = 0.0

    def open(self) -> None:
        """Nothing to begin."""

    def tell(self, sentence: str) -> None:
        """The sentence with its time."""
        self._line(sentence)

    def refresh(self) -> None:
        """The figures, every few seconds."""
        if self._scene.receiver is not None and self._scene.elapsed_s >= self._next_s:
            self._next_s = self._scene.elapsed_s + self._every_s
            self._line("   ".join(f"{name}: {value}" for name, value in figures(self._scene)))

    def close(self) -> None:
        """Nothing to end."""

    def _line(self, text: str) -> None:
        self._console.print(f"{clock(self._scene.elapsed_s)}  {text}", highlight=False, markup=False, soft_wrap=True)


class LiveView:
    """A panel: what happens now, the figures, and the last events."""

    def __init__(self, scene: Scene, console: Console) -> None:
        self._scene = scene
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def open(self) -> None:
        """Take the lower part of the terminal."""
        self._live.start()

    def tell(self, sentence: str) -> None:  # noqa: ARG002 -- the scene has it
        """Show it at once."""
        self.refresh()

    def refresh(self) -> None:
        """Draw."""
        self._live.update(panel(self._scene), refresh=True)

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes:02d}:{rest:02d}"


def figures(scene: Scene) -> list[tuple[str, str]]:
    """The figures by their names, in the order in which records travel."""
    fleet, waiting = scene.fleet, scene.waiting
    found = [("devices", f"{scene.connections} connected")]
    if fleet is not None:
        found = [
            ("devices", f"{fleet.connected}/{fleet.devices} connected, {fleet.rate_per_s:,.0f}/s"),
            ("acknowledged", f"{fleet.acknowledged:,} of {fleet.published:,}"),
        ]
    queue = "the gateway is away" if waiting is None else counted(waiting, "record")
    if waiting:  # without: what is delivered already is in the file until it is written the next time
        queue += f", {format_bytes(scene.waiting_bytes)}"
    saved = ""
    if scene.plain_bytes:
        spared = max(0, scene.plain_bytes - scene.wire_bytes)
        saved = f"{format_bytes(spared)} of {format_bytes(scene.plain_bytes)} ({spared / scene.plain_bytes:.0%})"
    link = f"link {scene.link.value.replace('_', ' ')}"
    flying = "" if waiting is None else f", {counted(scene.in_flight, 'frame')} in flight"
    return [
        *found,
        ("queue on disk", queue),
        ("uplink", f"{scene.uplink.replace('_', ' ')}, {link}{flying}"),
        ("bytes saved", saved or "nothing sent yet"),
        ("received", f"{scene.received:,} in the cloud, {counted(scene.duplicates, 'duplicate')} dropped"),
    ]


def panel(scene: Scene) -> Panel:
    """The live picture."""
    trouble = scene.link is not LinkState.UP or scene.gateway is None
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis")
    for name, value in figures(scene):
        rows.add_row(name, value)
    events = Table.grid(padding=(0, 2))
    events.add_column(style="dim", no_wrap=True)
    events.add_column(overflow="fold")
    for at_s, sentence in scene.events:
        events.add_row(clock(at_s), Text(sentence, style="dim"))
    headline = Text(f"● {scene.headline}", style="bold yellow" if trouble else "bold green")
    title = f"Fieldgate demo  {clock(scene.elapsed_s)}"
    if scene.elapsed_s < scene.ends_s + 1:
        title += f" of {clock(scene.ends_s)}"
    return Panel(Group(headline, Text(), rows, Text(), events), title=title, title_align="left", box=box.ROUNDED)


def show_verdict(console: Console, verdict: Verdict) -> None:
    """The ledger as a table, and what it comes to."""
    result = verdict.comparison
    table = Table(title="The ledger", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows = [
        ("published by the devices", f"{result.published:,}"),
        ("acknowledged to the devices", f"{result.acknowledged:,}"),
        ("received in the cloud", f"{result.received:,}"),
        ("duplicates dropped by the receiver", f"{verdict.duplicates_dropped:,}"),
        ("sent twice by a device that saw no answer", f"{result.resent:,}"),
        ("received twice without a reason", f"{result.duplicates:,}"),
        ("acknowledged, but missing", f"{len(result.missing):,}"),
        ("bytes on the wire", format_bytes(verdict.wire_bytes)),
        ("the same as plain MQTT", format_bytes(verdict.plain_bytes)),
        ("saved", f"{verdict.saved:.0%}"),
    ]
    bad = {5: result.duplicates, 6: len(result.missing)}
    for number, (name, value) in enumerate(rows):
        table.add_row(name, value, style="bold red" if bad.get(number) else "")
    console.print(table)
    for entry in result.missing[:_MAX_LISTED]:
        console.print(f"  missing: {entry.name} of {entry.client} on {entry.topic}", markup=False, highlight=False)
    if verdict.good:
        console.print("Nothing that was acknowledged is missing.", style="bold green")
    elif result.missing:
        console.print("Acknowledged messages are missing.", style="bold red")
    else:
        console.print("The ledger does not add up.", style="bold red")
