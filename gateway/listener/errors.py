"""What can go wrong with a door.

ListenerError    a listener could not be opened; its sentence says where and what to do
"""

from __future__ import annotations

import errno
import os
import socket
from typing import ClassVar

from config.settings import Address, UnixPath


class ListenerError(Exception):
    """A listener could not be opened. `retryable`: the same may work later without a change of the configuration."""

    code: ClassVar[str] = "listener"

    def __init__(self, message: str, *, name: str, address: Address | UnixPath, retryable: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.address = address
        self.retryable = retryable


def listener_error(name: str, address: Address | UnixPath, error: OSError) -> ListenerError:
    """The sentence for what the operating system said."""
    what = _unix_sentence(error) if isinstance(address, UnixPath) else _sentence(address, error)
    return ListenerError(
        f"The listener {name!r} cannot listen on {address}: {what}.",
        name=name,
        address=address,
        retryable=error.errno == errno.EADDRINUSE,
    )


def _sentence(address: Address, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host {address.host!r} has no address here; write an address of this machine in `bind`"
    if error.errno == errno.EADDRINUSE:
        return "another process listens there already; stop it, or choose another port in `bind`"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            "this user may not use that port; choose one above 1023 in `bind`, or give the service CAP_NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; write one of its own in `bind`, or 0.0.0.0 for all of them"
    return _system_says(error)


def _unix_sentence(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there already; stop it, or choose another path in `bind`"
    if error.errno == errno.ENOTSOCK:
        return "there is a file that is no socket; remove it, or choose another path in `bind`"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "its folder is not there; make it, or choose another path in `bind`"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "this user may not write in its folder; give it the right, or choose another path in `bind`"
    if error.errno is None or error.errno == errno.ENAMETOOLONG:
        return "the path is too long for a socket (107 bytes); choose a shorter one in `bind`"
    return _system_says(error)


def _system_says(error: OSError) -> str:
    return f"the operating system says: {os.strerror(error.errno) if error.errno else error}"
