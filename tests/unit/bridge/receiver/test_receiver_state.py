"""The receiver's state file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from bridge.receiver import aside_table
from bridge.receiver.errors import StateLocked, StateUnusable
from bridge.receiver.state import Aside, FileMark, State


def aside(data: bytes) -> Aside:
    return Aside(received_at_us=1, code="bad_magic", reason="No frame.", topic="t", data=data)


async def test_a_second_process_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    state = await State.open(path)
    with pytest.raises(StateLocked, match=r"Another receiver is running with the state file .*receiver\.db\. Stop it"):
        await State.open(path)
    await state.close()
    await (await State.open(path)).close()


async def test_what_is_no_state_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(StateUnusable, match=r"receiver\.db cannot be opened: file is not a database\. .* move it away"):
        await State.open(path)


async def test_a_state_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    await (await State.open(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StateUnusable, match="version 9"):
        await State.open(path)


async def test_progress_of_a_sink_is_found_again(tmp_path: Path) -> None:
    mark = FileMark(inode=7, length=100, head=b"abc")
    async with contextlib.AsyncExitStack() as stack:
        state = await State.open(tmp_path / "receiver.db")
        stack.push_async_callback(state.close)
        assert await state.file_mark("jsonl:x") is None
        await state.save_progress("jsonl:x", [], mark)
        assert await state.file_mark("jsonl:x") == mark
        await state.settle([], [], {"frames": 2})
        await state.settle([], [], {"frames": 3, "records": 1})
        assert await state.tallies() == {"frames": 5, "records": 1}


async def test_what_is_set_aside_is_bounded_in_bytes_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside_table, "MAX_SET_ASIDE_BYTES", 10)
    monkeypatch.setattr(aside_table, "MAX_SET_ASIDE_ROWS", 4)
    path = tmp_path / "receiver.db"
    state = await State.open(path)
    await state.settle([], [aside(b"123456"), aside(b"1234567"), aside(b"1234")], {})
    await state.settle([], [aside(b""), aside(b"too many")], {})
    await state.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT size, bytes FROM set_aside ORDER BY id").fetchall()
    assert rows == [(6, b"123456"), (7, None), (4, b"1234"), (0, b"")]


async def test_what_is_set_aside_is_read_page_by_page_and_discarded(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        state = await State.open(tmp_path / "receiver.db")
        stack.push_async_callback(state.close)
        await state.settle([], [aside(b"a" * 300), aside(b"b"), aside(b"c")], {})
        assert state.set_aside == 3
        newest = await state.asides(limit=2)
        assert [item.id for item in newest] == [3, 2]
        assert [item.id for item in await state.asides(before=2, limit=2)] == [1]
        assert (await state.aside_bytes(1, max_bytes=256), await state.aside_bytes(1)) == (b"a" * 256, b"a" * 300)
        assert (await state.aside(9), await state.aside_bytes(9)) == (None, None)
        assert await state.discard_asides([2, 2, 9]) == 1
        assert await state.discard_asides(None) == 2
        assert state.set_aside == 0


async def test_the_id_of_what_was_discarded_is_never_given_again(tmp_path: Path) -> None:
    state = await State.open(tmp_path / "receiver.db")
    await state.settle([], [aside(b"a"), aside(b"b")], {})
    await state.discard_asides(None)
    await state.close()
    async with contextlib.AsyncExitStack() as stack:
        state = await State.open(tmp_path / "receiver.db")
        stack.push_async_callback(state.close)
        await state.settle([], [aside(b"c")], {})
        assert [item.id for item in await state.asides(limit=9)] == [3]
        assert state.set_aside == 1
