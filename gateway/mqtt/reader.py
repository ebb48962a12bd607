"""A client's bytes become packets: incremental, bounded, without I/O.

Theory of operation. `feed` takes what the socket gave and returns the packets that are complete, in their order. What
is left over, at most one incomplete packet, is kept: the tail. As soon as a packet's header is there its whole size is
known; a size over the maximum is refused then, before any of its body is kept, and a size within it tells how much to
wait for, so that a large packet in many small pieces is collected in one growing buffer and looked at again only when
it is whole. The memory of a reader is therefore bounded by the maximum packet size plus one piece.

Errors do not raise: `feed` returns the packets that came before the wrong one and sets `error`. The connection first
does what those ask for, then closes with `error.reason_code`. After an error the reader takes nothing more.

A quarter of a megabyte can be a hundred thousand packets. `feed` returns no more than `max_packets` at once (a run of
publishes is one) and then sets `is_behind`: the others are asked for by feeding it nothing.

Before CONNECT nothing else is allowed [MQTT-3.1.0-1], nor is a second CONNECT [MQTT-3.1.0-2]. `version` is set by
CONNECT as soon as its protocol level is read, even when the rest of it is wrong, so that the refusal can be written in
that version.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable
from typing import Final

from config.settings import Limits
from gateway.mqtt.connect import read_connect, read_version
from gateway.mqtt.control import read_answer, read_auth, read_disconnect, read_subscribe, read_unsubscribe
from gateway.mqtt.cursor import DEFAULT_LIMITS, Cursor
from gateway.mqtt.errors import MalformedPacket, PacketTooLarge, ProtocolError, ProtocolViolation
from gateway.mqtt.header import PacketType, check_first_byte, read_header
from gateway.mqtt.packets import Packet, PingReq, PubAck, PubAcks, PubComp, PubRec, PubRel, Version
from gateway.mqtt.properties import Place
from gateway.mqtt.publish_run import PublishRuns
from gateway.mqtt.reason_codes import PUBACK_CODES, PUBCOMP_CODES, PUBREC_CODES, PUBREL_CODES

MAX_CONTROL_BYTES: Final = 256 * 1024
"""Of a packet other than PUBLISH: a SUBSCRIBE of two megabytes keeps the loop busy for seconds."""

_PINGREQ: Final = PingReq()
_SHORT_PUBREL: Final = b"\x62\x02"
_SHORT_PUBACKS: Final = re.compile(rb"(?:\x40\x02(?!\0\0)..){2,}+", re.DOTALL)
"""PUBACKs that end with their packet id, which is not 0 [MQTT-2.2.1-3]."""
_PUBLISH_FIRST_BYTES: Final = frozenset(range(0x30, 0x36)) | {0x3A, 0x3B, 0x3C, 0x3D}
"""QoS 0 to 2, with and without RETAIN; DUP only above QoS 0 [MQTT-3.3.1-2]."""
_ANSWERS: Final[dict[PacketType, tuple[Callable[..., Packet], Place, frozenset[int]]]] = {
    PacketType.PUBACK: (PubAck, Place.PUBACK, PUBACK_CODES),
    PacketType.PUBREC: (PubRec, Place.PUBREC, PUBREC_CODES),
    PacketType.PUBCOMP: (PubComp, Place.PUBCOMP, PUBCOMP_CODES),
}


class Reader:
    """Reads one connection's packets; sizes in bytes, of whole packets with their fixed headers.

    `first_packet_limit_bytes` bounds everything before a complete CONNECT, from a peer that nobody knows yet.
    `topic_alias_maximum` is what the CONNACK announces; `limits` are what a packet may hold.
    """

    def __init__(
        self,
        *,
        max_packet_size_bytes: int,
        first_packet_limit_bytes: int = 65_536,
        topic_alias_maximum: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        max_packets: int = sys.maxsize,
    ) -> None:
        self.version: Version | None = None
        self.error: ProtocolViolation | None = None
        self._max_packet_size_bytes = max_packet_size_bytes
        self._limit_bytes = min(first_packet_limit_bytes, max_packet_size_bytes)
        self._topic_alias_maximum = topic_alias_maximum
        self._limits = limits
        self._max_packets = max_packets
        self.is_behind = False
        """Whether there may be whole packets in what is kept."""
        self._runs: PublishRuns | None = None
        self._tail = bytearray()
        self._wanted_bytes = 0
        """No packet can be complete before the tail has so many bytes."""

    @property
    def connected(self) -> bool:
        """Whether a valid CONNECT was read."""
        return self._runs is not None

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete packet is kept."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes, oldest first; look at `error` afterwards. Raises nothing."""
        packets: list[Packet] = []
        if self.error is not None:
            return packets
        self.is_behind = False
        if self._tail:
            self._tail += data
            if len(self._tail) < self._wanted_bytes:
                return packets
            data = bytes(self._tail)
            self._tail = bytearray()
        try:
            pos = self._read(data, packets)
        except ProtocolViolation as violation:
            # Kept without its traceback, whose frames hold this reader: a cycle that kept the bytes of the packet.
            self.error = violation.with_traceback(None)
            return packets
        if pos < len(data):
            self._tail += data[pos:] if pos else data
        return packets

    def _read(self, buffer: bytes, packets: list[Packet]) -> int:
        """Read all complete packets; returns where the incomplete one begins."""
        pos, end = 0, len(buffer)
        while pos < end:
            if len(packets) >= self._max_packets:
                self.is_behind = True
                self._wanted_bytes = 0
                break
            runs = self._runs
            if runs is not None and buffer[pos] in _PUBLISH_FIRST_BYTES:  # the short way for what comes nearly always
                batch, run_end, error = runs.read(buffer, pos)
                if batch is not None:
                    packets.append(batch)
                if error is not None:
                    raise error
                if run_end > pos:
                    pos = run_end
                    continue
            packet_type = check_first_byte(buffer[pos], self.version)
            if (runs is None) != (packet_type is PacketType.CONNECT):
                raise ProtocolError(
                    f"{packet_type.name} came before CONNECT." if runs is None else "A second CONNECT came."
                )
            header = read_header(buffer, pos, self.version)
            if header is None:
                self._wanted_bytes = end - pos + 1
                break
            body, stop = header
            limit_bytes = self._limit_bytes
            if packet_type is not PacketType.PUBLISH:
                limit_bytes = min(limit_bytes, MAX_CONTROL_BYTES)
            if stop - pos > limit_bytes:
                raise PacketTooLarge(f"{packet_type.name} has {stop - pos} bytes; it may have {limit_bytes}.")
            if stop > end:
                self._wanted_bytes = stop - pos
                break
            pos = self._read_other(packet_type, buffer, pos, body, stop, packets)
        return pos

    def _read_other(
        self, packet_type: PacketType, buffer: bytes, pos: int, body: int, stop: int, packets: list[Packet]
    ) -> int:
        """One packet that is whole, and no ordinary PUBLISH; returns where it, or a run that it begins, ends."""
        if packet_type is PacketType.PUBREL:
            return self._read_pubrels(buffer, pos, body, stop, packets)
        if packet_type is PacketType.PUBACK:
            run = _SHORT_PUBACKS.match(buffer, pos)
            if run is not None:
                packets.append(PubAcks(packet_ids=_packet_ids(run[0])))
                return run.end()
        if packet_type is PacketType.PUBLISH and self._runs is not None:  # DUP with QoS 0, which 3.1 takes
            batch, stop, error = self._runs.read(buffer, pos)
            if batch is not None:
                packets.append(batch)
            if error is not None:
                raise error
            return stop
        cursor = Cursor(buffer, packet=packet_type.name, pos=body, end=stop, limits=self._limits)
        packets.append(self._connect(buffer[pos], cursor) if self._runs is None else self._control(packet_type, cursor))
        return stop

    def _connect(self, first: int, cursor: Cursor) -> Packet:
        self.version = version = read_version(cursor)
        if first != 0x10 and version is not Version.V31:  # which did not use the flags
            raise MalformedPacket("The flags of CONNECT are not 0000.")  # [MQTT-2.1.3-1]
        connect = read_connect(cursor, version)
        self._limit_bytes = self._max_packet_size_bytes
        self._runs = PublishRuns(
            version,
            max_packet_size_bytes=self._max_packet_size_bytes,
            topic_alias_maximum=self._topic_alias_maximum,
            limits=self._limits,
        )
        return connect

    def _read_pubrels(self, buffer: bytes, pos: int, body: int, stop: int, packets: list[Packet]) -> int:
        """A run of PUBRELs: the short ones in a loop of two slices, a longer one on its own (§3.6)."""
        packet_ids: list[bytes] = []
        try:
            if buffer[pos : pos + 2] != _SHORT_PUBREL:
                cursor = Cursor(buffer, packet="PUBREL", pos=body, end=stop, limits=self._limits)
                packet_id, _ = read_answer(cursor, self.version, Place.PUBREL, PUBREL_CODES)
                packet_ids.append(packet_id.to_bytes(2, "big"))
                pos = stop
            while buffer[pos : pos + 2] == _SHORT_PUBREL:
                raw = buffer[pos + 2 : pos + 4]
                if len(raw) < 2:
                    break
                if raw == b"\0\0":
                    raise ProtocolError("The packet identifier of PUBREL is 0.")  # [MQTT-2.2.1-3]
                packet_ids.append(raw)
                pos += 4
        finally:
            if packet_ids:
                packets.append(PubRel(packet_ids=packet_ids))
        return pos

    def _control(self, packet_type: PacketType, cursor: Cursor) -> Packet:
        """A packet that comes one at a time."""
        version = self.version
        if packet_type is PacketType.PINGREQ:
            cursor.finish()
            return _PINGREQ
        if packet_type is PacketType.SUBSCRIBE:
            return read_subscribe(cursor, version)
        if packet_type is PacketType.UNSUBSCRIBE:
            return read_unsubscribe(cursor, version)
        if packet_type is PacketType.DISCONNECT:
            return read_disconnect(cursor, version)
        if packet_type is PacketType.AUTH:
            return read_auth(cursor)
        answer, place, codes = _ANSWERS[packet_type]
        packet_id, reason_code = read_answer(cursor, version, place, codes)
        return answer(packet_id=packet_id, reason_code=reason_code)


def _packet_ids(run: bytes) -> list[int]:
    """The packet ids of a run of packets of four bytes: a thousand of them in a few microseconds."""
    words = array("H", run)
    if sys.byteorder == "little":
        words.byteswap()
    return words[1::2].tolist()
