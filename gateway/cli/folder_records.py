"""The records of a data folder, without a gateway: read as it lies there, or acted upon as a gateway would.

What is said of them is made by the same functions that the HTTP interface answers with. Reading changes nothing. To
act, the folder is locked and opened as a gateway opens it; a folder that can't be read as it is (damaged, of another
version) is not acted upon either: to bring it up is left to the gateway, whose log tells of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import typer

from bridge.clock import SystemClock
from bridge.web.errors import Problem
from config.settings import GatewaySettings
from gateway.api import letters, queue
from gateway.cli.outcome import Failed
from gateway.cli.records import Action
from gateway.events import Events, Kind, Severity
from gateway.spool.folder import holder_of
from gateway.spool.notes import Notes
from gateway.spool.ports import Table
from gateway.spool.reading import StoredSpool
from gateway.spool.spool import Spool
from gateway.spool.visiting import visit

T = TypeVar("T")


class FolderRecords:
    """`gateway.cli.records.Records`. `settings` are asked for when something is to be done; None: nothing can be."""

    def __init__(self, data_dir: Path, settings: Callable[[], GatewaySettings] | None) -> None:
        """Raises SpoolError with a sentence when there is nothing that could be read as it is."""
        self._data_dir = data_dir
        self._settings = settings
        self._clock = SystemClock()
        holder = holder_of(data_dir)
        self._stored = StoredSpool(data_dir, is_running=holder is not None)
        self._runner = asyncio.Runner()
        typer.echo(
            f"No gateway runs on {data_dir}: its folder is used directly."
            if holder is None
            else f"A gateway (process {holder}) runs on {data_dir}: its folder is read beside it.",
            err=True,
        )

    def close(self) -> None:
        self._runner.close()
        self._stored.close()

    def streams(self) -> list[str]:
        lanes = self._stored.lanes
        return [name for name, lane in lanes.items() if lane.first_seq < lane.next_seq] or list(lanes)

    def uplinks(self) -> list[str]:
        return [uplink.name for uplink in self._loaded().uplinks]

    def page(self, stream: str, from_seq: int | None, limit: int) -> dict[str, Any]:
        return self._run(queue.page(self._stored, stream, from_seq, limit))

    def queue_lines(self, stream: str, from_seq: int | None, to_seq: int | None) -> Iterator[bytes]:
        with _sentences():
            return self._lines(queue.lines(self._stored, stream, from_seq, to_seq))

    def letters(self, query: Mapping[str, Any]) -> dict[str, Any]:
        return self._run(letters.listing(self._stored.dead_letters, query))

    def letter(self, number: int) -> dict[str, Any]:
        return self._run(letters.one(self._stored.dead_letters, number))

    def letter_lines(self, ids: Sequence[int] | None) -> Iterator[bytes]:
        return self._lines(letters.lines(self._stored.dead_letters, ids))

    def act_on_letters(self, action: Literal["replay", "discard"], body: Mapping[str, Any]) -> dict[str, Any]:
        async def work(spool: Spool) -> dict[str, Any]:
            ids, named = await letters.which(spool.dead_letters, body)
            if action == "replay":
                done = await letters.replay(spool.dead_letters, ids, body.get("to"))
            else:
                done = await letters.discard(spool.dead_letters, ids)
            self._note(spool, f"{action} dead letters", named)
            return done

        return self._act(work)

    def act_on_uplink(self, uplink: str, action: Action) -> dict[str, Any]:
        if uplink not in (names := self.uplinks()):
            raise Failed(f"There is no uplink of that name; there is {', '.join(names) or 'none'}.")
        if action == "drain":
            raise Failed(
                f"No gateway runs on {self._data_dir}, so nothing can be sent now. Start it: it sends what waits."
            )

        async def work(spool: Spool) -> dict[str, Any]:
            notes = Notes(spool)
            by = notes.paused_by(uplink)
            if action == "pause":
                if by is not None:
                    raise Failed(f"Uplink {uplink} is paused already, by {by}.")
                notes.paused(uplink, _user())
                message = f"Uplink {uplink} is paused until somebody resumes it, over restarts, too."
            else:
                if by is None:
                    raise Failed(f"Uplink {uplink} is not paused.")
                notes.resumed(uplink)
                message = f"Uplink {uplink} goes on when the gateway is started."
            await spool.written()  # raises: what can't be written holds for no gateway that is started later
            self._note(spool, f"{action} the uplink", uplink)
            is_paused = action == "pause"
            state = "paused" if is_paused else "stopped"
            return {"name": uplink, "state": state, "is_paused": is_paused, "message": message}

        return self._act(work)

    def _loaded(self) -> GatewaySettings:
        if self._settings is None:
            raise Failed(
                "The configuration is needed for this, since it says which streams and uplinks there are. "
                "Give it with -c FILE, beside --data-dir."
            )
        settings = self._settings()
        return replace(settings, gateway=replace(settings.gateway, data_dir=self._data_dir))

    def _act(self, work: Callable[[Spool], Awaitable[T]]) -> T:
        """Have it done in the folder, which stays with the user who owns it."""
        settings = self._loaded()
        self._stored.close()
        owner = (self._data_dir / "spool.db").stat()
        try:
            return self._run(visit(settings, work, clock=self._clock))
        finally:
            if os.geteuid() == 0:  # the gateway may not be root, and could not use what root has made
                for path in (self._data_dir / "lock", *self._data_dir.glob("spool.*")):
                    with contextlib.suppress(FileNotFoundError):
                        # What is in the folder is its owner's to say: a link there must not give him other files.
                        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _note(self, spool: Spool, action: str, target: str) -> None:
        """Have what was done among the events, where a gateway writes who did what."""
        events = Events(
            keep=lambda key, body: spool.keep_lazily(Table.EVENT, key, body),
            discard=lambda key: spool.discard(Table.EVENT, key),
        )
        events.load((int(key), body) for key, body in spool.load(Table.EVENT))
        user = _user()
        text = f"{user}: {action} {target}, while no gateway ran."
        now_us = self._clock.now_us()
        events.add(now_us, Kind.AUDIT, Severity.INFO, text, subject=target, state="done", user=user)

    def _lines(self, chunks: AsyncIterator[bytes]) -> Iterator[bytes]:
        async def more() -> bytes | None:
            return await anext(chunks, None)

        while (chunk := self._run(more())) is not None:
            yield from chunk.splitlines()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with _sentences():
            return self._runner.run(work)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """What the HTTP interface would answer as an error is one here, in the same words."""
    try:
        yield
    except Problem as problem:
        raise Failed(problem.message) from problem


def _user() -> str:
    """Who does it, as this machine calls him."""
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return f"user {os.getuid()}"
