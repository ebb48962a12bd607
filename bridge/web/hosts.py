"""Under which names the server answers, and who may ask from where. Pure.

A web page elsewhere can have its own name lead to this machine (DNS rebinding) and would then be of one origin with
the dashboard; so only names that can't be somebody else's are answered. And a page elsewhere can send requests here
without reading the answers; so a browser that says that it asks for another origin is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

_PORT = re.compile(r":\d{1,5}")


def split_host(written: str) -> tuple[str, str] | None:
    """Name and port ("" where none is written) of a Host header; None when it is no host."""
    if written.startswith("["):
        name, bracket, rest = written[1:].partition("]")
        if not bracket or not _is_address(name):
            return None
    else:
        name, colon, port = written.partition(":")
        rest = colon + port
    if rest and _PORT.fullmatch(rest) is None:
        return None
    name = name.removesuffix(".").casefold()
    return (name, rest[1:]) if name else None


def is_own_host(written: str, names: Iterable[str]) -> bool:
    """Whether a Host header names this server: an address, localhost, or one of `names`."""
    found = split_host(written)
    if found is None:
        return False
    name, _ = found
    return _is_address(name) or name == "localhost" or name in {item.removesuffix(".").casefold() for item in names}


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an Origin header is that of the page which this server gave out under `host`.

    The scheme is not compared: behind a proxy that ends TLS it is https there and http here.
    """
    scheme, separator, rest = origin.partition("://")
    if not separator or scheme not in {"http", "https"}:
        return False
    here, there = split_host(host), split_host(rest)
    if here is None or there is None or here[0] != there[0]:
        return False
    return here[1] == there[1] or {here[1], there[1]} <= {"", "443" if scheme == "https" else "80"}


def is_foreign(
    *,
    method: str,
    hosts: Sequence[str],
    origin: str | None,
    fetch_site: str | None,
    fetch_mode: str | None,
    fetch_dest: str | None,
) -> bool:
    """Whether a browser asks for a page that is not of this server. A link that is followed to here is not foreign.

    What a page elsewhere shows within itself is: a hundred frames that nobody sees would take all streams and exports.
    `hosts`: the names that the request calls us by, here and at a proxy; all of them are known to be ours.
    """
    if origin is not None and not any(is_own_origin(origin, host) for host in hosts):
        return True
    if fetch_site in {None, "same-origin", "none"}:
        return False
    return not (method in {"GET", "HEAD"} and fetch_mode == "navigate" and fetch_dest in {None, "document"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
