"""Numbers, moments and device text as pages write them: exact for what is meant, and no throw for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.modules import INFINITE, MISSING, NOT_A_NUMBER, asked

NOW_MS = 1_795_312_000_000  # 22 Nov 2026, 01:46:40
HOSTILE = (
    None, MISSING, NOT_A_NUMBER, INFINITE, -1, 0, -0.4, 1e-300, 1e300, 2**53, "", "12", "__proto__", "NaN", True, [],
    [1], {}, {"toString": 1}, "\u202e\u0000", "x" * 70_000,
)  # fmt: skip
FORMATTERS = (
    "count",
    "bytes",
    "rate",
    "byteRate",
    "duration",
    "due",
    "clockTime",
    "day",
    "dateTime",
    "plain",
    "capital",
)

EXACT: dict[str, list[tuple[list[Any], str]]] = {
    "count": [([0], "0"), ([999], "999"), ([12480], "12 480"), ([-1234], "-1 234"), ([1e15], "1.00 × 10^15")],
    "counted": [([1, "record"], "1 record"), ([0, "record"], "0 records"), ([None, "record"], "– records")],
    "range": [([32, 1], "32"), ([32, 2], "32 to 33"), ([32, 0], "–")],
    "bytes": [([0], "0 B"), ([999], "999 B"), ([1000], "0.98 KiB"), ([1024**3], "1 GiB"), ([1024**6], "1 EiB")],
    "rate": [([0], "0/s"), ([0.001], "< 0.01/s"), ([9.999], "10/s"), ([99.96], "100/s"), ([12.34], "12.3/s")],
    "byteRate": [([2048], "2 KiB/s"), ([None], "–")],
    "duration": [
        ([0], "0 s"),
        ([0.2], "under 1 s"),
        ([59.9], "59 s"),
        ([61], "1 min 1 s"),
        ([3600], "1 h"),
        ([7800], "2 h 10 min"),
        ([86_400 * 3 + 14_400], "3 d 4 h"),
        ([86_400 * 12_345], "12 345 d"),
        ([-5], "0 s"),
        ([INFINITE], "–"),
    ],
    "due": [([0.4], "now"), ([0.6], "in 1 s"), ([NOT_A_NUMBER], "–")],
    "ago": [
        ([NOW_MS - 240_000, NOW_MS], "4 min ago"),
        ([NOW_MS + 500, NOW_MS], "now"),
        ([NOW_MS + 120_000, NOW_MS], "in 2 min"),
        ([NOT_A_NUMBER, NOW_MS], "–"),
        ([8.64e15 + 1, NOW_MS], "–"),
    ],
    "dateTime": [([NOW_MS], "22 Nov 2026, 01:46:40"), ([8.64e15 + 1], "–")],
    "shortTime": [
        ([NOW_MS, NOW_MS], "01:46:40"),
        ([NOW_MS - 7_200_000, NOW_MS], "21 Nov, 23:46"),
        ([NOW_MS - 365 * 86_400_000, NOW_MS], "22 Nov 2025, 01:46"),
        ([NOT_A_NUMBER, NOW_MS], "–"),
    ],
    "axisTime": [([NOW_MS / 1000, 30], "01:46:40"), ([NOW_MS / 1000, 86_400], "22 Nov"), ([NOT_A_NUMBER, 60], "–")],
    "plain": [(["backing_off"], "backing off"), ([None], "–")],
    "capital": [(["online"], "Online"), ([""], ""), (["𐐨x"], "𐐀x")],
}


def test_what_is_meant_is_written_exactly(tmp_path: Path) -> None:
    rows = [(name, given, wanted) for name, table in EXACT.items() for given, wanted in table]
    answers = asked(tmp_path, "format.js", [(name, given) for name, given, _ in rows])
    written = [
        (name, given, answer.get("value", answer)) for (name, given, _), answer in zip(rows, answers, strict=True)
    ]
    assert [(name, given, _spaced(text)) for name, given, text in written] == rows


def test_no_value_makes_a_formatter_throw_or_write_nonsense(tmp_path: Path) -> None:
    calls = [(name, [value]) for name in FORMATTERS for value in HOSTILE]
    calls += [(name, [value, NOW_MS]) for name in ("ago", "shortTime") for value in HOSTILE]
    calls += [("axisTime", [value, 60]) for value in HOSTILE]
    calls += [("range", [value, other]) for value in HOSTILE for other in HOSTILE]
    calls += [("counted", [value, "record"]) for value in HOSTILE]
    answers = asked(tmp_path, "format.js", calls)
    for (name, given), answer in zip(calls, answers, strict=True):
        text = answer.get("value")
        assert isinstance(text, str), (name, given, answer)
        if name not in {"plain", "capital"}:
            assert len(text) < 60, (name, given)
            assert not any(word in text for word in ("NaN", "undefined", "Infinity", "null", "Invalid", "object")), text


def test_what_names_no_moment_is_none(tmp_path: Path) -> None:
    for answer in asked(tmp_path, "format.js", [("momentOf", [at]) for at in HOSTILE]):
        assert "threw" not in answer
        assert answer.get("value") is None or abs(answer["value"]) <= 8.64e15


def test_moments_come_as_text_or_as_seconds(tmp_path: Path) -> None:
    answers = asked(
        tmp_path,
        "format.js",
        [("momentOf", ["2026-11-22T01:46:40Z"]), ("momentOf", [NOW_MS / 1000]), ("momentOf", ["x"])],
    )
    assert [answer["value"] for answer in answers] == [NOW_MS, NOW_MS, None]


def test_device_text_shows_what_hides_and_keeps_whole_characters(tmp_path: Path) -> None:
    rows = [
        ("visible", ["a\u202eb"], "a⟨U+202E⟩b"),
        ("visible", ["a\u0000\n\tb"], "a⟨U+0000⟩↵⇥b"),
        ("visible", ["\u0301" * 6], "⟨6 marks⟩"),
        ("shortened", ["abcdef", 6], "abcdef"),
        ("shortened", ["abcdefgh", 5], "abc…h"),
        ("shortened", ["😀" * 9, 6], "😀😀…"),
        ("visible", ["__proto__"], "__proto__"),
    ]
    answers = asked(tmp_path, "device_text.js", [(name, given) for name, given, _ in rows])
    assert [answer.get("value", answer) for answer in answers] == [wanted for _, _, wanted in rows]


def test_the_numbers_of_any_payload_are_found_and_bounded(tmp_path: Path) -> None:
    many = "{" + ",".join(f'"n{number}":{number}' for number in range(200)) + "}"
    rows: list[tuple[str, list[list[Any]]]] = [
        ('{"a": {"b": [1, true]}}', [["a.b[0]", 1], ["a.b[1]", 1]]),
        ("21.5", [["value", 21.5]]),
        ('{"__proto__": 3, "constructor": {"x": 1}}', [["__proto__", 3], ["constructor.x", 1]]),
        ('{"v": 1e999}', []),
        ("[" * 50_000, []),
        ("[" * 5_000 + "]" * 5_000, []),
        ("not json", []),
        ("", []),
    ]
    answers = asked(
        tmp_path, "json_fields.js", [("numericFields", [text]) for text, _ in rows] + [("numericFields", [many])]
    )
    assert [answer.get("value", answer) for answer in answers[:-1]] == [wanted for _, wanted in rows]
    assert len(answers[-1]["value"]) == 50


def test_a_payload_is_laid_out_only_where_nothing_is_lost(tmp_path: Path) -> None:
    nested = "[" * 5_000 + "]" * 5_000
    rows = [('{"a":1}', '{\n  "a": 1\n}'), ('{"a":12345678901234567890}',) * 2, ('{"a":1e5}',) * 2, ("x",) * 2]
    answers = asked(tmp_path, "json_fields.js", [("pretty", [given]) for given, _ in rows] + [("pretty", [nested])])
    assert [answer["value"] for answer in answers[:-1]] == [wanted for _, wanted in rows]
    assert "value" in answers[-1]


def _spaced(text: object) -> object:
    return text.replace("\u00a0", " ") if isinstance(text, str) else text
