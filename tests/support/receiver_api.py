"""The HTTP interface of a receiver for a test: over a real socket, with a state of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from bridge.clock import SystemClock
from bridge.receiver.api import Api, View
from bridge.receiver.state import State
from bridge.web.audit import OnAudit
from bridge.web.gate import Gate
from bridge.web.reports import Reload
from config.report import Report
from config.settings import Address
from config.settings import Api as Settings

ANY_PORT = Address(host="127.0.0.1", port=0)


async def nothing_new(by: str) -> Report:
    """A reload that finds what it knew."""
    return Report(message=f"{by} had nothing read.")


def make_api(
    state: State,
    view: View,
    *,
    settings: Settings | None = None,
    gate: Gate | None = None,
    reload: Reload = nothing_new,
    on_audit: OnAudit | None = None,
) -> Api:
    """It listens nowhere yet."""
    settings = settings or Settings(bind=ANY_PORT)
    return Api(
        settings,
        receiver_id="cloud-01",
        version="1.2.3",
        view=view,
        asides=state,
        gate=gate or Gate.open(settings),
        clock=SystemClock(),
        reload=reload,
        on_audit=on_audit,
    )


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[State]:
    """The state of a receiver that has taken nothing yet."""
    state = await State.open(folder / "receiver.db")
    try:
        yield state
    finally:
        await state.close()


@contextlib.asynccontextmanager
async def serving(api: Api) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who asks it while it serves."""
    await api.start()
    try:
        async with aiohttp.ClientSession(f"http://{api.address}") as client:
            yield client
    finally:
        await api.close()
