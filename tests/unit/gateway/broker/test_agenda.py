from __future__ import annotations

import pytest

from gateway.broker.agenda import Actions, Agenda
from gateway.spool.ports import Outcome
from tests.support.store import FakeStore


def test_due_actions_come_oldest_first_and_only_once() -> None:
    agenda, done = Agenda(), []
    for key, due in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        agenda.add(key, due, lambda key=key: done.append(key))
    for action in agenda.take_due(2.0, 9):
        action()
    assert done == ["a", "b"]
    assert agenda.take_due(2.5, 9) == []
    assert len(agenda) == 1


def test_what_was_called_off_or_replaced_is_not_done() -> None:
    agenda, done = Agenda(), []
    agenda.add("a", 1.0, lambda: done.append("old"))
    agenda.add("a", 5.0, lambda: done.append("new"))
    agenda.add("b", 1.0, lambda: done.append("b"))
    assert agenda.cancel("b")
    assert not agenda.cancel("b")
    for action in agenda.take_due(10.0, 9):
        action()
    assert done == ["new"]


def test_a_thing_can_be_done_before_its_time() -> None:
    agenda, done = Agenda(), []
    agenda.add("a", 5.0, lambda: done.append("a"))
    agenda.hurry("a")
    agenda.hurry("nobody")
    assert done == ["a"]
    assert agenda.take_due(10.0, 9) == []


def test_replacing_a_thing_again_and_again_keeps_the_agenda_small() -> None:
    agenda = Agenda()
    for i in range(10_000):
        agenda.add("a", float(i), lambda: None)
    assert len(agenda._heap) < 100


def test_of_many_due_things_some_are_done_at_a_time() -> None:
    agenda, done = Agenda(), []
    for i in range(5):
        agenda.add(i, float(i), lambda i=i: done.append(i))
    for expected in ([0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]):
        for action in agenda.take_due(10.0, 2):
            action()
        assert done == expected
    assert len(agenda) == 0


def test_a_fault_in_what_the_broker_waits_for_does_not_reach_the_store(caplog: pytest.LogCaptureFixture) -> None:
    store, actions = FakeStore(), Actions()
    done = []

    def fail(_outcome: Outcome) -> None:
        raise RuntimeError("broken")

    store.after_commit(actions, fail)
    store.after_commit(actions, done.append)
    store.commit()
    assert done == [Outcome.DURABLE]
    assert "has failed" in caplog.text
