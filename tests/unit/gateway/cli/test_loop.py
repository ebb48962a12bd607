"""The loop a command runs on, and its good end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from gateway.cli import loop
from gateway.cli.outcome import Failed
from gateway.cli.stop import stop_on_signals


def test_uvloop_is_taken_where_it_can_be_imported() -> None:
    uvloop = pytest.importorskip("uvloop")
    assert loop.loop_factory({}) is uvloop.new_event_loop
    assert loop.loop_factory({"FIELDGATE_LOOP": "uvloop"}) is uvloop.new_event_loop


def test_asyncios_own_loop_can_be_asked_for() -> None:
    assert loop.loop_factory({"FIELDGATE_LOOP": "asyncio"}) is None


def test_without_uvloop_asyncios_own_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop.loop_factory({}) is None
    with pytest.raises(Failed, match="asks for uvloop, which can't be imported"):
        loop.loop_factory({"FIELDGATE_LOOP": "uvloop"})


def test_an_unknown_loop_is_refused_with_a_sentence() -> None:
    with pytest.raises(Failed, match="write asyncio or uvloop"):
        loop.loop_factory({"FIELDGATE_LOOP": "trio"})


def test_a_wish_that_can_not_be_met_leaves_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDGATE_LOOP", "trio")
    with pytest.raises(Failed):
        loop.run(asyncio.sleep(0))


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_work_runs_to_its_end_and_gives_its_result(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDGATE_LOOP", kind)

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert loop.run(work()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_is_an_event(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
    assert signal.getsignal(number) == before
