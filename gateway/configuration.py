"""The configuration at work: what holds, where it came from, what a new file would change, and the change itself.

`reload` (SIGHUP, `fieldgate reload`, the API) reads the file again; `apply` takes a new text, writes it and does the
same. Both are all or nothing: the file is read and checked, the files that it names are checked, what can fail is
prepared; only then anything changes. What cannot change in a running gateway (`gateway.live_keys`) waits for a restart,
and is told until then: what is in force and what the file wants are both kept, and compared.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config.describe import effective_values
from config.errors import Problem
from config.loader import Loaded
from config.settings import GatewaySettings


class Applies(enum.Enum):
    """When a change of a key takes hold."""

    LIVE = "live"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One key of what is in force; secrets masked. `change` says when another value would take hold."""

    key: str
    value: str
    origin: str
    change: Applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between what is in force and a file; None: not there. `reason` says why it waits, if it does."""

    key: str
    before: str | None
    after: str | None
    effect: Applies
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a text would come to. `base` is the hash of the file as it is now: `apply` wants it back."""

    problems: Sequence[Problem] = ()
    changes: Sequence[Change] = ()
    advice: Sequence[str] = ()
    base: str

    @property
    def is_valid(self) -> bool:
        """Whether it could be applied."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Proposal):
    """What was done: nothing, where there are problems. `message` is the sentence for whoever asked for it."""

    applied: Sequence[str] = ()
    """Dotted keys that hold now."""
    waiting_for_restart: Sequence[str] = ()
    """All that wait, also since earlier."""
    message: str


class ConfigurationError(Exception):
    """The file could not be changed as asked; the message is a sentence."""

    code = "configuration"


class FileChanged(ConfigurationError):
    """Somebody else has changed the file since it was looked at (409)."""

    code = "file_changed"


class FileReadOnly(ConfigurationError):
    """The file can't be written, or there is none (409 or 507)."""

    code = "file_read_only"


class Applier(Protocol):
    """Who makes the parts of the gateway follow the settings."""

    async def apply(self, before: GatewaySettings, after: GatewaySettings) -> None:
        """All of it or nothing. Raises ConfigError, or GatewayError or another error with a sentence, and then nothing
        has changed."""


class Configuration:
    """What a gateway runs with. `path` is None where it runs with the defaults."""

    def __init__(self, loaded: Loaded[GatewaySettings], *, path: Path | None, environ: Mapping[str, str]) -> None:
        self.loaded = loaded
        """What is in force."""
        self.path = path
        self.read_at_us: int = 0
        """When the file was read last."""
        self._environ = environ
        self._lock = asyncio.Lock()

    @property
    def settings(self) -> GatewaySettings:
        """What is in force."""
        return self.loaded.settings

    @property
    def waiting_for_restart(self) -> Sequence[str]:
        """Dotted keys whose values in the file hold from the next start on."""
        return ()

    def effective(self) -> list[Value]:
        """Every key with its value, where it came from, and when a change of it would take hold; secrets masked."""
        return [
            Value(key=item.key, value=item.text, origin=item.origin, change=Applies.RESTART)
            for item in effective_values(self.loaded)
        ]

    async def check(self, text: str) -> Proposal:
        """What the text would come to as the file; changes nothing."""
        raise NotImplementedError

    async def apply(self, text: str, base: str, by: str) -> Report:
        """Write the text as the file, unless it has problems or the file is another than `base`; then reload.

        `by` is who asks for it, for the log. Raises FileChanged and FileReadOnly with a sentence; then nothing has
        changed."""
        raise NotImplementedError

    async def reload(self, by: str = "") -> Report:
        """Read the file again and apply it, with everything that it names; a bad one leaves the old one in force."""
        raise NotImplementedError
