"""The one line that anybody sees first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.figures import Figures, UplinkFigures
from gateway.verdict import MAX_SENTENCE, verdict

THIN = "\u202f"
ONLINE = (UplinkFigures(name="cloud", state="online", for_s=3600),)
AWAY = (UplinkFigures(name="cloud", state="backing_off", for_s=720),)
BACKLOG: dict[str, Any] = {"records": 12_480, "oldest_age_s": 240.0}

CASES: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "nothing ever came",
        {"had_records": False, "uplinks": ONLINE},
        "ok",
        "Waiting for the first record",
        "Waiting for the first record: the cloud is reachable.",
    ),
    (
        "nothing ever came and there is no uplink",
        {"had_records": False},
        "ok",
        "Waiting for the first record",
        "Waiting for the first record: nothing was published yet.",
    ),
    (
        "nothing waits",
        {"uplinks": ONLINE},
        "ok",
        "Safe",
        "Safe: all that was accepted has been delivered; the cloud is reachable.",
    ),
    (
        "a backlog drains",
        {**BACKLOG, "uplinks": ONLINE, "in_per_s": 10.0, "out_per_s": 80.0, "drained_in_s": 178.0},
        "ok",
        "Safe",
        f"Safe: 12{THIN}480 records kept, oldest 4 min; the cloud is reachable; all delivered in about 3 min.",
    ),
    (
        "one record is on its way",
        {"records": 1, "oldest_age_s": 0.2, "uplinks": ONLINE, "in_per_s": 1.0},
        "ok",
        "Safe",
        "Safe: 1 record kept, oldest 0 s; the cloud is reachable.",
    ),
    (
        "the cloud is looked for at the start",
        {"records": 5, "oldest_age_s": 9.0, "uplinks": (UplinkFigures(name="cloud", state="connecting", for_s=2),)},
        "ok",
        "Safe",
        "Safe: 5 records kept, oldest 9 s; connecting to the cloud.",
    ),
    (
        "the cloud is away and nothing comes",
        {**BACKLOG, "uplinks": AWAY},
        "warning",
        "Safe, waiting",
        f"Safe, waiting: 12{THIN}480 records kept, oldest 4 min; the cloud has been unreachable for 12 min.",
    ),
    (
        "the cloud is away and there is room for days",
        {**BACKLOG, "uplinks": AWAY, "in_per_s": 9.0, "full_in_s": 3 * 86_400.0},
        "warning",
        "Safe, waiting",
        (
            f"Safe, waiting: 12{THIN}480 records kept, oldest 4 min; the cloud has been unreachable for 12 min; "
            "room for about 3 days at the present rate."
        ),
    ),
    (
        "no uplink is configured",
        {**BACKLOG},
        "ok",
        "Safe",
        f"Safe: 12{THIN}480 records kept, oldest 4 min; no uplink is configured, so they stay here.",
    ),
    (
        "it fills up within the hour",
        {**BACKLOG, "uplinks": AWAY, "full_in_s": 2400.0},
        "warning",
        "Filling up",
        (
            f"Filling up: room for about 40 min at the present rate, then the oldest records are dropped; 12{THIN}480 "
            "records kept, oldest 4 min; the cloud has been unreachable for 12 min."
        ),
    ),
    (
        "it fills up and would refuse",
        {**BACKLOG, "uplinks": AWAY, "full_in_s": 0.0, "when_full": "reject"},
        "warning",
        "Filling up",
        (
            f"Filling up: no room is left at the present rate, then new messages are refused; 12{THIN}480 records "
            "kept, oldest 4 min; the cloud has been unreachable for 12 min."
        ),
    ),
    (
        "it is full and drops",
        {**BACKLOG, "uplinks": AWAY, "dropped": {"full": 1234}},
        "critical",
        "Losing data",
        (
            f"Losing data: 1{THIN}234 records were dropped, the oldest first, for want of room in the last 5 min; "
            f"12{THIN}480 records kept, oldest 4 min; the cloud has been unreachable for 12 min."
        ),
    ),
    (
        "it is full and drops for several reasons",
        {"uplinks": ONLINE, "dropped": {"full": 7, "corrupt": 1}},
        "critical",
        "Losing data",
        (
            "Losing data: 7 records were dropped, the oldest first, for want of room in the last 5 min; 1 record was "
            "found damaged on disk and dropped; nothing waits for delivery; the cloud is reachable."
        ),
    ),
    (
        "it is full and refuses",
        {**BACKLOG, "uplinks": AWAY, "is_refusing": True, "when_full": "reject"},
        "critical",
        "Full",
        (
            f"Full: new messages are refused, and devices keep them; 12{THIN}480 records kept, oldest 4 min; the cloud "
            "has been unreachable for 12 min."
        ),
    ),
    (
        "the disk is full",
        {**BACKLOG, "uplinks": AWAY, "is_refusing": True, "is_disk_full": True},
        "critical",
        "Disk full",
        (
            f"Disk full: new messages are not acknowledged until there is room again; 12{THIN}480 records kept, oldest "
            "4 min; the cloud has been unreachable for 12 min."
        ),
    ),
    (
        "the store has failed",
        {**BACKLOG, "uplinks": ONLINE, "failure": "The spool can't be written to disk: Input/output error."},
        "critical",
        "Store failed",
        (
            "Store failed: The spool can't be written to disk: Input/output error; nothing new is acknowledged, so "
            "devices keep what they have."
        ),
    ),
    (
        "somebody has paused it",
        {
            **BACKLOG,
            "uplinks": (UplinkFigures(name="cloud", state="paused", for_s=7200, paused_by="anna"),),
            "full_in_s": 30 * 3600.0,
        },
        "warning",
        "Paused",
        (
            f"Paused: the cloud was paused by anna 2 h ago; 12{THIN}480 records kept, oldest 4 min; room for about 30 "
            "h at the present rate."
        ),
    ),
    (
        "more comes than goes",
        {**BACKLOG, "uplinks": ONLINE, "in_per_s": 80.0, "out_per_s": 60.0},
        "warning",
        "Falling behind",
        f"Falling behind: 12{THIN}480 records kept, oldest 4 min; the cloud is reachable; more comes in than goes out.",
    ),
    (
        "the cloud has only just come back",
        {**BACKLOG, "uplinks": (UplinkFigures(name="cloud", state="online", for_s=4),), "in_per_s": 80.0},
        "ok",
        "Safe",
        f"Safe: 12{THIN}480 records kept, oldest 4 min; the cloud is reachable.",
    ),
    (
        "records have expired",
        {"uplinks": ONLINE, "dropped": {"expired": 3}},
        "warning",
        "Needs a look",
        (
            "Needs a look: nothing waits for delivery; the cloud is reachable; 3 records were dropped "
            "after their time-to-live in the last 5 min."
        ),
    ),
    (
        "dead letters wait",
        {"uplinks": ONLINE, "dead_letters": 2},
        "warning",
        "Needs a look",
        ("Needs a look: nothing waits for delivery; the cloud is reachable; 2 dead letters wait for a decision."),
    ),
    (
        "a database was set aside",
        {"uplinks": ONLINE, "set_aside": "/data/spool.db.corrupt-1"},
        "warning",
        "Needs a look",
        (
            "Needs a look: nothing waits for delivery; the cloud is reachable; a damaged database was "
            "set aside as /data/spool.db.corrupt-1."
        ),
    ),
    (
        "one of several uplinks is away",
        {
            "records": 3,
            "oldest_age_s": 1.0,
            "uplinks": (
                *ONLINE,
                UplinkFigures(name="east", state="backing_off", for_s=3 * 3600),
                UplinkFigures(name="west", state="online", for_s=5),
            ),
        },
        "warning",
        "Safe, waiting",
        (
            "Safe, waiting: 3 records kept, oldest 1 s; 2 of 3 uplinks reachable; uplink east has been unreachable "
            "for 3 h."
        ),
    ),
    (
        "all of several uplinks are there",
        {"uplinks": (*ONLINE, UplinkFigures(name="east", state="online", for_s=3))},
        "ok",
        "Safe",
        "Safe: all that was accepted has been delivered; all uplinks are reachable.",
    ),
]


@pytest.mark.parametrize(
    ("figures", "level", "word", "sentence"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_situation_has_its_level_its_word_and_its_line(
    figures: dict[str, Any], level: str, word: str, sentence: str
) -> None:
    found = verdict(Figures(**figures))
    assert (found.level, found.word, found.sentence) == (level, word, sentence)


numbers = st.integers(min_value=0, max_value=2**63)
seconds = st.floats(min_value=0, allow_nan=False)
uplinks = st.builds(
    UplinkFigures,
    name=st.text(max_size=30),
    state=st.sampled_from(["connecting", "online", "backing_off", "paused", "stopped", "unheard of"]),
    for_s=seconds,
    records=numbers,
    paused_by=st.none() | st.text(max_size=30),
)
everything = st.builds(
    Figures,
    records=numbers,
    oldest_age_s=st.none() | seconds,
    had_records=st.booleans(),
    in_per_s=seconds,
    out_per_s=seconds,
    full_in_s=st.none() | seconds,
    drained_in_s=st.none() | seconds,
    when_full=st.sampled_from(["drop_oldest", "reject"]),
    is_refusing=st.booleans(),
    is_disk_full=st.booleans(),
    failure=st.none() | st.text(max_size=600),
    uplinks=st.lists(uplinks, max_size=5).map(tuple),
    dropped=st.dictionaries(st.sampled_from(["full", "expired", "corrupt", "odd"]), numbers),
    dead_letters=numbers,
    set_aside=st.none() | st.text(max_size=200),
)


@given(everything)
def test_any_figures_make_one_line_that_begins_with_the_word(figures: Figures) -> None:
    found = verdict(figures)
    assert found.sentence.startswith(f"{found.word}: ")
    assert found.sentence.endswith(".")
    assert len(found.sentence) <= MAX_SENTENCE + 1
    assert len(found.sentence.splitlines()) == 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in found.sentence)


@given(everything)
def test_what_is_being_lost_or_refused_is_never_called_safe(figures: Figures) -> None:
    found = verdict(figures)
    if figures.failure is not None or figures.is_refusing or figures.is_disk_full or figures.dropped.get("full"):
        assert found.level == "critical"
    if found.level == "critical":
        assert found.word != "Safe"
