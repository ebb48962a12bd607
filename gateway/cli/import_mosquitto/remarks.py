"""What a person has to know about what was not carried over as it stood."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gateway.cli.import_mosquitto.conf import Line


class Kind(enum.Enum):
    """How much it matters."""

    LEFT_OUT = "left_out"
    """Nothing here does the same."""
    DIFFERENT = "different"
    """It was carried over, and means something a little different."""
    NEEDLESS = "needless"
    """The gateway does so anyway, or has no use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """`place` and `option` are None for what Mosquitto does without being told."""

    kind: Kind
    sentence: str
    place: str | None = None
    option: str | None = None


SECRETS: Final = frozenset({"bridge_psk", "local_password", "password", "remote_password", "tls_engine_kpass_sha1"})
"""Options whose values are shown to nobody."""


class Remarks:
    """Collects them."""

    def __init__(self) -> None:
        self.all: list[Remark] = []

    def add(self, kind: Kind, line: Line | None, sentence: str) -> None:
        """Note what is to be said of a line."""
        place, option = (None, None) if line is None else (line.place, f"{line.option} {line.value}".rstrip())
        if line is not None and line.option in SECRETS:
            option = line.option
        self.all.append(Remark(kind=kind, sentence=sentence, place=place, option=option))

    def left_out(self, line: Line, sentence: str) -> None:
        """Nothing here does the same."""
        self.add(Kind.LEFT_OUT, line, sentence)

    def different(self, line: Line | None, sentence: str) -> None:
        """It means something a little different here."""
        self.add(Kind.DIFFERENT, line, sentence)

    def needless(self, line: Line, sentence: str) -> None:
        """It needs no setting."""
        self.add(Kind.NEEDLESS, line, sentence)
