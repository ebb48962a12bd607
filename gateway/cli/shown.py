"""What devices and servers sent, as it may stand on a terminal: never an escape, never a second line. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

_STRINGS_AND_BLANKS: Final = re.compile(r'("(?:\\.|[^"\\])*")|\s+')
_SHORT_BINARY_BYTES: Final = 64


def shown(text: str) -> str:
    """`text` on one line; controls, changes of direction and lone surrogates as Python writes them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or unicodedata.category(one) == "Zs" else repr(one)[1:-1] for one in text)


def one_line(text: str) -> str:
    """JSON without its line breaks, each number and string as it was written; other text as `shown`."""
    if text.isprintable():
        return text
    if text.lstrip()[:1] in {"{", "["}:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return shown(_STRINGS_AND_BLANKS.sub(_tightened, text.strip()))
    return shown(text)


def _tightened(found: re.Match[str]) -> str:
    return found[1] or (" " if "\n" not in found[0] and "\r" not in found[0] else "")


def binary(data: bytes) -> str:
    """Few bytes in hexadecimal, more in base64; the word before says which."""
    import base64

    if len(data) <= _SHORT_BINARY_BYTES:
        return f"hex:{data.hex(' ')}" if data else "(empty)"
    return f"base64:{base64.b64encode(data).decode()}"


def width(text: str) -> int:
    """The columns it takes on a terminal."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def cut(text: str, columns: int) -> str:
    """At most so many columns of it; an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    room, kept = columns - 1, []
    for one in text:
        room -= width(one)
        if room < 0:
            break
        kept.append(one)
    return "".join(kept) + "…"
