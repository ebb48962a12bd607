"""What the receiver does at SIGHUP: its file is read again, and what can change while it receives does.

That is how it is looked at and how it logs: the sections `api` and `log`. The link and the sinks are what the ledger is
about, so those wait for the next start, and are named until then. All or nothing: one mistake leaves everything as it
was, also in the files that are named.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from bridge.receiver.api import Api
from bridge.receiver.errors import ReceiverError
from config.api_changes import ApiChanges
from config.difference import differences
from config.errors import ConfigError
from config.merging import merged
from config.settings import Log, ReceiverSettings

log = logging.getLogger(__name__)

Reread = Callable[[], ReceiverSettings]
"""Reads and checks the file, and all that it names; blocks. Raises ConfigError with everything that is wrong."""

MAX_NAMED: Final = 10
AT_START: Final = "the link and the sinks are made at the start"
_ALWAYS: Final = {"always": True}
"""What an operator did is never left out of the log as a repetition."""


class Reloading:
    """The settings in force. Without `reread` only the files that they name are read again."""

    def __init__(
        self,
        settings: ReceiverSettings,
        api: Api,
        *,
        reread: Reread | None = None,
        set_up_log: Callable[[Log], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        """What is in force."""
        self._api = api
        self._reread = reread
        self._set_up_log = set_up_log

    async def reload(self) -> list[str]:
        """Have the file hold as far as it can. Returns what is wrong, as sentences; then nothing has changed."""
        try:
            sentence = await self._reload()
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
        except ReceiverError as error:
            problems = [str(error)]
        except Exception as error:  # nothing has changed yet: what nobody thought of is no reason to stop receiving
            log.exception("The configuration could not be read again.", extra=_ALWAYS)
            problems = [f"An error kept it from being read again ({type(error).__name__}); the log says more."]
        else:
            log.info("%s", sentence, extra=_ALWAYS)
            return []
        for problem in problems:
            log.error("%s", problem, extra=_ALWAYS)
        log.error("Nothing was changed: what held before stays in force.", extra=_ALWAYS)
        return problems

    async def _reload(self) -> str:
        running = self.settings
        # In a thread: a disk that does not answer must not hold up the frames.
        wanted = running if self._reread is None else await asyncio.to_thread(self._reread)
        api = ApiChanges(running.api, wanted.api)

        def waits(key: str) -> str:
            return api.why_waits(key) if key.startswith("api.") else "" if key.startswith("log.") else AT_START

        reachable = merged(running, wanted, waits)
        prepared = await self._api.prepare(reachable.api)
        self._api.adopt(prepared)
        if reachable.log != running.log:
            self._set_up_log(reachable.log)
        self.settings = reachable
        changes = {change.key: waits(change.key) for change in differences(running, wanted)}
        return _sentence(
            [key for key, reason in changes.items() if not reason],
            [f"{key} ({reason})" for key, reason in changes.items() if reason],
        )


def _sentence(applied: Sequence[str], waiting: Sequence[str]) -> str:
    changed = f"{_named(applied)} changed" if applied else "no setting changed"
    sentence = f"Reloaded: {changed}; passwords, tokens and the certificate were read again."
    return f"{sentence} Waiting for a restart: {_named(waiting)}." if waiting else sentence


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + more
