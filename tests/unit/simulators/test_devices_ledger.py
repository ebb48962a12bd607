"""The devices' ledger, and how it compares with what arrived."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.comparison import compare
from simulators.ledger import Entry, Ledger, LedgerWriter, payload_id, read_ledger

ONE, TWO, THREE = (payload_id("a", "t", payload) for payload in (b"1", b"2", b"\xff3"))


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path / "ledger.jsonl") as writer:
        writer.sent(ONE, "a", "t", 1, b"1")
        writer.sent(TWO, "a", "t", 2, b"2")
        writer.sent(THREE, "a", "t", 1, b"\xff3")
        writer.resent(TWO)
        writer.acked(ONE)
        writer.received(TWO)
        writer.refused(THREE, 0x97)
    entries = read_ledger(tmp_path / "ledger.jsonl").entries
    assert list(entries) == [ONE, TWO, THREE]
    assert [entry.promised for entry in entries.values()] == [True, True, False]
    assert (entries[TWO].resent, entries[TWO].qos, entries[THREE].refused) == (1, 2, 0x97)
    assert entries[ONE].acked_at_us is not None
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert lines[0]["payload"] == "1"
    assert base64.b64decode(lines[2]["payload_base64"]) == b"\xff3"


def test_a_ledger_is_only_ever_appended_to(tmp_path: Path) -> None:
    for name, payload in ((ONE, b"1"), (TWO, b"2")):
        with LedgerWriter(tmp_path / "ledger.jsonl") as writer:
            writer.sent(name, "a", "t", 1, payload)
    assert list(read_ledger(tmp_path / "ledger.jsonl").entries) == [ONE, TWO]


def test_a_line_is_on_file_as_soon_as_it_is_flushed(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path / "ledger.jsonl") as writer:
        writer.sent(ONE, "a", "t", 1, b"1")
        writer.flush()
        assert list(read_ledger(tmp_path / "ledger.jsonl").entries) == [ONE]


def test_a_ledger_cut_at_any_byte_is_read_up_to_there_and_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path) as writer:
        writer.sent(ONE, "a", "t", 1, b"1")
        writer.acked(ONE)
    whole = path.read_bytes()
    sent_ends = whole.index(b"\n")
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        ledger = read_ledger(path)
        assert len(ledger.entries) == (cut >= sent_ends)
        assert not any(entry.promised for entry in ledger.entries.values()) or cut == len(whole) - 1
        with LedgerWriter(path) as writer:
            writer.sent(TWO, "a", "t", 1, b"2")
        assert TWO in read_ledger(path).entries


def entry(name: str, *, qos: int = 1, acked: bool = True, resent: int = 0) -> Entry:
    return Entry(name, "a", "t", qos, 1, resent=resent, acked_at_us=2 if acked else None)


def ledger_of(*entries: Entry) -> Ledger:
    return Ledger({one.name: one for one in entries})


def test_an_acknowledged_payload_that_did_not_arrive_is_missing() -> None:
    result = compare(ledger_of(entry("x"), entry("y")), ["x"])
    assert [one.name for one in result.missing] == ["y"]
    assert (result.published, result.acknowledged, result.received, result.adds_up) == (2, 2, 1, False)


def test_an_unacknowledged_payload_may_be_there_or_not() -> None:
    result = compare(ledger_of(entry("x", acked=False), entry("y", acked=False), entry("z", qos=0, acked=False)), ["x"])
    assert (result.unacknowledged, result.missing, result.received, result.adds_up) == (2, (), 1, True)


def test_a_qos_2_payload_is_promised_from_its_pubrec_on() -> None:
    received = Entry("x", "a", "t", 2, 1, received_at_us=2)
    assert len(compare(ledger_of(received), []).missing) == 1


@pytest.mark.parametrize(
    ("qos", "resent", "copies", "excused", "duplicates"),
    [(1, 0, 2, 0, 1), (1, 1, 2, 1, 0), (1, 1, 3, 1, 1), (2, 1, 2, 0, 1), (0, 0, 2, 0, 1), (1, 2, 1, 0, 0)],
)
def test_a_copy_is_excused_only_by_a_resend_of_a_qos_1_publish(
    qos: int, resent: int, copies: int, excused: int, duplicates: int
) -> None:
    result = compare(ledger_of(entry("x", qos=qos, resent=resent)), ["x"] * copies)
    assert (result.resent, result.duplicates, result.adds_up) == (excused, duplicates, duplicates == 0)


def test_records_that_no_device_sent_are_strangers() -> None:
    result = compare(ledger_of(entry("x")), ["x", "s", "s"])
    assert (result.strangers, result.duplicates, result.received_records) == (2, 0, 3)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=30), st.sets(st.sampled_from("abcdef")))
def test_every_record_is_counted_once(received: list[str], acknowledged: set[str]) -> None:
    ledger = ledger_of(*(entry(name, acked=name in acknowledged, resent=len(name)) for name in "abcdef"))
    result = compare(ledger, received)
    assert result.received_records == result.received + result.resent + result.duplicates + result.strangers
    assert {one.name for one in result.missing} == acknowledged - Counter(received).keys()


def test_records_are_found_in_a_received_db_and_a_received_jsonl(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "received.db")
    database.execute(
        "CREATE TABLE record (gateway, stream, epoch, seq, received_at_us, client, topic, qos, retain, payload BLOB,"
        " properties)"
    )
    database.executemany("INSERT INTO record (client, topic, payload) VALUES ('a', 't', ?)", [(b"1",), (b"\xff3",)])
    database.commit()
    database.close()
    lines: list[dict[str, object]] = [
        {"client": "a", "topic": "t", "payload": "1"},
        {"client": "a", "topic": "t", "payload_base64": base64.b64encode(b"\xff3").decode()},
    ]
    (tmp_path / "received.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("received.db", "received.jsonl"):
        result = compare(ledger_of(entry(ONE), entry(THREE)), tmp_path / name)
        assert (result.received, result.missing) == (2, ())


def test_a_received_jsonl_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "received.jsonl").write_text('{"client":"a","topic":"t","payload":"1"}\n{}\n')
    with pytest.raises(ValueError, match=r"received.jsonl:2"):
        compare(Ledger(), tmp_path / "received.jsonl")
