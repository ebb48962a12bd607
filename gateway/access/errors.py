"""What can go wrong with the files that say who may come in.

ConfigError (config.errors)    exit code 78; carries every Problem with its file and line
└── AccessError                a password file, key file or ACL file can't be used as it stands

Nothing here helps by trying again: the operator has to mend a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from config.errors import ConfigError, Problem


class AccessError(ConfigError):
    """A file of an `access` can't be used. `problems` holds all mistakes, each with its place and what to do."""

    code: ClassVar[str] = "access"


def problem(file: Path, message: str, *, line: int | None = None) -> Problem:
    """A mistake in a file of an `access`; `line` counts from 1."""
    return Problem(file=str(file), line=line, column=None, key="", message=message)


def unreadable(file: Path, key: str, error: OSError) -> AccessError:
    """The sentence for a file that can't be read; `key` is the key of the settings that names it."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return AccessError(
        [problem(file, f"can't be read: {reason}. Make it readable for the gateway's user, or mend `{key}`.")]
    )


def unread(access: str, error: Exception) -> Problem:
    """Nobody foresaw why the files of an access can't be read."""
    sentence = f"the files of this access could not be read: {type(error).__name__}: {error}"
    return Problem(file="gateway.yaml", line=None, column=None, key=f"access[{access}]", message=sentence)
