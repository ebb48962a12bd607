"""Which web pages may use a WebSocket door that names none: those that came from the same host (RFC 6454 §4). Pure.

A browser lets every page connect anywhere, and says in `Origin` which page it is. Where the door asks for no proof,
that is all that keeps a page of somebody else's from using what the browser can reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

_HERE: Final = "localhost"


def is_own_page(origins: Sequence[str], hosts: Sequence[str]) -> bool:
    """Whether the page is of the host that it connects to; ports and schemes may differ. Each as the headers say it."""
    host = _name(f"//{hosts[0]}") if len(hosts) == 1 else None
    return host is not None and all(_name(origin) == host for origin in origins)


def _name(address: str) -> str | None:
    """The host of an address, this machine always by one name; None where there is none, as in `null`."""
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return None
    if not host:
        return None
    host = host.rstrip(".")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host
    return _HERE if ip.is_loopback else ip.compressed
