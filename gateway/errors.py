"""What can stop a gateway from starting, or from going on.

GatewayError              the message is a sentence for the person who runs it
└── CannotStart           something that it needs is not to be had
    └── CannotListen      an address is taken, not ours, or not allowed
"""

from __future__ import annotations

import errno
from typing import ClassVar

from config.settings import Address


class GatewayError(Exception):
    """Root of the tree above."""

    code: ClassVar[str] = "gateway"


class CannotStart(GatewayError):
    """The gateway needs something that it can't have."""

    code = "cannot_start"


class CannotListen(CannotStart):
    """`address`, written at the configuration's `key`, can't be listened on; says why and what to do."""

    code = "cannot_listen"

    def __init__(self, key: str, address: Address, error: Exception) -> None:
        super().__init__(f"Cannot listen on {address} ({key}): {_reason(error)}")
        self.key = key
        self.address = address


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return "another program listens there. Is a second gateway running? Stop it, or write another port."
    if number == errno.EACCES:
        return "this user may not use that port. Write a port above 1023, or grant CAP_NET_BIND_SERVICE."
    if number == errno.EADDRNOTAVAIL or "could not bind on any address" in str(error):  # so asyncio says it since 3.13
        return "this machine does not have that address. Write one that it has, or 0.0.0.0 for all."
    return f"{error}. Write another address."
