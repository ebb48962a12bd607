"""Whether a password is a token at all; and the error of one that proves nothing."""

from __future__ import annotations

import re
from typing import Final

MAX_TOKEN_BYTES: Final = 16 * 1024

_SHAPE: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class BadToken(Exception):
    """The token proves nothing; the message is a sentence for the log, without the token."""


def looks_like_token(password: bytes) -> bool:
    """Whether a password has the shape of a token, so that it is worth a check."""
    return len(password) <= MAX_TOKEN_BYTES and _SHAPE.fullmatch(password) is not None
