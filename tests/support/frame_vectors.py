"""Writes the test vectors of docs/frame-format: python -m tests.support.frame_vectors

What a vector must decode to is written down here by hand, from the format's description and not through the decoder.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import google_crc32c

from bridge.block_builder import BlockBuilder
from bridge.compression import Codec
from bridge.frame import FrameHeader, seal
from bridge.ports import Gap, StoredBlock
from bridge.record import Properties
from config.settings import Compression, Encoding

FOLDER = Path(__file__).parents[2] / "docs" / "frame-format"
START_US = 1_750_000_000_000_000
GATEWAY, STREAM, EPOCH = "edge-01", "telemetry", "0123456789abcdef"

PROPERTIES = Properties(
    payload_format_indicator=1, content_type="application/json", user_property=(("site", "north"), ("site", "2"))
)
Publish = tuple[int, str, str, int, bool, bytes, Properties | None]
"""Microseconds after START_US, client, topic, QoS, retain, payload, properties."""

FIRST: list[Publish] = [
    (0, "press-7", "plant/press-7/temperature", 1, False, b'{"celsius":21.5}', None),
    (250, "press-8", "plant/press-8/temperature", 0, False, b'{"celsius":22.25}', None),
    (1_000_001, "press-7", "plant/press-7/raw", 2, True, bytes([0, 255, 128, 10]), None),
]
SECOND: list[Publish] = [
    (2_000_000, "press-7", "plant/press-7/temperature", 1, False, "21,5 °C".encode(), PROPERTIES),
    (2_000_999, "press-9", "plant/press-9/state", 1, True, b"", None),
]


def stored(publishes: list[Publish], first_seq: int) -> StoredBlock:
    builder = BlockBuilder(START_US + publishes[0][0])
    for after_us, client, topic, qos, retain, payload, properties in publishes:
        builder.extend(
            client=client,
            now_us=START_US + after_us,
            topics=[topic.encode()],
            payloads=[payload],
            flags=bytes([qos << 1 | retain]),
            plain_size_bytes=0,
            properties=[properties] if properties else None,
        )
    body = builder.encode()
    return StoredBlock(
        first_seq=first_seq,
        count=len(publishes),
        received_at_us=START_US + publishes[0][0],
        raw_size_bytes=len(body),
        plain_size_bytes=0,
        compressed=False,
        body=body,
    )


def lines(publishes: list[Publish], first_seq: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for seq, (after_us, client, topic, qos, retain, payload, properties) in enumerate(publishes, first_seq):
        seconds, micros = divmod(after_us, 1_000_000)
        line: dict[str, Any] = {
            "gateway": GATEWAY,
            "stream": STREAM,
            "epoch": EPOCH,
            "seq": seq,
            "received_at": f"2025-06-15T15:06:{40 + seconds:02d}.{micros:06d}Z",
            "client": client,
            "topic": topic,
            "qos": qos,
            "retain": retain,
        }
        try:
            line["payload"] = payload.decode()
        except UnicodeDecodeError:
            line["payload_base64"] = base64.b64encode(payload).decode()
        if properties is not None:
            line["properties"] = {
                "payload_format_indicator": 1,
                "content_type": "application/json",
                "user_property": [["site", "north"], ["site", "2"]],
            }
        found.append(line)
    return found


def good() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Name to bytes and what they must decode to."""
    codec = Codec()
    vectors: dict[str, tuple[bytes, dict[str, Any]]] = {}

    def put(name: str, runs: list[list[Publish]], first_seq: int, gaps: tuple[Gap, ...] = (), **how: Any) -> None:
        blocks, records, seq = [], [], first_seq
        for run in runs:
            blocks.append(stored(run, seq))
            records += lines(run, seq)
            seq += len(run)
        header = FrameHeader(
            gateway=GATEWAY,
            stream=STREAM,
            epoch=EPOCH,
            first_seq=first_seq,
            count=seq - first_seq,
            gaps=gaps,
            sent_at_us=START_US + 3_000_000,
            **how,
        )
        expected: dict[str, Any] = {"gw": GATEWAY, "st": STREAM, "ep": EPOCH, "seq": first_seq, "n": seq - first_seq}
        if gaps:
            expected["gap"] = [[gap.first_seq, gap.count, gap.reason] for gap in gaps]
        vectors[name] = (seal(header, blocks, codec), {"header": expected, "records": records})

    for compression in Compression:
        put(f"blocks-{compression.value}", [FIRST, SECOND], 41, compression=compression)
        put(f"json-{compression.value}", [FIRST, SECOND], 41, compression=compression, encoding=Encoding.JSON)
    put("one-record", [SECOND[1:]], 1, compression=Compression.NONE)
    put(
        "gaps-before-records",
        [FIRST],
        100,
        gaps=(Gap(first_seq=41, count=9, reason="full"), Gap(first_seq=50, count=50, reason="expired")),
        compression=Compression.GZIP,
    )
    put("gaps-alone", [], 60, gaps=(Gap(first_seq=50, count=10, reason="dead_letter"),), compression=Compression.NONE)
    return vectors


def bad() -> dict[str, tuple[bytes, str]]:
    """Name to bytes and the code of the error that they must be refused with."""
    whole = good()["blocks-none"][0]
    gzip = good()["blocks-gzip"][0]
    flipped = bytearray(whole)
    flipped[60] ^= 0x01
    # The declared raw length, a uint16 or smaller after the key "raw", made one byte too small; the checksum is right.
    at = gzip.index(b"\xa3raw") + 4
    width = {0xCC: 1, 0xCD: 2}[gzip[at]]
    declared = int.from_bytes(gzip[at + 1 : at + 1 + width], "big") - 1
    bomb = gzip[: at + 1] + declared.to_bytes(width, "big") + gzip[at + 1 + width :]
    bomb = bomb[:4] + google_crc32c.value(bomb[8:]).to_bytes(4, "big") + bomb[8:]
    return {
        "bad-magic": (b"{" + whole[1:], "bad_magic"),
        "bad-version": (whole[:3] + b"\x63" + whole[4:], "unknown_version"),
        "bad-truncated": (whole[:-1], "truncated"),
        "bad-checksum": (bytes(flipped), "checksum"),
        "bad-inflates-past-its-length": (bomb, "inflate_bound"),
        "bad-trailing-bytes": (whole + b"\x00", "malformed"),
    }


def as_hex(data: bytes) -> str:
    return "".join(data[at : at + 32].hex() + "\n" for at in range(0, len(data), 32))


def main() -> None:
    for name, (data, expected) in good().items():
        (FOLDER / f"{name}.hex").write_text(as_hex(data))
        (FOLDER / f"{name}.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for name, (data, code) in bad().items():
        (FOLDER / f"{name}.hex").write_text(as_hex(data))
        (FOLDER / f"{name}.json").write_text(json.dumps({"error": code}) + "\n")


if __name__ == "__main__":
    main()
