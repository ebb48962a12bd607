"""The devices' ledger: what was sent, what was acknowledged, and how that compares with what arrived.

One JSON object a line, appended only. A line's `e` says what happened, `t` when (microseconds since 1970-01-01 UTC) and
`id` to which payload:

| e | what | further fields |
| --- | --- | --- |
| sent | a publish was handed to the socket for the first time | client, topic, qos, payload or payload_base64 |
| resent | the device connected again and repeated it (QoS 1, or QoS 2 before its PUBREC) | |
| received | PUBREC: from here on the other side answers for a QoS 2 publish | |
| acked | PUBACK or PUBCOMP | |
| refused | the other side said no | reason (MQTT 5 reason code) |

A `sent` line is with the operating system before the bytes go to the socket, an `acked` line after the acknowledgement
came: a simulator that is killed leaves a ledger that is true, if at most one torn line short.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType


def payload_id(client: str, topic: str, payload: bytes) -> str:
    """16 hexadecimal digits that name a payload: the begin of the SHA-256 of client, topic and payload."""
    digest = hashlib.sha256(client.encode() + b"\0" + topic.encode() + b"\0")
    digest.update(payload)
    return digest.hexdigest()[:16]


class LedgerWriter:
    """Appends to a ledger. Lines wait in memory until `flush`, which `before sending` must call."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lines: list[str] = []
        _end_torn_line(path, self._file)

    def sent(self, name: str, client: str, topic: str, qos: int, payload: bytes) -> None:
        """A publish is about to be sent for the first time."""
        line: dict[str, object] = {
            "e": "sent",
            "t": _now_us(),
            "id": name,
            "client": client,
            "topic": topic,
            "qos": qos,
        }
        try:
            line["payload"] = payload.decode()
        except UnicodeDecodeError:
            line["payload_base64"] = base64.b64encode(payload).decode()
        self._lines.append(json.dumps(line, separators=(",", ":"), ensure_ascii=False))

    def resent(self, name: str) -> None:
        """A publish is about to be repeated on a new connection."""
        self._lines.append(f'{{"e":"resent","t":{_now_us()},"id":"{name}"}}')

    def received(self, name: str) -> None:
        """A PUBREC came."""
        self._lines.append(f'{{"e":"received","t":{_now_us()},"id":"{name}"}}')

    def acked(self, name: str) -> None:
        """A PUBACK or PUBCOMP came."""
        self._lines.append(f'{{"e":"acked","t":{_now_us()},"id":"{name}"}}')

    def refused(self, name: str, reason: int) -> None:
        """A PUBACK, PUBREC or PUBCOMP came that said no."""
        self._lines.append(f'{{"e":"refused","t":{_now_us()},"id":"{name}","reason":{reason}}}')

    def flush(self) -> None:
        """Hand every line to the operating system. Raises OSError when it does not take them."""
        if self._lines:
            data = memoryview(("\n".join(self._lines) + "\n").encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Flush and close; nothing more may be written."""
        if self._file >= 0:
            try:
                self.flush()
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _now_us() -> int:
    return time.time_ns() // 1000


def _end_torn_line(path: Path, file: int) -> None:
    """A killed writer may have left half a line; what is appended must not become part of it."""
    with path.open("rb") as reading:
        if reading.seek(0, os.SEEK_END):
            reading.seek(-1, os.SEEK_END)
            if reading.read(1) != b"\n":
                os.write(file, b"\n")


@dataclass(slots=True)
class Entry:
    """All that a ledger says of one payload; times in microseconds since 1970-01-01 UTC."""

    name: str
    client: str
    topic: str
    qos: int
    sent_at_us: int
    resent: int = 0
    received_at_us: int | None = None
    acked_at_us: int | None = None
    refused: int | None = None

    @property
    def promised(self) -> bool:
        """Whether the other side has answered for it: PUBACK, or for QoS 2 PUBREC already."""
        return self.refused is None and (self.acked_at_us is not None or self.received_at_us is not None)


@dataclass(slots=True)
class Ledger:
    """A ledger that was read: entries by id, in the order they were sent."""

    entries: dict[str, Entry] = field(default_factory=dict)
    torn_lines: int = 0
    """Lines that are no JSON object, as a killed writer leaves them."""


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; a torn line is counted and passed over. Raises OSError."""
    ledger = Ledger()
    for line in _objects(path):
        if line is None:
            ledger.torn_lines += 1
            continue
        name, event, at_us = str(line["id"]), line["e"], int(str(line["t"]))
        if event == "sent":
            ledger.entries[name] = Entry(name, str(line["client"]), str(line["topic"]), int(str(line["qos"])), at_us)
        elif entry := ledger.entries.get(name):
            if event == "resent":
                entry.resent += 1
            elif event == "received":
                entry.received_at_us = at_us
            elif event == "acked":
                entry.acked_at_us = at_us
            elif event == "refused":
                entry.refused = int(str(line["reason"]))
    return ledger


def _objects(path: Path) -> Iterator[dict[str, object] | None]:
    with path.open("rb") as file:
        for raw in file:
            if not raw.strip():
                continue
            try:
                line = json.loads(raw)
            except ValueError:
                yield None
                continue
            yield line if isinstance(line, dict) and {"e", "t", "id"} <= line.keys() else None
