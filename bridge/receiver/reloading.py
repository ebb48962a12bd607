"""How the parts of a running receiver follow new settings: all that can fail first, then the change in one turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.configuration import CannotApply
from bridge.receiver.api import Api
from bridge.receiver.errors import AddressTaken, ReceiverError
from bridge.receiver.export import Export
from bridge.web.entrance import Prepared as PreparedApi
from config.settings import Log, ReceiverSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """A `bridge.configuration.Applier`."""

    api: Api
    export: Export
    set_up_log: Callable[[Log], None]

    async def prepare(self, before: ReceiverSettings, after: ReceiverSettings) -> PreparedChange:
        """Do all that can fail. Raises ConfigError, or CannotApply; then nothing has changed."""
        try:
            api = await self.api.prepare(after.api)
        except ReceiverError as error:
            key = "api.bind" if isinstance(error, AddressTaken) else "api.tls"
            raise CannotApply(key, str(error)) from error
        return PreparedChange(parts=self, before=before, after=after, api=api)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChange:
    """A `bridge.configuration.Prepared`."""

    parts: Reloading
    before: ReceiverSettings
    after: ReceiverSettings
    api: PreparedApi

    async def adopt(self) -> None:
        """Have it in force. Nothing of it waits: whoever cancels it has it done as a whole, or not begun."""
        self.parts.api.adopt(self.api)
        self.parts.export.adopt(self.after.telemetry)
        if self.after.log != self.before.log:
            self.parts.set_up_log(self.after.log)

    async def discard(self) -> None:
        """Leave everything as it was."""
        self.api.discard()
