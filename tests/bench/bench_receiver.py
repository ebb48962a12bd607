"""How many records a second the receiver brings into a sink: `python -m tests.bench.bench_receiver`.

Everything but the socket: frames of 2000 records (160-byte JSON from 20 devices, zstd) come from a link in memory that
keeps the receiver's window full; they are decoded, admitted by the ledgers, written and synced by the sink on a real
disk, settled and acknowledged. Counted from the first delivery to the last acknowledgement; the median of the rounds.
Aims on two cores: 100 000 a second into jsonl, 50 000 into sqlite.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from bridge.block_builder import BlockBuilder
from bridge.clock import SystemClock
from bridge.compression import Codec
from bridge.flow.backoff import Backoff
from bridge.frame import FrameHeader, seal
from bridge.ports import Delivery, LinkEvents, LinkLimits, Publish, StoredBlock
from bridge.receiver.decoder import Decoder
from bridge.receiver.held import Held
from bridge.receiver.receiver import RECEIVE_MAXIMUM, Receiver
from bridge.receiver.settler import Settler
from bridge.receiver.sinks.jsonl import JsonLines
from bridge.receiver.sinks.port import Sink
from bridge.receiver.sinks.sqlite import Sqlite
from bridge.receiver.state import State
from bridge.receiver.writer import SinkWriter
from config.settings import Retry

RECORDS_A_FRAME = 2000
RECEIVED_AT_US = 1_760_000_000_000_000
SINKS: dict[str, Callable[[Path, State], Sequence[Sink]]] = {
    "jsonl": lambda folder, state: [JsonLines(folder / "received.jsonl", state)],
    "sqlite": lambda folder, _state: [Sqlite(folder / "received.db")],
    "jsonl and sqlite": lambda folder, state: [JsonLines(folder / "received.jsonl", state), Sqlite(folder / "r.db")],
}


def payload(dice: random.Random, number: int) -> bytes:
    """160 bytes of JSON."""
    value = {
        "ts": 1_760_000_000_000 + number * 10,
        "temperature": round(dice.gauss(21, 2), 2),
        "humidity": round(dice.gauss(50, 5), 1),
        "pressure": round(dice.gauss(1013, 4), 2),
        "status": "ok",
        "site": "plant-3",
    }
    text = orjson.dumps(value)
    return text[:-1] + b',"pad":"' + b"x" * (160 - len(text) - 9) + b'"}'


def frames(count: int) -> list[bytes]:
    """Frames that follow each other, one block each."""
    dice, codec, made = random.Random(1), Codec(), []
    for number in range(count):
        builder = BlockBuilder(RECEIVED_AT_US + number * 100_000)
        for run in range(RECORDS_A_FRAME // 20):
            device = run % 20
            builder.extend(
                client=f"device-{device}",
                now_us=RECEIVED_AT_US + number * 100_000 + run * 900,
                topics=[b"plant-3/line-1/device-%d/telemetry" % device] * 20,
                payloads=[payload(dice, number * RECORDS_A_FRAME + run * 20 + i) for i in range(20)],
                flags=b"\x02" * 20,
                plain_size_bytes=0,
            )
        body = builder.encode()
        first_seq = 1 + number * RECORDS_A_FRAME
        block = StoredBlock(
            first_seq=first_seq,
            count=RECORDS_A_FRAME,
            received_at_us=RECEIVED_AT_US,
            raw_size_bytes=len(body),
            plain_size_bytes=0,
            compressed=False,
            body=body,
        )
        header = FrameHeader(
            gateway="edge-01",
            stream="telemetry",
            epoch="0123456789abcdef",
            first_seq=first_seq,
            count=RECORDS_A_FRAME,
            sent_at_us=RECEIVED_AT_US,
        )
        made.append(seal(header, [block], codec))
    return made


class Source:
    """A link that has frames to deliver, RECEIVE_MAXIMUM at a time."""

    def __init__(self, payloads: list[bytes]) -> None:
        self._payloads = payloads
        self._sent = 0
        self._acknowledged = 0
        self._events: LinkEvents | None = None
        self.finished = asyncio.Event()

    def attach(self, events: LinkEvents) -> Source:
        self._events = events
        return self

    async def connect(self) -> LinkLimits:
        return LinkLimits()

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        assert self._events is not None
        while self._sent < len(self._payloads) and self._sent - self._acknowledged < RECEIVE_MAXIMUM:
            data = self._payloads[self._sent]
            self._sent += 1
            self._events.on_delivery(
                Delivery(topic="fieldgate/v1/e/t", payload=data, qos=1, retain=False, packet_id=self._sent)
            )

    def acknowledge(self, delivery: Delivery) -> None:
        self._acknowledged += 1
        if self._acknowledged == len(self._payloads):
            self.finished.set()
        self._fill()

    def publish(self, message: Publish) -> int:
        raise NotImplementedError(message.topic)

    async def close(self) -> None:
        return None


async def measure(kind: str, payloads: list[bytes], folder: Path) -> float:
    """Records a second of one round."""
    clock, held, progress, stop = SystemClock(), Held(), asyncio.Event(), asyncio.Event()
    state = await State.open(folder / "receiver.db")
    writers = [
        SinkWriter(sink, held, clock=clock, backoff=Backoff(Retry(), random.random), on_progress=progress.set)
        for sink in SINKS[kind](folder, state)
    ]
    for writer in writers:
        await writer.start()
    source, decoder = Source(payloads), Decoder(1 << 26)
    receiver = Receiver(
        topic="#",
        connect=source.attach,
        decoder=decoder,
        held=held,
        writers=writers,
        settler=await Settler.open(state, clock),
        clock=clock,
        backoff=Backoff(Retry(), random.random),
        progress=progress,
    )
    began_s = time.perf_counter()
    running = asyncio.create_task(receiver.run(stop))
    await source.finished.wait()
    took_s = time.perf_counter() - began_s
    stop.set()
    await running
    decoder.close()
    await state.close()
    return len(payloads) * RECORDS_A_FRAME / took_s


def main() -> None:
    """Print one line a sink."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; a temporary one if left out")
    options = parser.parse_args()
    payloads = frames(max(1, options.records // RECORDS_A_FRAME))
    wire = sum(map(len, payloads)) / len(payloads) / RECORDS_A_FRAME
    print(f"{len(payloads)} frames of {RECORDS_A_FRAME} records, {wire:.1f} bytes a record; {os.cpu_count()} cores")
    for kind in SINKS:
        rates = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                rates.append(asyncio.run(measure(kind, payloads, Path(folder))))
        rounds = ", ".join(f"{rate:,.0f}" for rate in rates)
        print(f"{kind:18}{statistics.median(rates):12,.0f} records/s  (rounds: {rounds})", flush=True)


if __name__ == "__main__":
    main()
