"""The configuration at work: what holds, where it came from, what a new file would change, and the change itself.

`reload` (SIGHUP, `fieldgate reload`, the API) reads the file again; `apply` takes a new text, writes it and does the
same. Both are all or nothing: the file is read and checked, the files that it names are checked, what can fail is
prepared; only then anything changes. What cannot change in a running gateway (`gateway.live_keys`) waits for a restart,
and is told until then: what is in force and what the file wants are both kept, and compared.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bridge.clock import SystemClock
from bridge.ports import Clock
from config.advice import advice
from config.describe import effective_values
from config.difference import Difference, differences
from config.errors import ConfigError, Problem
from config.loader import Loaded, load_gateway_text
from config.merging import merged
from config.overrides import PREFIX
from config.settings import GatewaySettings
from gateway import configuration_file
from gateway.configuration_file import NO_FILE, ConfigurationError, FileChanged, FileFull, FileReadOnly
from gateway.configuration_report import Change, Proposal, Report, Value
from gateway.live_keys import Applies, Waiting, applies
from gateway.named_files import check_named_files

__all__ = [
    "Applies",
    "Change",
    "Configuration",
    "ConfigurationError",
    "FileChanged",
    "FileFull",
    "FileReadOnly",
    "Proposal",
    "Report",
    "Value",
]

logger = logging.getLogger(__name__)

READ_AGAIN = "password files, keys of tokens, ACL files and certificates were read again"
_ALWAYS = {"always": True}
"""What an operator did is never left out of the log as a repetition."""
MAX_NAMED = 10
"""Keys that a sentence names."""


class Prepared(Protocol):
    """All that can fail has been done; one of the two is called, once."""

    async def adopt(self) -> None:
        """Have it in force."""

    async def discard(self) -> None:
        """Leave everything as it was."""


class Applier(Protocol):
    """Who makes the parts of the gateway follow the settings."""

    def is_in_use(self, listener: str) -> bool:
        """Whether somebody is connected to the listener of that name."""

    async def prepare(self, before: GatewaySettings, after: GatewaySettings) -> Prepared:
        """Do all that can fail, and change nothing that anybody would notice. Raises ConfigError, or CannotApply."""


class CannotApply(ConfigurationError):
    """The settings are right, and can't be had here and now; the sentence says which part and why."""

    code = "cannot_apply"

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a text wants, how much of it can be had now, and what is different."""

    wanted: Loaded[GatewaySettings]
    reachable: GatewaySettings
    changes: Sequence[Change]


class Configuration:
    """What a gateway runs with. `path` is None where it runs with the defaults."""

    def __init__(
        self,
        loaded: Loaded[GatewaySettings],
        *,
        path: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> None:
        self.loaded = loaded
        """What is in force."""
        self.path = path
        self._wanted = loaded
        self._environ = environ
        self._clock = clock or SystemClock()
        self.read_at_us = self._clock.now_us()
        """When the file was read last and held."""
        self.on_report: Callable[[Report, str], None] = lambda _report, _by: None
        """Told of every change, made or refused, and who asked for it."""
        self._applier: Applier | None = None
        self._lock = asyncio.Lock()

    def serve(self, applier: Applier | None) -> None:
        """From now on changes are made there; None: nowhere, and each is refused."""
        self._applier = applier

    async def close(self) -> None:
        """Wait for a change that is under way, and refuse all others."""
        self._applier = None
        async with self._lock:
            pass

    @property
    def settings(self) -> GatewaySettings:
        """What is in force."""
        return self.loaded.settings

    @property
    def waiting_for_restart(self) -> Sequence[str]:
        """Dotted keys whose values in the file hold from the next start on."""
        return [difference.key for difference in differences(self.settings, self._wanted.settings)]

    def effective(self) -> list[Value]:
        """Every key with its value, where it came from, and when a change of it would take hold; secrets masked."""
        return [
            Value(key=item.key, value=item.text, origin=item.origin, change=applies(item.key))
            for item in effective_values(self.loaded)
        ]

    async def check(self, text: str) -> Proposal:
        """What the text would come to as the file; changes nothing."""
        base = await self._base()
        try:
            plan = await self._plan(text)
        except ConfigError as error:
            return Proposal(problems=error.problems, base=base)
        return Proposal(changes=plan.changes, advice=self._advice(plan.wanted), base=base)

    async def apply(self, text: str, base: str, by: str) -> Report:
        """Write the text as the file, unless it has problems or the file is another than `base`; then reload.

        `by` is who asks for it, for the log. Raises FileChanged and FileReadOnly with a sentence; then nothing has
        changed."""
        async with self._lock:
            if self.path is None:
                raise FileReadOnly(
                    "This gateway runs without a file. Start it with -c FILE to have one that can change."
                )
            if await self._base() != base:
                raise configuration_file.changed(self.path)
            return self._told(await self._change(by, text, base), by)

    async def reload(self, by: str = "") -> Report:
        """Read the file again and apply it, with everything that it names; a bad one leaves the old one in force."""
        async with self._lock:
            return self._told(await self._change(by), by)

    def _told(self, report: Report, by: str) -> Report:
        self.on_report(report, by)
        return report

    async def _base(self) -> str:
        # In a thread, as whatever reads the file: a disk that does not answer must not hold up the event loop.
        return await asyncio.to_thread(configuration_file.hash_of, self.path)

    async def _change(self, by: str, text: str | None = None, base: str = NO_FILE) -> Report:
        """Have the file in force, or the text, which takes the place of the file that has the hash `base`."""
        applier = self._applier
        if applier is None:
            return await self._refused(
                [_problem("gateway.yaml", "", "the gateway is starting or stopping; try again")], by
            )
        try:
            plan = await self._plan(text)
            prepared = await applier.prepare(self.settings, plan.reachable)
        except ConfigError as error:
            return await self._refused(error.problems, by)
        except CannotApply as error:
            return await self._refused([self.problem(error.key, str(error))], by)
        except Exception as error:  # nothing has changed yet: what nobody thought of is no reason to stop the gateway
            logger.exception("The new configuration could not be looked at.", extra=_ALWAYS)
            sentence = f"an error in the gateway kept it from being used ({type(error).__name__}); the log says more"
            return await self._refused([self.problem("", sentence)], by)
        try:
            if self.path is not None and text is not None:
                await asyncio.to_thread(configuration_file.write, self.path, text, base)
        except BaseException:  # raised again: what was prepared must not stay
            await prepared.discard()
            raise
        before, self._wanted = self.loaded, plan.wanted
        waiting = [change.key for change in plan.changes if change.effect is Applies.RESTART]
        self.loaded = Loaded(settings=plan.reachable, origins=_origins(before, plan.wanted, waiting))
        self.read_at_us = self._clock.now_us()
        await prepared.adopt()
        return await self._done(plan, by)

    async def _plan(self, text: str | None) -> _Plan:
        """Raises ConfigError with everything that is wrong."""
        # In a thread: a long file must not hold up the event loop.
        wanted = await asyncio.to_thread(self._read, text)
        await asyncio.to_thread(check_named_files, wanted)
        running = self.settings
        waits = Waiting(
            running, wanted.settings, is_in_use=self._applier.is_in_use if self._applier else lambda _: True
        )
        reachable = merged(running, wanted.settings, waits)
        changes = [_change(one, waits) for one in differences(running, wanted.settings)]
        return _Plan(wanted=wanted, reachable=reachable, changes=changes)

    def _read(self, text: str | None) -> Loaded[GatewaySettings]:
        if text is None:
            if self.path is None:
                return self._wanted
            text = configuration_file.read(self.path)
        return load_gateway_text(text, self.path, self._environ)

    def _advice(self, wanted: Loaded[GatewaySettings]) -> list[str]:
        sentences = list(advice(wanted.settings))
        held = [key for key, origin in wanted.origins.items() if PREFIX in origin]
        if held:
            sentences.append(
                f"Environment variables win over the file, also after a reload, for: {_named(held)}. To have the file "
                "hold there, take the variables away and restart."
            )
        return sentences

    def problem(self, key: str, message: str) -> Problem:
        """A mistake in the file, at a dotted key."""
        return _problem(str(self.path) if self.path else "gateway.yaml", key, message)

    async def _refused(self, problems: Sequence[Problem], by: str) -> Report:
        for problem in problems:
            logger.error("%s", problem, extra=_ALWAYS)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        message = f"Nothing was changed{_by(by)}: {count} in the new configuration. What held before stays in force."
        logger.error("%s", message, extra=_ALWAYS)
        return Report(
            problems=problems,
            base=await self._base(),
            waiting_for_restart=self.waiting_for_restart,
            message=message,
        )

    async def _done(self, plan: _Plan, by: str) -> Report:
        waiting = [change for change in plan.changes if change.effect is Applies.RESTART]
        applied = [change.key for change in plan.changes if change.effect is Applies.LIVE]
        message = (
            f"Reloaded{_by(by)}: {f'{_named(applied)} changed' if applied else 'no setting changed'}; {READ_AGAIN}."
        )
        if waiting:
            told = [f"{change.key} ({change.reason})" for change in waiting]
            message += f" Waiting for a restart: {_named(told)}."
        logger.info("%s", message, extra=_ALWAYS)
        sentences = self._advice(plan.wanted)
        for sentence in sentences:
            logger.warning("%s", sentence)
        return Report(
            changes=plan.changes,
            advice=sentences,
            base=await self._base(),
            applied=applied,
            waiting_for_restart=[change.key for change in waiting],
            message=message,
        )


def _change(difference: Difference, waits: Waiting) -> Change:
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


def _origins(
    before: Loaded[GatewaySettings], wanted: Loaded[GatewaySettings], waiting: Sequence[str]
) -> dict[str, str]:
    """Where what is in force came from: the new file, but for what still waits."""
    old = {
        key: origin
        for key, origin in before.origins.items()
        if any(key == each or key.startswith((f"{each}.", f"{each}[")) for each in waiting)
    }
    return {**wanted.origins, **old}


def _by(by: str) -> str:
    return f" ({by})" if by else ""


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + more
