"""What a person sees while a scenario runs: a panel on a terminal, plain lines elsewhere; and the ledger at its end."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simulators.demo.scene import Scene
from simulators.demo.view import clock
from simulators.link_model import LinkState
from simulators.scenarios.account import Account
from simulators.scenarios.tally import Tally
from simulators.units import format_bytes

PLAIN_EVERY_S = 5.0
_MAX_LISTED = 10
_MAX_EVENTS = 6


@dataclass(slots=True)
class Board:
    """All that is shown. `scene` is None for a gateway that is only published to."""

    title: str
    duration_s: float
    tallies: list[Tally] = field(default_factory=list)
    scene: Scene | None = None
    headline: str = "Starting."
    began_s: float = field(default_factory=time.monotonic)
    events: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_MAX_EVENTS))
    trouble: str | None = None

    @property
    def elapsed_s(self) -> float:
        """Since the devices began, or since the start before that."""
        return time.monotonic() - self.began_s

    def rows(self) -> list[tuple[str, str]]:
        """The figures by their names, in the order in which records travel."""
        found = [(tally.name, fleet_line(tally)) for tally in self.tallies]
        scene = self.scene
        if scene is not None:
            waiting = "the gateway does not answer" if scene.waiting is None else f"{scene.waiting:,} records"
            found += [
                ("queue on disk", f"{waiting}, {format_bytes(scene.waiting_bytes)}"),
                ("uplink", f"{scene.uplink}, link {scene.link.value.replace('_', ' ')}"),
                ("received", f"{scene.received:,} in the cloud, {scene.duplicates:,} duplicates dropped"),
            ]
        return found


def fleet_line(tally: Tally) -> str:
    """One fleet in one line."""
    line = (
        f"{tally.connected}/{tally.devices} connected, {tally.acknowledged:,} acknowledged of"
        f" {tally.published:,} published"
    )
    for count, word in (
        (tally.returned, "reconnects"),
        (tally.resent, "sent again"),
        (tally.waiting, "waiting"),
        (tally.refused.total(), "refused"),
        (tally.bad.total(), "bad"),
    ):
        line += f", {count:,} {word}" if count else ""
    return line


class BoardView:
    """Shows a board; `close` leaves the terminal as it was."""

    def __init__(self, board: Board, console: Console, *, plain_every_s: float = PLAIN_EVERY_S) -> None:
        self._board = board
        self._console = console
        able = console.is_terminal and not console.is_dumb_terminal and bool(os.environ.get("TERM"))
        self._live = Live(console=console, auto_refresh=False, transient=True) if able else None
        self._plain_every_s = plain_every_s
        self._next_s = 0.0

    def open(self) -> None:
        """Take the lower part of the terminal."""
        if self._live is not None:
            self._live.start()

    def tell(self, sentence: str) -> None:
        """Something happens now."""
        self._board.headline = sentence
        self._board.events.append((self._board.elapsed_s, sentence))
        if self._live is None:
            self._line(sentence)
        else:
            self.refresh()

    def refresh(self) -> None:
        """The board changed; called a few times a second."""
        if self._live is not None:
            self._live.update(panel(self._board), refresh=True)
        elif self._board.elapsed_s >= self._next_s:
            self._next_s = self._board.elapsed_s + self._plain_every_s
            self._line("   ".join(f"{name}: {value}" for name, value in self._board.rows()))

    def restart_clock(self) -> None:
        """The devices begin: times count from here."""
        self._board.began_s = time.monotonic()
        self._next_s = 0.0

    def close(self) -> None:
        """Give the terminal back; idempotent."""
        if self._live is not None:
            self._live.stop()

    def _line(self, text: str) -> None:
        stamp = clock(self._board.elapsed_s)
        self._console.print(f"{stamp}  {text}", highlight=False, markup=False, soft_wrap=True)


def panel(board: Board) -> Panel:
    """The live picture."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis")
    for name, value in board.rows():
        rows.add_row(name, Text(value))
    if board.trouble:
        rows.add_row("trouble", Text(board.trouble, style="yellow"))
    events = Table.grid(padding=(0, 2))
    events.add_column(style="dim", no_wrap=True)
    events.add_column(overflow="fold")
    for at_s, sentence in board.events:
        events.add_row(clock(at_s), Text(sentence, style="dim"))
    has_trouble = board.trouble is not None or (board.scene is not None and board.scene.link is not LinkState.UP)
    headline = Text(f"● {board.headline}", style="bold yellow" if has_trouble else "bold green")
    title = f"{board.title}  {clock(board.elapsed_s)} of {clock(board.duration_s)}"
    return Panel(Group(headline, Text(), rows, Text(), events), title=title, title_align="left", box=box.ROUNDED)


def show_account(console: Console, account: Account) -> None:
    """The ledger as a table, and what it comes to."""
    result = account.comparison
    table = Table(title="The ledger", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows = [("planned", account.planned, False), ("published by the devices", result.published, False)]
    rows += [(f"never sent: {reason}", count, False) for reason, count in account.unsent.items()]
    rows += [
        ("acknowledged to the devices", result.acknowledged, False),
        ("refused by the gateway", result.refused, False),
        ("never answered", max(0, account.unanswered), True),
        ("forgotten by devices without power", sum(tally.forgotten for tally in account.tallies), False),
    ]
    if account.knows_arrivals:
        rows += [
            ("arrived in the cloud", result.received, False),
            ("neither acknowledged nor arrived", account.unpromised, False),
        ]
        rows += [(f"dropped by policy: {reason}", count, False) for reason, count in account.dropped.items()]
        dropped = sum(account.dropped.values())
        rows += [
            ("duplicates dropped by the receiver", account.duplicates_dropped, False),
            ("arrived again, because a device had to repeat it", result.resent, False),
            ("arrived twice without a reason", result.duplicates, True),
            ("acknowledged, but missing", len(result.missing), len(result.missing) > dropped),
        ]
    for name, count, is_bad in rows:
        table.add_row(name, f"{count:,}", style="bold red" if is_bad and count else "")
    console.print(table)
    for entry in result.missing[: 0 if account.adds_up else _MAX_LISTED]:
        console.print(f"  missing: {entry.name} of {entry.client} on {entry.topic}", markup=False, highlight=False)
    for tally in account.tallies:
        times = tally.to_dict()["acknowledged_after_ms"]
        if times:
            console.print(
                f"{tally.name}: acknowledged after {times['median']:.1f} ms (median), {times['p99']:.1f} ms (p99),"
                f" {times['max']:.0f} ms (longest)",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    console.print(f"schedule {account.digest}, seed {account.seed}", markup=False, highlight=False)
    for problem in account.problems:
        console.print(problem, style="bold red", markup=False, highlight=False)
    if account.adds_up:
        scope = "" if account.knows_arrivals else " What arrived in the cloud was not looked at."
        console.print(f"The ledger adds up.{scope}", style="bold green")
    else:
        console.print("The ledger does not add up.", style="bold red")
