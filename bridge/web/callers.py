"""Who calls, where a reverse proxy stands between. Pure.

What X-Forwarded-For, -Proto and -Host or RFC 7239's Forwarded say counts from the addresses in `api.trusted_proxies`
alone; from anyone else it is not looked at. Each proxy adds the address that it was called from at the right end, so
the list is read from there: what stands left of the first address that is no trusted proxy's was written by a caller.
A proxy knows one of the two forms and passes the other on as a caller wrote it. So where both are there and name
different callers neither is believed, and the proxy itself counts as the caller.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from config.settings import Network

MAX_HOPS: Final = 32
"""No chain of proxies is longer; what stands further left is not looked at."""

_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*+"|[^\s;,"]*)\s*')
_COMMA: Final = re.compile(",")
_PORT: Final = re.compile(r"(?::[0-9]{1,5})?")


class Headers(Protocol):
    """What a request carries."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """The values of a header, one a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`address`: whose tries are counted. `is_https`, `host`: how he called the proxy, as a trusted one says."""

    address: str
    is_https: bool = False
    host: str | None = None


def caller_of(peer: str, headers: Headers, proxies: Sequence[Network]) -> Caller:
    """Who calls over a connection from `peer`."""
    if not proxies or not is_in(peer, proxies):
        return Caller(address=peer)
    plain = _listed(headers, "X-Forwarded-For")
    named = [_pairs(element) for element in _listed(headers, "Forwarded")]
    by_plain, by_named = _walk(peer, plain, proxies), _walk(peer, [pairs.get("for", "") for pairs in named], proxies)
    if plain and named and by_plain[0] != by_named[0]:
        return Caller(address=peer)
    address, _ = by_plain if plain else by_named
    nearest = named[by_named[1]] if named else {}
    scheme = (_listed(headers, "X-Forwarded-Proto") or [nearest.get("proto", "")])[-1]
    host = (_listed(headers, "X-Forwarded-Host") or [nearest.get("host", "")])[-1]
    return Caller(address=address, is_https=scheme.casefold() == "https", host=host or None)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether it is an address of one of the networks."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def _walk(peer: str, hops: Sequence[str], proxies: Sequence[Network]) -> tuple[str, int]:
    """The last address that is no trusted proxy's, or the first of all; and the place of the hop that was read last."""
    address, at = peer, len(hops) - 1
    for place in range(len(hops) - 1, max(-1, len(hops) - 1 - MAX_HOPS), -1):
        found = _parsed(_without_port(hops[place]))
        if found is None:  # `unknown`, a name, or nonsense: nobody trusted says more than this
            break
        address, at = str(found), place
        if not any(found in network for network in proxies):
            break
    return address, at


def _listed(headers: Headers, name: str) -> list[str]:
    """The elements of all lines of a header, in order."""
    split = _split if name == "Forwarded" else _COMMA.split
    parts = [part.strip() for line in headers.getall(name, []) for part in split(line)]
    return [part for part in parts if part]


def _split(line: str) -> list[str]:
    """At the commas that do not stand within quotes."""
    parts, begin, is_quoted, is_escaped = [], 0, False, False
    for at, char in enumerate(line):
        if is_escaped:
            is_escaped = False
        elif char == "\\" and is_quoted:
            is_escaped = True
        elif char == '"':
            is_quoted = not is_quoted
        elif char == "," and not is_quoted:
            parts.append(line[begin:at])
            begin = at + 1
    return [*parts, line[begin:]]


def _pairs(element: str) -> dict[str, str]:
    """The parameters of one element of Forwarded; nothing where it is not one (RFC 7239, section 4)."""
    found: dict[str, str] = {}
    at = 0
    while at <= len(element):
        pair = _PAIR.match(element, at)
        if pair is None or pair[1].casefold() in found:
            return {}
        value = pair[2]
        found[pair[1].casefold()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = pair.end()
        if at < len(element) and element[at] != ";":
            return {}
        at += 1
    return found


def _without_port(written: str) -> str:
    if written.startswith("["):
        name, bracket, port = written[1:].partition("]")
        return name if bracket and _PORT.fullmatch(port) is not None else ""
    name, colon, port = written.partition(":")
    return name if colon and ":" not in port and _PORT.fullmatch(colon + port) is not None else written


def _parsed(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
