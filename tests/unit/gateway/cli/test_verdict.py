"""The one line an operator wants first."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gateway.api import RateStatus, Recovery
from gateway.cli.verdict import verdict_of
from tests.support.api_view import some_status


@pytest.fixture
def status() -> dict[str, Any]:
    """A gateway with nothing to complain about and nothing waiting."""
    good = some_status().to_dict()
    good["streams"]["telemetry"]["records"] = 0
    good["streams"]["telemetry"]["dropped"] = {"full": 0, "expired": 0}
    good["uplinks"]["cloud"]["dead_letters"] = 0
    return good


def _waiting(status: dict[str, Any], records: int, *, in_per_s: float, out_per_s: float) -> str:
    changed = copy.deepcopy(status)
    changed["streams"]["telemetry"]["records"] = records
    changed["rates"] = {"in_per_s": in_per_s, "out_per_s": out_per_s}
    return verdict_of(changed).sentences[0].replace("\u202f", " ")


def test_nothing_waiting_and_nothing_lost_is_good(status: dict[str, Any]) -> None:
    verdict = verdict_of(status)
    assert verdict.good
    assert verdict.sentences == ("All that was accepted has been delivered.",)


def test_a_backlog_says_that_it_is_safe_and_when_it_will_be_delivered(status: dict[str, Any]) -> None:
    assert (
        _waiting(status, 12_000, in_per_s=100, out_per_s=300)
        == "12 000 records are safe on disk, to be delivered in about 1 m at this rate."
    )


def test_a_backlog_that_grows_is_said_to_grow(status: dict[str, Any]) -> None:
    assert "the backlog grows" in _waiting(status, 12_000, in_per_s=300, out_per_s=100)


def test_a_few_records_on_their_way_are_no_backlog(status: dict[str, Any]) -> None:
    assert "within seconds" in _waiting(status, 50, in_per_s=100, out_per_s=100)
    assert _waiting(status, 1, in_per_s=0, out_per_s=0).startswith("1 record is safe on disk, waiting for")


def test_an_uplink_that_is_away_is_named_with_its_reason(status: dict[str, Any]) -> None:
    status["uplinks"]["cloud"] |= {"state": "backing_off", "last_error": "Connection refused."}
    verdict = verdict_of(status)
    assert not verdict.good
    assert verdict.sentences[1] == "Uplink cloud is backing off since 2026-01-31T12:00:00Z: Connection refused."
    assert "when the uplink is back" in _waiting(status, 9, in_per_s=1, out_per_s=0)


def test_a_reason_that_ends_with_a_question_keeps_its_mark_and_times_are_whole_seconds(status: dict[str, Any]) -> None:
    status["uplinks"]["cloud"] |= {
        "state": "backing_off",
        "since": "2026-01-31T12:00:00.123456Z",
        "last_error": "Is it running?",
    }
    assert verdict_of(status).sentences[1] == "Uplink cloud is backing off since 2026-01-31T12:00:00Z: Is it running?"


def test_every_loss_is_told_by_reason() -> None:
    sentences = verdict_of(some_status().to_dict()).sentences
    assert "Stream telemetry has dropped 9 records (7 full, 2 corrupt)." in sentences
    assert "Uplink cloud moved 1 records into the dead letters." in sentences


def test_a_spool_that_is_nearly_full_is_told(status: dict[str, Any]) -> None:
    status["spool"]["size_bytes"] = status["spool"]["limit_bytes"] * 95 // 100
    assert "The spool is 95 % full." in verdict_of(status).sentences


def test_a_database_that_was_set_aside_is_told() -> None:
    status = some_status()
    recovery = Recovery(set_aside="spool.db.corrupt", reason="not a database", records_saved=12)
    told = replace(status, spool=replace(status.spool, recovery=recovery), rates=RateStatus(in_per_s=0, out_per_s=0))
    assert any(
        "set aside as spool.db.corrupt: not a database; 12 records" in s for s in verdict_of(told.to_dict()).sentences
    )
