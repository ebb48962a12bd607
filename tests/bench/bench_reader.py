"""How many PUBLISHes a second the reader turns into columns: `python tests/bench/bench_reader.py`.

One buffer of 1400 packets with 160-byte payloads is fed again and again; the best of several rounds counts, because
whatever else runs on the machine only ever slows it. The aim is 1.2 million a second for the first line (Python 3.11,
one core). "mixed" has 80 topics and payloads of 13 different lengths; "cut" feeds the bytes in pieces of 16 KiB, as
sockets do.
"""

from __future__ import annotations

import argparse
import struct
import time

from gateway.mqtt.reader import Reader

PACKETS = 1400
PAYLOAD_BYTES = 160
USER_PROPERTY = b"\x26\x00\x04unit\x00\x07celsius"


def connect(level: int) -> bytes:
    """A CONNECT of protocol level 4 or 5."""
    body = b"\x00\x04MQTT" + bytes((level, 2)) + b"\x00\x3c" + (b"\x00" if level == 5 else b"") + b"\x00\x05bench"
    return bytes((0x10, len(body))) + body


def publishes(*, qos: int = 1, mixed: bool = False, level: int = 4, properties: bytes = b"") -> bytes:
    """The buffer."""
    packets = []
    for i in range(PACKETS):
        line, sensor = (i % 4, i % 20) if mixed else (1, 1)
        topic = b"factory/line%d/sensor%d/telemetry" % (line, sensor)
        payload = b"x" * (PAYLOAD_BYTES + (i * 7 % 13 - 6 if mixed else 0))
        body = struct.pack("!H", len(topic)) + topic
        if qos:
            body += struct.pack("!H", i + 1)
        if level == 5:
            body += bytes((len(properties),)) + properties
        body += payload
        packets.append(bytes((0x30 | qos << 1, len(body) & 127 | 128, len(body) >> 7)) + body)
    return b"".join(packets)


def rate(buffer: bytes, *, level: int = 4, piece_bytes: int | None = None, rounds: int = 60) -> float:
    """PUBLISHes a second, of the best round."""
    reader = Reader(max_packet_size_bytes=2**21)
    reader.feed(connect(level))
    step = piece_bytes or len(buffer)
    pieces = [buffer[at : at + step] for at in range(0, len(buffer), step)]
    best_s = float("inf")
    for _ in range(rounds):
        count = 0
        start = time.perf_counter()
        for piece in pieces:
            for batch in reader.feed(piece):
                count += len(batch)  # type: ignore[arg-type]
        best_s = min(best_s, time.perf_counter() - start)
        if count != PACKETS or reader.error is not None:
            raise SystemExit(f"The reader read {count} of {PACKETS} packets: {reader.error}")
    return PACKETS / best_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    v5 = {"level": 5, "rounds": rounds}
    figures = {
        "3.1.1, QoS 1": rate(publishes(), rounds=rounds),
        "3.1.1, QoS 1, mixed": rate(publishes(mixed=True), rounds=rounds),
        "3.1.1, QoS 1, mixed, cut": rate(publishes(mixed=True), piece_bytes=16384, rounds=rounds),
        "3.1.1, QoS 0": rate(publishes(qos=0), rounds=rounds),
        "5.0, QoS 1": rate(publishes(level=5), **v5),
        "5.0, QoS 1, a user property": rate(publishes(level=5, properties=USER_PROPERTY), **v5),
        "5.0, QoS 1, a user property, mixed": rate(publishes(level=5, properties=USER_PROPERTY, mixed=True), **v5),
    }
    for name, per_s in figures.items():
        print(f"{name:<36}{per_s / 1e6:6.2f} million PUBLISH/s")


if __name__ == "__main__":
    main()
