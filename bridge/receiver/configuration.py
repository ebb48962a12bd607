"""The receiver's configuration at work: what of it can change while it receives.

That is how it is looked at, where its metrics go and how it logs: the sections `api`, `telemetry` and `log`. The link
and the sinks are what the ledger is about, so those wait for the next start, and are named until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.configuration import Applier, InForce
from bridge.ports import Clock
from config.api_changes import ApiChanges
from config.loader import Loaded
from config.merging import Waits
from config.report import Applies
from config.settings import ReceiverSettings

Reread = Callable[[], Loaded[ReceiverSettings]]
"""Reads and checks the file, and all that it names; blocks. Raises ConfigError with everything that is wrong."""

LIVE: Final = ("api", "telemetry", "log")
AT_START: Final = "the link and the sinks are made at the start"


def applies(key: str) -> Applies:
    """When another value of a dotted key takes hold, if nothing else has to wait."""
    return Applies.LIVE if key.partition(".")[0] in LIVE else Applies.RESTART


class Configuration(InForce[ReceiverSettings, Applier]):
    """What a receiver runs with. Without `reread` only the files that its settings name are read again."""

    program = "receiver"
    read_again = "passwords, tokens and the certificate were read again"
    logger = logging.getLogger(__name__)

    def __init__(
        self,
        loaded: Loaded[ReceiverSettings],
        *,
        path: Path | None = None,
        reread: Reread | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(loaded, path=path, clock=clock)
        self._reread = reread

    def _read(self) -> Loaded[ReceiverSettings]:
        return self._wanted if self._reread is None else self._reread()

    def _waits(self, wanted: ReceiverSettings) -> Waits:
        api = ApiChanges(self.settings.api, wanted.api)

        def waits(key: str) -> str:
            if applies(key) is Applies.RESTART:
                return AT_START
            return api.why_waits(key) if key.startswith("api.") else ""

        return waits
