"""The log's lines: their form, their bounds, what is left out."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest

from bridge.version import VERSION
from config.settings import Log, LogFormat
from gateway import logs
from gateway.logs import RepeatLimiter


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _written(log: Log) -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(log, stream=stream)
    return stream


def _raise() -> None:
    raise ValueError("the disk is made of cheese")


def test_a_text_line_has_time_level_logger_and_sentence() -> None:
    stream = _written(Log())
    logging.getLogger("gateway.listener").info("Listening on %s", "127.0.0.1:1883")
    line = stream.getvalue()
    assert line.endswith("Z INFO    gateway.listener: Listening on 127.0.0.1:1883\n")


def test_a_json_line_is_one_object_with_the_extra_facts() -> None:
    stream = _written(Log(format=LogFormat.JSON))
    logging.getLogger("gateway.spool").warning("Full", extra={"stream": "telemetry", "records": 3})
    line = json.loads(stream.getvalue())
    assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]  # the order of ECS logging
    assert line["@timestamp"].endswith("Z")
    assert (line["log.level"], line["log.logger"], line["message"]) == ("warning", "gateway.spool", "Full")
    assert line["labels"] == {"stream": "telemetry", "records": "3"}
    assert (line["service.name"], line["service.version"]) == ("fieldgate", VERSION)
    assert line["process.pid"] == os.getpid()
    assert line["event.dataset"] == "fieldgate.log"


def test_lines_below_the_level_are_not_written() -> None:
    stream = _written(Log(level="error"))
    logging.getLogger("gateway").warning("not this one")
    assert stream.getvalue() == ""


def test_setting_up_twice_writes_every_line_once() -> None:
    _written(Log())
    stream = _written(Log())
    logging.getLogger("gateway").info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("hostile", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\x00b", "a\x85b"])
@pytest.mark.parametrize("form", list(LogFormat))
def test_what_a_device_wrote_can_not_break_a_line_or_colour_the_terminal(hostile: str, form: LogFormat) -> None:
    stream = _written(Log(format=form))
    logging.getLogger("gateway").warning("Client %s was refused", hostile)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\r" not in text


def test_an_error_is_one_text_line_that_says_what_was_raised_and_where() -> None:
    stream = _written(Log())
    try:
        _raise()
    except ValueError:
        logging.getLogger("gateway").exception("It broke")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "It broke [ValueError: the disk is made of cheese at " in text
    assert "Traceback" not in text


def test_at_level_debug_the_text_carries_the_traceback() -> None:
    stream = _written(Log(level="debug"))
    try:
        _raise()
    except ValueError:
        logging.getLogger("gateway").exception("It broke")
    assert "Traceback (most recent call last)" in stream.getvalue()


def test_json_carries_the_traceback_on_its_one_line() -> None:
    stream = _written(Log(format=LogFormat.JSON))
    try:
        _raise()
    except ValueError:
        logging.getLogger("gateway").exception("It broke")
    text = stream.getvalue()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert (line["error.type"], line["error.message"]) == ("ValueError", "the disk is made of cheese")
    assert "in _raise" in line["error.stack_trace"]


def test_the_json_of_a_receiver_says_that_it_is_one_and_audit_lines_what_they_are() -> None:
    stream = io.StringIO()
    logs.set_up(Log(format=LogFormat.JSON), stream=stream, service="fieldgate-receiver")
    audit = {
        "user": "anna",
        "role": "operator",
        "address": "::1",
        "action": "discard",
        "outcome": "refused",
        "target": 3,
    }
    logging.getLogger("fieldgate.audit").info("Asked to %s", "discard", extra=audit)
    line = json.loads(stream.getvalue())
    assert (line["service.name"], line["event.dataset"]) == ("fieldgate-receiver", "fieldgate-receiver.audit")
    assert (line["user.name"], line["user.roles"], line["source.address"]) == ("anna", ["operator"], "::1")
    assert (line["event.action"], line["event.outcome"]) == ("discard", "failure")
    assert line["labels"] == {"target": "3"}


def test_text_that_is_not_unicode_is_still_logged_as_json() -> None:
    stream = _written(Log(format=LogFormat.JSON))
    logging.getLogger("gateway").warning("Client \ud800 was refused")
    assert "\\ud800" in json.loads(stream.getvalue())["message"]


def test_a_label_that_is_not_unicode_leaves_the_line_in_its_shape() -> None:
    stream = _written(Log(format=LogFormat.JSON))
    logging.getLogger("gateway").warning("It was refused", extra={"client": "a\udcff", "number": 3})
    line = json.loads(stream.getvalue())
    assert line["labels"] == {"client": "a\\udcff", "number": "3"}
    assert isinstance(line["process.pid"], int)


def test_repeated_lines_are_cut_after_a_burst_though_their_numbers_differ() -> None:
    stream = _written(Log())
    for number in range(100):
        logging.getLogger("gateway").warning("Client sensor-%d was refused", number)
    assert stream.getvalue().count("\n") == logs.BURST


def test_repeated_lines_are_cut_though_each_names_another_client() -> None:
    stream = _written(Log())
    for letter in "abcdefghijklmnopqrstuvwxyz":
        logging.getLogger("gateway").warning("Client %r from %s was refused", letter * 3, letter)
    assert stream.getvalue().count("\n") == logs.BURST


def test_sentences_without_words_of_the_program_are_told_apart_by_their_text() -> None:
    stream = _written(Log())
    for letter in "abcdefghijklmnopqrstuvwxyz":
        logging.getLogger("gateway").warning("%s", f"{letter} is broken")
    assert stream.getvalue().count("\n") == 26


def test_debugging_shows_every_line() -> None:
    stream = _written(Log(level="debug"))
    for number in range(100):
        logging.getLogger("gateway").warning("Client sensor-%d was refused", number)
    assert stream.getvalue().count("\n") == 100


def test_critical_lines_always_pass() -> None:
    stream = _written(Log())
    for _ in range(100):
        logging.getLogger("gateway").critical("The disk is gone")
    assert stream.getvalue().count("\n") == 100


def test_libraries_do_not_narrate_their_own_working() -> None:
    stream = _written(Log(level="debug"))
    logging.getLogger("aiosqlite").debug("executing everything")
    assert stream.getvalue() == ""


def test_after_the_window_the_next_line_says_how_many_were_left_out() -> None:
    limiter = RepeatLimiter(burst=2, window_s=10.0)
    answers = [limiter.admit(now, "a", 30, f"line {now}") for now in (0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0)]
    assert answers == [0, 0, None, None, None, 3, 0, None]


def test_kinds_are_told_apart_by_logger_level_and_words() -> None:
    limiter = RepeatLimiter(burst=1, window_s=10.0)
    kinds = [("a", 30, "x"), ("b", 30, "x"), ("a", 40, "x"), ("a", 30, "y")]
    assert [limiter.admit(0.0, *kind) for kind in kinds] == [0, 0, 0, 0]
    assert [limiter.admit(0.0, *kind) for kind in kinds] == [None] * 4


def test_the_limiter_remembers_a_bounded_number_of_kinds() -> None:
    limiter = RepeatLimiter(max_kinds=5)
    for letter in "abcdefghijklmnop":
        limiter.admit(0.0, "a", 30, letter)
    assert len(limiter._kinds) == 5


def test_a_line_of_any_length_is_remembered_in_little_memory() -> None:
    limiter = RepeatLimiter(burst=1)
    limiter.admit(0, "a", 1, "x" * 1_000_000)
    ((_, _, text),) = limiter._kinds
    assert len(text) <= 200
