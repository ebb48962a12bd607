"""The version, as pyproject.toml has it: written here too, so that asking for it reads no metadata."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
