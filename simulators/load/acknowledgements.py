"""Counting acknowledgements: bytes compared with what was expected, parsed only where they differ.

Theory. A broker acknowledges in the order of the publishes, and its success has one shape for a whole run: four bytes,
or in MQTT 5 five or six when a reason code other than 0 (0x10, no matching subscribers) or an empty property length
follows. So the next acknowledgements are known beforehand, and one comparison in C counts a thousand of them and checks
every identifier too. What doesn't match is parsed packet by packet (§3.4): reason codes from 0x80 count as refused, an
identifier that isn't the next one as out of order; then the shape just met is expected from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.load.packets import PUBCOMP, PUBREC, ProtocolViolation, decode_length
from simulators.load.rings import acknowledgement_ring

_NAMES: Final = {0x40: "PUBACK", PUBREC: "PUBREC", PUBCOMP: "PUBCOMP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """One acknowledgement, parsed."""

    kind: int
    packet_id: int
    reason_code: int
    suffix: bytes


def parse(data: bytes) -> tuple[list[Acknowledgement], int]:
    """The whole acknowledgements at the start of `data`, and how many bytes they took. Raises ProtocolViolation."""
    found = []
    offset = 0
    while offset < len(data):
        length = decode_length(data, offset + 1)
        if length is None or len(data) < length[0] + length[1]:
            break
        body = data[length[1] : length[0] + length[1]]
        kind = data[offset]
        if kind not in _NAMES or len(body) < 2:
            raise ProtocolViolation(
                f"The broker sent a packet that begins 0x{kind:02x} where an acknowledgement was due."
            )
        reason_code = body[2] if len(body) > 2 else 0
        found.append(
            Acknowledgement(kind=kind, packet_id=body[0] << 8 | body[1], reason_code=reason_code, suffix=body[2:])
        )
        offset = length[0] + length[1]
    return found, offset


class AckCounter:
    """The acknowledgements of one kind on one connection: counts them, in order, from packet identifier 1."""

    __slots__ = ("_count", "_kind", "_ring", "_suffix", "disordered", "received", "refused", "size_bytes")

    def __init__(self, kind: int, count: int) -> None:
        self._kind = kind
        self._count = count
        self._suffix = b""
        self._ring = acknowledgement_ring(kind, count, b"")
        self.size_bytes = 4
        self.received = 0
        self.refused = 0
        self.disordered = 0

    @property
    def position(self) -> int:
        """Where in the turn the next acknowledgement stands, counted in acknowledgements."""
        return self.received % self._count

    def match(self, data: bytes) -> bool:
        """Count `data`, whole acknowledgements, if they are exactly those expected next; otherwise change nothing."""
        if not self._ring.startswith(data, self.position * self.size_bytes):
            return False
        self.received += len(data) // self.size_bytes
        return True

    def count_parsed(self, ack: Acknowledgement) -> None:
        """Count one that didn't match, and expect its shape from now on."""
        if not 1 <= ack.packet_id <= self._count:
            raise ProtocolViolation(
                f"The broker sent a {_NAMES[self._kind]} for packet identifier {ack.packet_id}, which is not in use."
            )
        if ack.packet_id != 1 + self.position:
            self.disordered += 1
        self.received += 1
        if ack.reason_code >= 0x80:
            self.refused += 1
        elif ack.suffix != self._suffix and len(ack.suffix) <= 2:
            self._suffix = ack.suffix
            self._ring = acknowledgement_ring(self._kind, self._count, ack.suffix)
            self.size_bytes = 4 + len(ack.suffix)


class PubAckReader:
    """The PUBACKs of one connection (QoS 1)."""

    __slots__ = ("_counter", "_rest")

    def __init__(self, counter: AckCounter) -> None:
        self._counter = counter
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Count what came. Raises ProtocolViolation for anything but PUBACK."""
        counter = self._counter
        if self._rest:
            data = self._rest + data
            self._rest = b""
        rest = len(data) % counter.size_bytes
        whole = data[:-rest] if rest else data
        if counter.match(whole):
            if rest:
                self._rest = data[-rest:]
            return
        acks, used = parse(data)
        for ack in acks:
            if ack.kind != 0x40:
                raise ProtocolViolation(f"The broker sent a {_NAMES[ack.kind]} to a publisher of QoS 1.")
            counter.count_parsed(ack)
        self._rest = data[used:]


class ExactlyOnceReader:
    """The PUBRECs and PUBCOMPs of one connection (QoS 2): in runs of one kind, each compared at once."""

    __slots__ = ("_comps", "_recs", "_rest")

    def __init__(self, recs: AckCounter, comps: AckCounter) -> None:
        self._recs = recs
        self._comps = comps
        self._rest = b""

    def feed(self, data: bytes) -> tuple[int, list[int]]:
        """Count what came; returns what is to be released with PUBREL.

        First how many PUBRECs came as expected, so that the next so many of the ring are meant; then the identifiers of
        those that had to be parsed and were not refused. Raises ProtocolViolation.
        """
        before = self._recs.received
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self._recs.size_bytes == 4 == self._comps.size_bytes:
            data = self._feed_runs(data)
        expected = self._recs.received - before
        acks, used = parse(data)
        self._rest = data[used:]
        release = []
        for ack in acks:
            if ack.kind == PUBREC:
                self._recs.count_parsed(ack)
                if ack.reason_code < 0x80:
                    release.append(ack.packet_id)
            elif ack.kind == PUBCOMP:
                self._comps.count_parsed(ack)
            else:
                raise ProtocolViolation("The broker sent a PUBACK to a publisher of QoS 2.")
        return expected, release

    def _feed_runs(self, data: bytes) -> bytes:
        """Count runs of four-byte packets; returns what is left, from the first that is not as expected."""
        kinds = data[0 : len(data) // 4 * 4 : 4]
        at = 0
        while at < len(kinds):
            counter, other = (self._recs, b"\x70") if kinds[at] == PUBREC else (self._comps, b"\x50")
            end = kinds.find(other, at)
            end = len(kinds) if end < 0 else end
            if not counter.match(data[4 * at : 4 * end]):
                break
            at = end
        return data[4 * at :]
