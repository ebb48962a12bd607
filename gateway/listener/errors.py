"""What can go wrong with a door.

ListenerError    a listener could not be opened; its sentence says where and what to do
"""

from __future__ import annotations

import errno
import os
import socket
from typing import ClassVar

from config.settings import Address


class ListenerError(Exception):
    """A listener could not be opened. `retryable`: the same may work later without a change of the configuration."""

    code: ClassVar[str] = "listener"

    def __init__(self, message: str, *, name: str, address: Address, retryable: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.address = address
        self.retryable = retryable


def listener_error(name: str, address: Address, error: OSError) -> ListenerError:
    """The sentence for what the operating system said."""
    if isinstance(error, socket.gaierror):
        what = f"the host {address.host!r} has no address here; write an address of this machine in `bind`"
    elif error.errno == errno.EADDRINUSE:
        what = "another process listens there already; stop it, or choose another port in `bind`"
    elif error.errno in {errno.EACCES, errno.EPERM}:
        what = (
            "this user may not use that port; choose one above 1023 in `bind`, or give the service CAP_NET_BIND_SERVICE"
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        what = "this machine does not have that address; write one of its own in `bind`, or 0.0.0.0 for all of them"
    else:
        reason = os.strerror(error.errno) if error.errno else str(error)
        what = f"the operating system says: {reason}"
    return ListenerError(
        f"The listener {name!r} cannot listen on {address}: {what}.",
        name=name,
        address=address,
        retryable=error.errno == errno.EADDRINUSE,
    )
