"""What the log is told of dropped records: not a line a commit, and each record in some line's count."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

from bridge.ports import Gap
from config.settings import MIB
from gateway.spool.drop_notices import DropNotices
from tests.support.doors import until
from tests.support.spool import running, settings, store


def full(first_seq: int, count: int) -> Gap:
    return Gap(first_seq=first_seq, count=count, reason="full")


@pytest.fixture(autouse=True)
def warnings_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="gateway.spool.drop_notices")


async def test_the_first_drop_is_told_at_once_and_what_follows_together(caplog: pytest.LogCaptureFixture) -> None:
    notices = DropNotices()
    notices.note("telemetry", full(1, 10))
    assert caplog.messages == ["Dropped 10 records of stream telemetry (numbers 1 to 10): the spool is full."]
    for seq in range(11, 1011, 100):
        notices.note("telemetry", full(seq, 100))
    assert len(caplog.messages) == 1
    notices.close()
    said = "Dropped 1\u202f000 records of stream telemetry since the last such line (numbers 11 to 1010)"
    assert caplog.messages[1:] == [f"{said}: the spool is full."]
    notices.close()
    assert len(caplog.messages) == 2


async def test_each_stream_and_reason_has_its_own_lines(caplog: pytest.LogCaptureFixture) -> None:
    notices = DropNotices()
    notices.note("telemetry", full(5, 1))
    notices.note("alarms", full(5, 1))
    notices.note("telemetry", Gap(first_seq=6, count=2, reason="expired"))
    notices.close()
    assert caplog.messages == [
        "Dropped 1 record of stream telemetry (number 5): the spool is full.",
        "Dropped 1 record of stream alarms (number 5): the spool is full.",
        "Dropped 2 records of stream telemetry (numbers 6 to 7): past their time-to-live.",
    ]


async def test_numbers_with_others_between_them_are_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    notices = DropNotices()
    notices.note("telemetry", full(1, 1))
    notices.note("telemetry", full(2, 2))
    notices.note("telemetry", full(8, 2))
    notices.close()
    assert "Dropped 4 records of stream telemetry since the last such line (among the numbers 2 to 9)" in caplog.text


async def test_a_line_follows_after_a_while_and_the_first_of_a_later_time_is_told_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notices = DropNotices(every_s=0.05)
    notices.note("telemetry", full(1, 1))
    notices.note("telemetry", full(2, 3))
    await until(lambda: len(caplog.messages) == 2)
    assert caplog.messages[1] == (
        "Dropped 3 records of stream telemetry in the last 0.05 s (numbers 2 to 4): the spool is full."
    )
    await until(lambda: not notices.is_waiting)
    notices.note("telemetry", full(5, 1))
    assert caplog.messages[2:] == ["Dropped 1 record of stream telemetry (number 5): the spool is full."]
    notices.close()


async def test_a_full_spool_tells_of_every_record_that_it_drops_in_few_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        for _ in range(60):
            await store(spool, [os.urandom(8192) for _ in range(10)])
        dropped = spool.lanes["telemetry"].dropped["full"]
    assert dropped > 100
    lines = [line for line in caplog.messages if line.startswith("Dropped ")]
    assert len(lines) <= 3
    assert sum(int(re.sub(r"\D", "", line.partition(" record")[0])) for line in lines) == dropped
