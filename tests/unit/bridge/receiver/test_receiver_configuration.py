"""What of a receiver's configuration can change while it receives, and who may have it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.configuration import CannotApply
from bridge.receiver.configuration import Configuration, applies
from config.describe import effective_values
from config.errors import ConfigError, Problem
from config.loader import Loaded
from config.report import Applies
from config.settings import Address, Api, JsonLinesSink, Log, ReceiverIdentity, ReceiverSettings, Telemetry

GIVEN = ReceiverSettings(sinks=(JsonLinesSink(path=Path("received.jsonl")),))


class Prepared:
    def __init__(self, parts: Parts, after: ReceiverSettings) -> None:
        self._parts, self._after = parts, after

    async def adopt(self) -> None:
        self._parts.followed.append(self._after)

    async def discard(self) -> None:
        raise AssertionError("there is no file to be written that could fail")


class Parts:
    """Notes what it was to follow; `error` is raised in its place."""

    def __init__(self) -> None:
        self.followed: list[ReceiverSettings] = []
        self.error: Exception | None = None

    async def prepare(self, before: ReceiverSettings, after: ReceiverSettings) -> Prepared:
        assert before == (self.followed[-1] if self.followed else GIVEN)
        if self.error is not None:
            raise self.error
        return Prepared(self, after)


def configuration(reread: Callable[[], ReceiverSettings], parts: Parts | None) -> Configuration:
    made = Configuration(
        Loaded(settings=GIVEN, origins={}),
        path=Path("cloud.yaml"),
        reread=lambda: Loaded(settings=reread(), origins={}),
    )
    made.serve(parts)
    return made


def test_how_it_is_looked_at_can_change_and_what_the_ledger_is_about_can_not() -> None:
    live = {
        item.key.partition(".")[0]
        for item in effective_values(Loaded(settings=GIVEN, origins={}))
        if applies(item.key) is Applies.LIVE
    }
    assert live == {"api", "telemetry", "log"}


async def test_what_can_change_does_and_the_rest_waits_until_the_file_says_what_holds_again() -> None:
    parts = Parts()
    wanted = replace(
        GIVEN,
        receiver=ReceiverIdentity(topic="other/#"),
        telemetry=Telemetry(url="http://127.0.0.1:4318"),
        log=Log(level="debug"),
        sinks=(),
    )
    files = [wanted, replace(wanted, receiver=GIVEN.receiver, sinks=GIVEN.sinks)]
    at_work = configuration(lambda: files[0], parts)
    report = await at_work.reload("anna")
    assert report.applied == ["telemetry.url", "log.level"]
    assert report.waiting_for_restart == ["receiver.topic", "sinks[jsonl]"] == at_work.waiting_for_restart
    assert report.message == (
        "Reloaded (anna): telemetry.url, log.level changed; passwords, tokens and the certificate were read again. "
        "Waiting for a restart: receiver.topic (the link and the sinks are made at the start), "
        "sinks[jsonl] (the link and the sinks are made at the start)."
    )
    assert parts.followed == [replace(GIVEN, telemetry=wanted.telemetry, log=wanted.log)] == [at_work.settings]
    del files[0]
    again = await at_work.reload()
    assert (again.applied, again.waiting_for_restart) == ([], [])


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (CannotApply("api.bind", "It is taken."), "api.bind"),
        (ConfigError([Problem(file="tokens", line=3, column=None, key="", message="this is no line")]), ""),
        (RuntimeError("nobody thought of it"), ""),
    ],
    ids=["the address", "a file", "an error"],
)
async def test_what_can_not_be_had_changes_nothing(error: Exception, key: str) -> None:
    parts = Parts()
    parts.error = error
    at_work = configuration(lambda: replace(GIVEN, log=Log(level="debug")), parts)
    report = await at_work.reload("SIGHUP")
    (problem,) = report.problems
    assert (report.is_valid, problem.key, at_work.settings) == (False, key, GIVEN)
    assert report.message.endswith("1 problem in the new configuration. What held before stays in force.")


async def test_a_file_with_a_mistake_is_refused_with_its_line() -> None:
    mistake = Problem(file="cloud.yaml", line=7, column=3, key="log.level", message="expected a level")

    def reread() -> ReceiverSettings:
        raise ConfigError([mistake])

    assert (await configuration(reread, Parts()).reload()).problems == (mistake,)


async def test_before_the_start_and_after_the_stop_it_is_refused() -> None:
    at_work = configuration(lambda: GIVEN, None)
    for _ in range(2):
        (problem,) = (await at_work.reload()).problems
        assert problem.message == "the receiver is starting or stopping; try again"
        at_work.serve(Parts())
        assert (await at_work.reload()).is_valid
        await at_work.close()


async def test_reloads_at_once_take_turns() -> None:
    parts = Parts()
    levels = iter(["debug", "error", "info"] * 2)
    at_work = configuration(lambda: replace(GIVEN, log=Log(level=next(levels))), parts)
    reports = await asyncio.gather(*(at_work.reload(str(number)) for number in range(6)))
    assert [report.applied for report in reports] == [["log.level"]] * 6
    assert [settings.log.level for settings in parts.followed] == ["debug", "error", "info"] * 2


@pytest.mark.parametrize(
    ("wanted", "waiting"),
    [
        ({"bind": Address(host="127.0.0.1", port=9)}, []),
        ({"bind": Address(host="0.0.0.0", port=8081)}, ["api.bind"]),
        ({"bind": Address(host="0.0.0.0", port=8081), "token_file": Path("t")}, ["api.bind", "api.token_file"]),
    ],
    ids=["elsewhere", "the same port everywhere", "with what only it needs"],
)
async def test_an_address_that_the_old_one_is_in_the_way_of_waits(wanted: dict[str, Any], waiting: list[str]) -> None:
    at_work = configuration(lambda: replace(GIVEN, api=replace(GIVEN.api, **wanted)), Parts())
    assert (await at_work.reload()).waiting_for_restart == waiting
    assert isinstance(at_work.settings.api, Api)
