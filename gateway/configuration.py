"""The gateway's configuration at work: as every one is (`bridge.configuration`), and with a file that can be replaced.

`reload` (SIGHUP, `fieldgate reload`, the API) reads the file again; `apply` takes a new text, writes it and does the
same. What cannot change in a running gateway, `gateway.live_keys` knows.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from bridge.configuration import InForce, Prepared
from bridge.ports import Clock
from config.describe import effective_values
from config.errors import ConfigError
from config.loader import Loaded, load_gateway_text
from config.report import Proposal, Report, Value
from config.settings import GatewaySettings
from gateway import configuration_file
from gateway.configuration_file import FileReadOnly
from gateway.live_keys import Waiting, applies
from gateway.named_files import check_named_files


class Applier(Protocol):
    """Who makes the parts of the gateway follow the settings."""

    def is_in_use(self, listener: str) -> bool:
        """Whether somebody is connected to the listener of that name."""

    async def prepare(self, before: GatewaySettings, after: GatewaySettings) -> Prepared:
        """Do all that can fail, and change nothing that anybody would notice. Raises ConfigError, or CannotApply."""


class Configuration(InForce[GatewaySettings, Applier]):
    """What a gateway runs with. `path` is None where it runs with the defaults."""

    program = "gateway"
    read_again = "password files, keys of tokens, ACL files and certificates were read again"
    logger = logging.getLogger(__name__)

    def __init__(
        self,
        loaded: Loaded[GatewaySettings],
        *,
        path: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(loaded, path=path, clock=clock)
        self._environ = environ

    def effective(self) -> list[Value]:
        """Every key with its value, where it came from, and when a change of it would take hold; secrets masked."""
        return [
            Value(key=item.key, value=item.text, origin=item.origin, change=applies(item.key))
            for item in effective_values(self.loaded)
        ]

    async def check(self, text: str) -> Proposal:
        """What the text would come to as the file; changes nothing."""
        base = await asyncio.to_thread(self._base)
        try:
            plan = await self._plan(partial(self._read_text, text))
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
            if await asyncio.to_thread(self._base) != base:
                raise configuration_file.changed(self.path)
            write = partial(configuration_file.write, self.path, text, base)
            return self._told(await self._change(by, partial(self._read_text, text), write), by)

    def _base(self) -> str:
        return configuration_file.hash_of(self.path)

    def _read(self) -> Loaded[GatewaySettings]:
        if self.path is not None:
            return self._read_text(configuration_file.read(self.path))
        check_named_files(self._wanted)
        return self._wanted

    def _read_text(self, text: str) -> Loaded[GatewaySettings]:
        """The text as the file would be. Blocks. Raises ConfigError."""
        wanted = load_gateway_text(text, self.path, self._environ)
        check_named_files(wanted)
        return wanted

    def _waits(self, wanted: GatewaySettings) -> Waiting:
        applier = self._applier
        return Waiting(self.settings, wanted, is_in_use=applier.is_in_use if applier else lambda _: True)
