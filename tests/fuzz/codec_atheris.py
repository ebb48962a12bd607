"""The codec under coverage guidance: `make fuzz-codec`, or python tests/fuzz/codec_atheris.py -runs=10000000.

An input is one byte that says how it is read, then what a client sends. Whatever comes: `Reader.feed` raises nothing;
what it refuses, it refuses with one of the declared errors; it keeps no more than what came; and the packets and the
error are the same however the bytes are cut. Topics are checked as the broker checks them.

atheris is no dependency of the project (it has wheels for some machines only): the make target puts it into a
folder of its own, where inputs that lead somewhere new are kept, too. Arguments are libFuzzer's.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["gateway.mqtt"]):
    from gateway.mqtt.errors import ProtocolViolation, TopicNameInvalid
    from gateway.mqtt.packets import PublishBatch
    from gateway.mqtt.reader import Reader
    from gateway.mqtt.topics import check_topic_name

from config.settings import Limits
from tests.support.mqtt_bytes import connect, rows
from tests.support.odd_packets import everything

MAX_PACKET_BYTES = 4096
LIMITS = Limits(max_topic_levels=8, max_user_properties=4)
LEVELS = (None, 3, 4, 5)
CONNECTS = {level: connect(level) for level in (3, 4, 5)}
CUTS = (1, 2, 3, 5, 7, 16, 100, 1000)


def new_reader() -> Reader:
    """One that has read nothing."""
    return Reader(max_packet_size_bytes=MAX_PACKET_BYTES, topic_alias_maximum=3, limits=LIMITS)


def read(level: int | None, data: bytes, size: int) -> tuple[list[object], type[ProtocolViolation] | None]:
    """The packets, apart, and the kind of the error."""
    reader = new_reader()
    if level is not None:
        reader.feed(CONNECTS[level])
    found: list[object] = []
    for at in range(0, len(data), size):
        packets = reader.feed(data[at : at + size])
        found += rows(packets)
        if reader.pending_bytes > min(len(data), MAX_PACKET_BYTES + size):
            raise AssertionError("The reader keeps more than what came, or than a packet may have.")
        for packet in packets:
            if isinstance(packet, PublishBatch):
                for topic in packet.topics:
                    with contextlib.suppress(TopicNameInvalid):
                        check_topic_name(topic)
    if reader.error is not None:
        if not isinstance(reader.error, ProtocolViolation) or not str(reader.error).endswith("."):
            raise AssertionError(f"{reader.error!r} is not one of the declared errors.")
        return found, type(reader.error)
    return found, None


def test_one_input(data: bytes) -> None:
    """Called by libFuzzer."""
    if not data:
        return
    how, data = data[0], data[1:]
    level = LEVELS[how & 3]
    whole = read(level, data, max(1, len(data)))
    if how & 0x60:  # three of four are not read twice, which would take twice as long
        return
    pieces = read(level, data, CUTS[how >> 2 & 7])
    if repr(whole) != repr(pieces):  # properties are compared by identity otherwise
        raise AssertionError(f"Cut, it reads otherwise:\n{whole}\n{pieces}")


def seeds(folder: Path) -> None:
    """Every odd packet as a file, with its own way to be read."""
    for number, odd in enumerate(everything()):
        how = 0 if odd.is_first else odd.level - 2
        (folder / f"{number:05}").write_bytes(bytes((how | number % 8 << 2,)) + odd.data)


def main() -> None:
    """Run libFuzzer; it ends the process."""
    folder = Path(atheris.__file__).parents[1] / "corpus"
    folder.mkdir(exist_ok=True)
    seeds(folder)
    options = ["-max_len=2048", "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={folder.parent}/"]
    atheris.Setup([*sys.argv, *options, str(folder)], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
