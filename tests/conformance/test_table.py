from __future__ import annotations

from tests.conformance import table


def test_every_statement_for_a_server_has_a_test_and_no_test_names_another() -> None:
    assert table.problems() == []


def test_the_page_has_the_table_of_the_tests() -> None:
    assert table.PAGE.read_text() == table.page(), "run python -m tests.conformance.table"


def test_all_statements_are_there_once() -> None:
    everything = [*table.SERVER, *table.CLIENT, *table.UNUSED]
    assert len(everything) == len(set(everything)) == 251
