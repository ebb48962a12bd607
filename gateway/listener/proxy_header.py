"""PROXY protocol v2: a load balancer's header that says who is behind it (haproxy's proxy-protocol.txt). Pure.

Limits: MAX_HEADER_BYTES for the whole header; a longer one is refused when its length is read, before it is kept.

    12  signature   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
     1  version 2 (high half), command (low half): 0 LOCAL, 1 PROXY
     1  family (high half): 0 unknown, 1 IPv4, 2 IPv6, 3 Unix; transport (low half): 0 unknown, 1 stream, 2 datagram
     2  length of the rest, big endian
     …  source address, destination address, source port, destination port; of Unix two paths of 108 bytes
     …  TLVs, which are skipped

LOCAL is the balancer speaking for itself (a health check), and an unknown family means that it does not know: the
connection then counts as coming from where it comes.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from gateway.listener.peer import Peer, peer_of

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
HEAD_BYTES: Final = 16
MAX_HEADER_BYTES: Final = 4096

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_UNKNOWN: Final = 0x00
_STREAMS: Final = {0x11: 12, 0x21: 36, 0x31: 216}
"""Family and transport, with the bytes that their addresses take."""


class ProxyHeaderInvalid(Exception):
    """The connection does not begin with a PROXY header that can be read; its sentence says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """What the balancer says. `peer` None: it speaks for itself, or does not know."""

    peer: Peer | None
    size_bytes: int


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of `data`; None while it is not all there. Raises ProxyHeaderInvalid."""
    if data[:12] != SIGNATURE[: len(data)]:
        raise ProxyHeaderInvalid(
            "It does not begin with a PROXY v2 header, which `proxy_protocol: v2` asks of every connection."
        )
    if len(data) < HEAD_BYTES:
        return None
    command, kind = data[12], data[13]
    size_bytes = HEAD_BYTES + int.from_bytes(data[14:16], "big")
    if command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderInvalid(f"Its PROXY header has version and command 0x{command:02X}; 0x20 and 0x21 are known.")
    if size_bytes > MAX_HEADER_BYTES:
        raise ProxyHeaderInvalid(f"Its PROXY header has {size_bytes} bytes; it may have {MAX_HEADER_BYTES}.")
    needed_bytes = 0
    if command == _PROXY and kind != _UNKNOWN:
        if kind not in _STREAMS:
            raise ProxyHeaderInvalid(f"Its PROXY header speaks of family and transport 0x{kind:02X}, not of a stream.")
        needed_bytes = _STREAMS[kind]
        if size_bytes < HEAD_BYTES + needed_bytes:
            raise ProxyHeaderInvalid(f"Its PROXY header is too short for the addresses it speaks of (0x{kind:02X}).")
    if len(data) < size_bytes:
        return None
    return ProxyHeader(peer=_peer(kind, data) if needed_bytes else None, size_bytes=size_bytes)


def _peer(kind: int, data: bytes) -> Peer:
    at = HEAD_BYTES
    if kind == 0x11:
        return Peer(socket.inet_ntop(socket.AF_INET, data[at : at + 4]), int.from_bytes(data[at + 8 : at + 10], "big"))
    if kind == 0x21:
        host = socket.inet_ntop(socket.AF_INET6, data[at : at + 16])
        return peer_of((host, int.from_bytes(data[at + 32 : at + 34], "big")))
    return Peer()
