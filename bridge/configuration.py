"""A configuration in force: what holds, what the file would change when it is read again, and the change itself.

All or nothing: the file is read and checked, the files that it names are checked, what can fail is prepared; only then
anything changes. What a running program cannot change waits for a restart, and is told until then: what is in force and
what the file wants are both kept, and compared. What it is about, and what waits, the program's own class says.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from bridge.clock import SystemClock
from bridge.ports import Clock
from config.advice import advice
from config.difference import Difference, differences
from config.errors import ConfigError, Problem
from config.loader import Loaded, Program, SettingsT
from config.merging import Waits, merged
from config.overrides import PREFIX
from config.report import Applies, Change, Report

_ALWAYS: Final = {"always": True}
"""What an operator did is never left out of the log as a repetition."""
MAX_NAMED: Final = 10
"""Keys that a sentence names."""


class Prepared(Protocol):
    """All that can fail has been done; one of the two is called, once."""

    async def adopt(self) -> None:
        """Have it in force."""

    async def discard(self) -> None:
        """Leave everything as it was."""


class Applier(Protocol):
    """Who makes the parts of the program follow the settings, which are those of that program."""

    async def prepare(self, before: Any, after: Any) -> Prepared:
        """Do all that can fail, and change nothing that anybody would notice. Raises ConfigError, or CannotApply."""


class CannotApply(Exception):
    """The settings are right, and can't be had here and now; the sentence says which part and why."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[SettingsT]):
    """What a text wants, how much of it can be had now, and what is different."""

    wanted: Loaded[SettingsT]
    reachable: SettingsT
    changes: Sequence[Change]


ApplierT = TypeVar("ApplierT", bound=Applier)


