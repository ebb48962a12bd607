"""The ledger of a scenario: when it adds up, what it says when it does not, and how it is shown."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from simulators.comparison import Comparison
from simulators.ledger import Entry
from simulators.scenarios.account import Account, dropped_by_policy
from simulators.scenarios.board import Board, BoardView, fleet_line, panel, show_account
from simulators.scenarios.tally import Tally


def entries(count: int) -> tuple[Entry, ...]:
    return tuple(Entry(f"{number:016x}", "a-climate-0001", "plant/x", 1, 0) for number in range(count))


def comparison(**changes: Any) -> Comparison:
    whole: dict[str, Any] = {
        "published": 100,
        "acknowledged": 100,
        "refused": 0,
        "received": 100,
        "received_records": 100,
        "missing": (),
        "duplicates": 0,
        "resent": 0,
        "unacknowledged": 0,
        "strangers": 0,
    }
    return Comparison(**{**whole, **changes})


def tally(**changes: Any) -> Tally:
    whole: dict[str, Any] = {"name": "a", "devices": 5, "planned": 100, "published": 100, "acknowledged": 100}
    return Tally(**{**whole, **changes})


def account(result: Comparison | None = None, *, tallies: tuple[Tally, ...] = (), **changes: Any) -> Account:
    whole: dict[str, Any] = {
        "scenario": "s",
        "seed": 1,
        "digest": "0123456789abcdef",
        "elapsed_s": 1.0,
        "is_interrupted": False,
        "knows_arrivals": True,
    }
    return Account(comparison=result or comparison(), tallies=tallies or (tally(),), **{**whole, **changes})


def shown(made: Account) -> str:
    output = io.StringIO()
    show_account(Console(file=output, width=120), made)
    return output.getvalue()


@pytest.mark.parametrize(
    "made",
    [
        account(),
        account(tallies=(tally(planned=130, unsent=Counter({"interrupted": 30})),)),
        account(comparison(unacknowledged=3), tallies=(tally(forgotten=3),)),
        account(comparison(received=98, missing=entries(2)), dropped={"expired": 2}),
        account(comparison(received_records=103, resent=3)),
        account(comparison(received=0, missing=entries(100)), knows_arrivals=False),
    ],
    ids=["all arrived", "interrupted", "forgotten", "dropped by policy", "repeated", "nobody looked"],
)
def test_a_ledger_that_adds_up_has_no_problem(made: Account) -> None:
    assert made.adds_up, made.problems
    assert "The ledger adds up." in shown(made)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (account(tallies=(tally(published=0, planned=0),)), "Nothing was published."),
        (account(tallies=(tally(planned=101),)), "Of 101 planned messages 100 were published and 0 are known"),
        (account(comparison(unacknowledged=3), tallies=(tally(forgotten=2),)), "1 publishes were never answered."),
        (account(comparison(received=99, missing=entries(1))), "1 acknowledged messages are missing, of which 0"),
        (
            account(comparison(received=97, missing=entries(3)), dropped={"expired": 2}),
            "3 acknowledged messages are missing, of which 2 were dropped by policy.",
        ),
        (account(comparison(duplicates=1)), "1 records arrived twice without a reason."),
        (account(dropped={"full": 4}, declared=4), "says that it dropped 4 records, but fewer did not arrive"),
        (account(waiting=5), "5 records still wait"),
        (account(undeclared=5), "misses 5 records that the gateway did not declare"),
    ],
)
def test_a_ledger_that_does_not_add_up_says_why(made: Account, says: str) -> None:
    assert not made.adds_up
    assert any(says in problem for problem in made.problems)
    text = shown(made)
    assert says in text
    assert "The ledger does not add up." in text
    assert json.loads(json.dumps(made.to_dict()))["problems"] == list(made.problems)


def test_what_was_dropped_on_its_way_and_arrived_all_the_same_is_no_problem() -> None:
    made = account(comparison(received=97, missing=entries(3)), dropped={"expired": 8}, declared=3)
    assert made.adds_up


def test_missing_messages_are_named_and_never_taken_for_markup() -> None:
    hostile = Entry("f" * 16, "a", "plant/[bold]x", 1, 0)
    text = shown(account(comparison(received=99, missing=(hostile,))))
    assert "missing: ffffffffffffffff of a on plant/[bold]x" in text


def test_what_was_dropped_is_added_up_over_the_streams() -> None:
    status = {"streams": {"a": {"dropped": {"full": 0, "expired": 2}}, "b": {"dropped": {"full": 0, "expired": 3}}}}
    assert dropped_by_policy(status) == {"expired": 5}


def test_the_arrival_is_null_where_nobody_looked() -> None:
    body = account(knows_arrivals=False).to_dict()
    assert body["arrived"] is None
    assert body["acknowledged"] == 100


def test_the_panel_shows_the_fleets_and_what_happens() -> None:
    board = Board(title="a-title", duration_s=30.0, tallies=[tally(connected=4, returned=2)])
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True, color_system=None)
    board.headline, board.trouble = "Phase [one].", "127.0.0.1:1 can't be reached"
    console.print(panel(board))
    text = output.getvalue()
    for words in ("a-title", "Phase [one].", "4/5 connected", "2 reconnects", "can't be reached"):
        assert words in text


def test_without_a_terminal_there_are_plain_lines() -> None:
    board = Board(title="t", duration_s=30.0, tallies=[tally(connected=5)])
    output = io.StringIO()
    view = BoardView(board, Console(file=output, width=80))
    view.open()
    view.tell("Phase one.")
    view.refresh()
    view.refresh()
    view.close()
    lines = output.getvalue().splitlines()
    assert lines == ["00:00  Phase one.", f"00:00  a: {fleet_line(board.tallies[0])}"]
