"""The JSON lines sink, on real files."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.errors import SinkRefused, SinkUnavailable
from bridge.receiver.ledger import LaneKey
from bridge.receiver.sinks.jsonl import JsonLines
from bridge.receiver.state import State
from bridge.record import Properties
from tests.support.receiver_frames import EPOCH, frame
from tests.support.receiver_parts import batch

LANE = LaneKey("edge-01", "telemetry", EPOCH)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[State]:
    state = await State.open(folder / "receiver.db")
    try:
        yield state
    finally:
        await state.close()


def cut_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.cut-*")]


def seqs(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


async def test_a_line_has_the_documented_keys_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "received.jsonl"
    properties = Properties(content_type="text/plain", correlation_data=b"\xff", user_property=(("a", "b"), ("a", "c")))
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        ledger = await sink.open()
        await sink.write(
            batch(ledger, frame(1, ['{"t":"21 °C"}'.encode(), b"\xff\x00"], properties=[None, properties]))
        )
        await sink.close()
    first, second = path.read_text().splitlines()
    assert first == (
        '{"gateway":"edge-01","stream":"telemetry","epoch":"00000000000000aa","seq":1,'
        '"received_at":"2025-10-09T08:53:20.123456Z","client":"device-0","topic":"site/a/device-0","qos":1,'
        '"retain":true,"payload":"{\\"t\\":\\"21 °C\\"}"}'
    )
    line = json.loads(second)
    assert list(line)[-2:] == ["payload_base64", "properties"]
    assert base64.b64decode(line["payload_base64"]) == b"\xff\x00"
    assert line["properties"] == {
        "content_type": "text/plain",
        "user_property": [["a", "b"], ["a", "c"]],
        "correlation_data_base64": "/w==",
    }


@pytest.mark.parametrize("tail", [b'{"gateway":"edge-01","str', b'{"ga', b'{"gateway":"edge-01","seq":6}\n' * 3])
async def test_a_tail_that_was_not_accounted_for_is_cut_off_at_the_next_start(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        await sink.write(batch(await sink.open(), frame(1, 5)))
        await sink.close()
    with path.open("ab") as file:
        file.write(tail)
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        ledger = await sink.open()
        assert ledger[LANE].arrived.bounds == [1, 6]
        await sink.write(batch(ledger, frame(6, 2)))
        await sink.close()
    assert seqs(path) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b'{"gateway":"edge-01","str', False),
        (b'{"gateway":"edge-01","seq":6}\n', True),
        (b'{"gateway":"edge-01","seq":6}\n{"gat', True),
    ],
)
async def test_whole_lines_are_copied_to_a_file_beside_before_they_are_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tail: bytes, kept: bool
) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        await sink.write(batch(await sink.open(), frame(1, 5)))
        await sink.close()
        with path.open("ab") as file:
            file.write(tail)
        again = JsonLines(path, state, utc_now=lambda: datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC))
        await again.open()
        await again.close()
    assert seqs(path) == [1, 2, 3, 4, 5]
    copy = tmp_path / "received.jsonl.cut-20260203T040506.000007Z"
    assert cut_files(tmp_path) == [copy.name] * kept
    assert (str(copy) in caplog.text) is kept
    if kept:
        assert copy.read_bytes() == tail


async def test_a_crash_before_the_first_commit_leaves_an_empty_file_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        await sink.open()
        await sink.close()
        path.write_bytes(b'{"gateway":"edge-01","stre')
        again = JsonLines(path, state)
        await again.open()
        assert path.read_bytes() == b""
        await again.close()


async def test_a_file_that_somebody_put_there_is_appended_to_and_never_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        await sink.write(batch(await sink.open(), frame(1, 5)))
        await sink.close()
        path.unlink()
        path.write_bytes(b"somebody else's work" * 500)
        again = JsonLines(path, state)
        ledger = await again.open()
        await again.write(batch(ledger, frame(6, 1)))
        await again.close()
    text = path.read_text()
    assert text.startswith("somebody else's work" * 500 + "\n{")
    assert text.count("\n") == 2
    assert "is not the one written before" in caplog.text


async def test_an_own_file_with_a_tail_of_somebody_else_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        await sink.write(batch(await sink.open(), frame(1, 2)))
        await sink.close()
        with path.open("ab") as file:
            file.write(b"a note by the operator\n")
        again = JsonLines(path, state)
        await again.open()
        await again.close()
    assert path.read_text().endswith("a note by the operator\n")


async def test_when_the_file_is_rotated_away_a_new_one_is_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, rotated = tmp_path / "received.jsonl", tmp_path / "received.jsonl.1"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        ledger = await sink.open()
        await sink.write(batch(ledger, frame(1, 3)))
        path.rename(rotated)
        with caplog.at_level(logging.WARNING):
            await sink.write(batch(ledger, frame(4, 3)))
        await sink.close()
        again = JsonLines(path, state)
        assert (await again.open())[LANE].arrived.bounds == [1, 7]
        await again.close()
    assert (seqs(rotated), seqs(path)) == ([1, 2, 3], [4, 5, 6])
    assert "it is opened anew" in caplog.text


async def test_a_write_that_finds_no_room_is_undone_by_the_next_open(tmp_path: Path) -> None:
    path = tmp_path / "received.jsonl"
    async with opened(tmp_path) as state:
        sink = JsonLines(path, state)
        ledger = await sink.open()
        await sink.write(batch(ledger, frame(1, 3)))
        size = path.stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        try:
            with pytest.raises(SinkUnavailable, match=r"received\.jsonl cannot be written for now"):
                await sink.write(batch(ledger, frame(4, 3)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.stat().st_size == size + 100
        await sink.close()
        ledger = await sink.open()
        assert path.stat().st_size == size
        await sink.write(batch(ledger, frame(4, 3)))
        await sink.close()
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


async def test_a_folder_in_the_files_place_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "received.jsonl").mkdir()
    async with opened(tmp_path) as state:
        sink = JsonLines(tmp_path / "received.jsonl", state)
        with pytest.raises(SinkRefused, match="cannot be written: Is a directory"):
            await sink.open()
        await sink.close()


async def test_a_file_that_another_receiver_writes_to_is_refused_and_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "received.jsonl"
    (tmp_path / "other").mkdir()
    async with opened(tmp_path) as state, opened(tmp_path / "other") as other_state:
        sink, other = JsonLines(path, state), JsonLines(path, other_state)
        ledger = await sink.open()
        await sink.write(batch(ledger, frame(1, 3)))
        with pytest.raises(SinkRefused, match="Another receiver, or another sink, writes to the file"):
            await other.open()
        await other.close()
        await sink.write(batch(ledger, frame(4, 3)))
        await sink.close()
        await other.open()
        await other.close()
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


async def test_what_is_no_regular_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path) as state:
        sink = JsonLines(Path("/dev/null"), state)
        with pytest.raises(SinkRefused, match="is no file that can be appended to"):
            await sink.open()
        await sink.close()
