"""Which web pages may use a WebSocket door that names none: those that came from the same host (RFC 6454 §4). Pure.

A browser lets every page connect anywhere, and says in `Origin` which page it is. Where the door asks for no proof,
that is all that keeps a page of somebody else's from using what the browser can reach. A page elsewhere can have its
own name lead to this machine (DNS rebinding) and would then be of the same host; so only names that can't be somebody
else's make a page the door's own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

_HERE: Final = "localhost"


def is_own_page(origins: Sequence[str], hosts: Sequence[str], names: Collection[str]) -> bool:
    """Whether the page is of the host that it connects to; ports and schemes may differ. Each as the headers say it.

    `names`: what this machine is called, in lower case; an address and localhost need not be among them.
    """
    host = _name(f"//{hosts[0]}") if len(hosts) == 1 else None
    if host is None or not (host == _HERE or _is_address(host) or host in names):
        return False
    return all(_name(origin) == host for origin in origins)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
