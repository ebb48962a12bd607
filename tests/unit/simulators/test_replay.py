"""A CSV played as devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulators.feed import Feed
from simulators.replay import ReplayError, ReplayFeed


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "line 4.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def everybody(device: int) -> bool:
    return True


def played(feed: Feed, count: int) -> list[tuple[str, str, dict[str, object]]]:
    said = [feed.take(everybody, 0) for _ in range(count)]
    return [(feed.clients[one[0]], one[1].topic, json.loads(one[1].payload)) for one in said if one]


def test_a_device_column_names_the_devices_and_values_keep_their_types(tmp_path: Path) -> None:
    path = written(tmp_path, "device,temp,note,on\npump 1,21.5,ok,1\npump/2,-3,,007\n")
    feed = ReplayFeed(path, count=9, rate_per_s=10)
    assert list(feed.clients) == ["pump-1", "pump-2"]
    assert played(feed, 3) == [
        ("pump-1", "plant/replay/pump-1/line-4", {"device": "pump 1", "temp": 21.5, "note": "ok", "on": 1, "n": 1}),
        ("pump-2", "plant/replay/pump-2/line-4", {"device": "pump/2", "temp": -3, "note": None, "on": "007", "n": 2}),
        ("pump-1", "plant/replay/pump-1/line-4", {"device": "pump 1", "temp": 21.5, "note": "ok", "on": 1, "n": 3}),
    ]


def test_without_a_device_column_rows_go_round_the_fleet(tmp_path: Path) -> None:
    feed = ReplayFeed(written(tmp_path, "v\n1\n2\n3\n"), count=2, rate_per_s=10)
    assert [(client, said["v"]) for client, _, said in played(feed, 4)] == [
        ("replay-0001", 1),
        ("replay-0002", 2),
        ("replay-0001", 3),
        ("replay-0002", 1),
    ]


def test_a_column_n_of_the_file_is_left_alone(tmp_path: Path) -> None:
    feed = ReplayFeed(written(tmp_path, "n\n5\n"), count=1, rate_per_s=1)
    assert [said for _, _, said in played(feed, 2)] == [{"n": 5, "replay_n": 1}, {"n": 5, "replay_n": 2}]


@pytest.mark.parametrize(
    "times",
    [
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:01Z", "2025-01-01T00:00:03Z"),
        ("2025-01-01 00:00:00", "2025-01-01 00:00:01", "2025-01-01 00:00:03"),
        ("1735689600", "1735689601", "1735689603"),
        ("1735689600000", "1735689601000", "1735689603000"),
    ],
)
def test_a_time_column_sets_the_pace_scaled_to_the_rate(tmp_path: Path, times: tuple[str, ...]) -> None:
    path = written(tmp_path, "time,v\n" + "".join(f"{time},{v}\n" for v, time in enumerate(times)))
    feed = ReplayFeed(path, count=1, rate_per_s=3)  # 3 rows, so the file takes one second: 0, 1/3 and 1
    assert [feed.due(at) for at in (0.0, 0.33, 0.34, 0.99, 1.0, 1.34, 2.0)] == [1, 1, 2, 2, 4, 5, 7]


def test_rows_are_played_in_the_order_of_their_times(tmp_path: Path) -> None:
    feed = ReplayFeed(written(tmp_path, "ts,id\n30,a\n10,b\n20,a\n"), count=1, rate_per_s=1)
    assert [said["ts"] for _, _, said in played(feed, 3)] == [10, 20, 30]


def test_a_row_waits_for_its_device(tmp_path: Path) -> None:
    feed = ReplayFeed(written(tmp_path, "device,v\na,1\nb,2\n"), count=1, rate_per_s=1)
    assert feed.take(lambda device: feed.clients[device] == "b", 0) is None
    assert played(feed, 1)[0][0] == "a"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "no header"),
        ("a,b\n", 1, "no row"),
        ("a,,c\n1,2,3\n", 1, "Column 2 has no name"),
        ("a,b,a\n1,2,3\n", 1, "Two columns are called 'a'"),
        ("a,b\n1,2\n\n1\n", 4, "1 fields, but the header has 2"),
        ("time,b\n1,2\nsoon,3\n", 3, "time 'soon' is no time"),
        ("device\nx\n  \n", 3, "names no device"),
        ('a\n"x\n', 2, "not CSV"),
        (b"a\n\xff\xfe\n", 1, "not UTF-8"),
    ],
)
def test_a_fault_in_the_file_is_told_with_file_and_line(
    tmp_path: Path, text: str | bytes, line: int, problem: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReplayError, match=problem) as caught:
        ReplayFeed(path, count=1, rate_per_s=1)
    assert str(caught.value).startswith(f"{path}:{line}: ")