class InForce(ABC, Generic[SettingsT, ApplierT]):
    """What a program runs with. `path` is None where it runs with the defaults."""

    program: ClassVar[Program]
    read_again: ClassVar[str]
    """Which files are read again besides, as half a sentence."""
    logger: ClassVar[logging.Logger]

    def __init__(self, loaded: Loaded[SettingsT], *, path: Path | None = None, clock: Clock | None = None) -> None:
        self.loaded: Loaded[SettingsT] = loaded
        """What is in force."""
        self.path = path
        self._wanted: Loaded[SettingsT] = loaded
        self._clock = clock or SystemClock()
        self.read_at_us = self._clock.now_us()
        """When the file was read last and held."""
        self.on_report: Callable[[Report, str], None] = lambda _report, _by: None
        """Told of every change, made or refused, and who asked for it."""
        self._applier: ApplierT | None = None
        self._lock = asyncio.Lock()

    @abstractmethod
    def _read(self) -> Loaded[SettingsT]:
        """The file, checked with all that it names. Blocks. Raises ConfigError."""

    @abstractmethod
    def _waits(self, wanted: SettingsT) -> Waits:
        """What has to wait of the differences between what is in force and what is wanted."""

    def _base(self) -> str:
        """What `Report.base` says. Blocks."""
        return ""

    def serve(self, applier: ApplierT | None) -> None:
        """From now on changes are made there; None: nowhere, and each is refused."""
        self._applier = applier

    async def close(self) -> None:
        """Wait for a change that is under way, and refuse all others."""
        self._applier = None
        async with self._lock:
            pass

    @property
    def settings(self) -> SettingsT:
        """What is in force."""
        settings: SettingsT = self.loaded.settings
        return settings

    @property
    def waiting_for_restart(self) -> Sequence[str]:
        """Dotted keys whose values in the file hold from the next start on."""
        return [difference.key for difference in differences(self.settings, self._wanted.settings)]

    async def reload(self, by: str = "") -> Report:
        """Read the file again and apply it, with everything that it names; a bad one leaves the old one in force.

        `by` is who asks for it, for the log.
        """
        async with self._lock:
            return self._told(await self._change(by), by)

    def problem(self, key: str, message: str) -> Problem:
        """A mistake in the file, at a dotted key."""
        return _problem(str(self.path or f"{self.program}.yaml"), key, message)

    def _told(self, report: Report, by: str) -> Report:
        self.on_report(report, by)
        return report

    async def _plan(self, read: Callable[[], Loaded[SettingsT]]) -> Plan[SettingsT]:
        """Of what `read` returns. Raises ConfigError with everything that is wrong."""
        # In a thread: neither a long file nor a disk that does not answer must hold up the event loop.
        wanted = await asyncio.to_thread(read)
        waits = self._waits(wanted.settings)
        return Plan(
            wanted=wanted,
            reachable=merged(self.settings, wanted.settings, waits),
            changes=[_change(one, waits) for one in differences(self.settings, wanted.settings)],
        )

    async def _change(
        self,
        by: str,
        read: Callable[[], Loaded[SettingsT]] | None = None,
        write: Callable[[], None] | None = None,
    ) -> Report:
        """Have the file in force, or what `read` returns and `write` puts in its place before anything changes; both
        block."""
        applier = self._applier
        if applier is None:
            sentence = f"the {self.program} is starting or stopping; try again"
            return await self._refused([_problem(f"{self.program}.yaml", "", sentence)], by)
        try:
            plan = await self._plan(read or self._read)
            prepared = await applier.prepare(self.settings, plan.reachable)
        except ConfigError as error:
            return await self._refused(error.problems, by)
        except CannotApply as error:
            return await self._refused([self.problem(error.key, str(error))], by)
        except Exception as error:  # nothing has changed yet: what nobody thought of is no reason to stop the program
            self.logger.exception("The new configuration could not be looked at.", extra=_ALWAYS)
            kind = type(error).__name__
            sentence = f"an error in the {self.program} kept it from being used ({kind}); the log says more"
            return await self._refused([self.problem("", sentence)], by)
        try:
            if write is not None:
                await asyncio.to_thread(write)
        except BaseException:  # raised again: what was prepared must not stay
            await prepared.discard()
            raise
        before, self._wanted = self.loaded, plan.wanted
        waiting = [change.key for change in plan.changes if change.effect is Applies.RESTART]
        origins = _origins(before.origins, plan.wanted.origins, waiting)
        self.loaded = Loaded(settings=plan.reachable, origins=origins)
        self.read_at_us = self._clock.now_us()
        await prepared.adopt()
        return await self._done(plan, by)

    def _advice(self, wanted: Loaded[SettingsT]) -> list[str]:
        sentences = list(advice(wanted.settings))
        held = [key for key, origin in wanted.origins.items() if PREFIX in origin]
        if held:
            sentences.append(
                f"Environment variables win over the file, also after a reload, for: {_named(held)}. To have the file "
                "hold there, take the variables away and restart."
            )
        return sentences

    async def _refused(self, problems: Sequence[Problem], by: str) -> Report:
        for problem in problems:
            self.logger.error("%s", problem, extra=_ALWAYS)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        message = f"Nothing was changed{_by(by)}: {count} in the new configuration. What held before stays in force."
        self.logger.error("%s", message, extra=_ALWAYS)
        return Report(
            problems=problems,
            base=await asyncio.to_thread(self._base),
            waiting_for_restart=self.waiting_for_restart,
            message=message,
        )

    async def _done(self, plan: Plan[SettingsT], by: str) -> Report:
        waiting = [change for change in plan.changes if change.effect is Applies.RESTART]
        applied = [change.key for change in plan.changes if change.effect is Applies.LIVE]
        changed = f"{_named(applied)} changed" if applied else "no setting changed"
        message = f"Reloaded{_by(by)}: {changed}; {self.read_again}."
        if waiting:
            told = [f"{change.key} ({change.reason})" for change in waiting]
            message += f" Waiting for a restart: {_named(told)}."
        self.logger.info("%s", message, extra=_ALWAYS)
        sentences = self._advice(plan.wanted)
        for sentence in sentences:
            self.logger.warning("%s", sentence)
        return Report(
            changes=plan.changes,
            advice=sentences,
            base=await asyncio.to_thread(self._base),
            applied=applied,
            waiting_for_restart=[change.key for change in waiting],
            message=message,
        )


def _change(difference: Difference, waits: Waits) -> Change:
    reason = waits(difference.key)
    return Change(
        key=difference.key,
        before=difference.before,
        after=difference.after,
        effect=Applies.RESTART if reason else Applies.LIVE,
        reason=reason,
    )


def _problem(file: str, key: str, message: str) -> Problem:
    return Problem(file=file, line=None, column=None, key=key, message=message)


def _origins(before: Mapping[str, str], wanted: Mapping[str, str], waiting: Sequence[str]) -> dict[str, str]:
    """Where what is in force came from: the new file, but for what still waits."""
    old = {
        key: origin
        for key, origin in before.items()
        if any(key == each or key.startswith((f"{each}.", f"{each}[")) for each in waiting)
    }
    return {**wanted, **old}


def _by(by: str) -> str:
    return f" ({by})" if by else ""


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + more
