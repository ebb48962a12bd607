"""Values held against the schemas that routes declare."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web import shape
from bridge.web.errors import Problem
from bridge.web.operation import Parameter
from bridge.web.shape import MAX_NAMED, MAX_SHOWN, check_body, mistakes, read_query

PERSON = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 150},
        "ids": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "kind": {"type": "string", "enum": ["viewer", "operator"]},
        "share": {"type": "number"},
        "done": {"type": "boolean"},
        "any": {},
    },
}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a"},
        {"name": "a", "age": None},
        {"name": "a", "age": 7, "ids": [1, 2], "kind": "viewer", "share": 1, "done": True, "any": [{}]},
        {"name": "a", "share": 0.5},
    ],
)
def test_what_has_the_shape_has_no_mistakes(value: Any) -> None:
    assert mistakes(value, PERSON) == []
    check_body(value, PERSON)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "expected an object"),
        ({}, "name is missing"),
        ({"name": ""}, "name: expected at least 1 characters"),
        ({"name": "123456"}, "name: expected at most 5 characters"),
        ({"name": 1}, "name: expected text"),
        ({"name": "\ud800"}, "name: expected text, found half a surrogate pair"),
        ({"name": "a", "age": True}, "age: expected a whole number or null"),
        ({"name": "a", "age": 1.5}, "age: expected a whole number or null"),
        ({"name": "a", "age": -1}, "age: expected at least 0"),
        ({"name": "a", "age": 151}, "age: expected at most 150"),
        ({"name": "a", "ids": []}, "ids: expected at least 1 items"),
        ({"name": "a", "ids": [1, "2"]}, "ids[1]: expected a whole number"),
        ({"name": "a", "kind": "viewr"}, "kind: expected viewer or operator; did you mean 'viewer'?"),
        ({"name": "a", "done": "true"}, "done: expected true or false"),
        ({"name": "a", "nam": "b"}, "there is no 'nam' here; did you mean 'name'?"),
    ],
)
def test_a_mistake_is_a_sentence_that_says_where(value: Any, sentence: str) -> None:
    assert mistakes(value, PERSON) == [sentence]
    with pytest.raises(Problem) as caught:
        check_body(value, PERSON)
    assert (caught.value.status, caught.value.problems) == (400, [sentence])


def test_of_a_thousand_mistakes_a_few_are_named() -> None:
    value = {"name": "a", **{f"x{number}": 1 for number in range(1000)}}
    assert len(mistakes(value, PERSON)) == MAX_NAMED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*PERSON["properties"], "x"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_no_json_value_breaks_it_and_what_passes_is_what_was_asked_for(value: Any) -> None:
    if not mistakes(value, PERSON):
        assert 1 <= len(value["name"]) <= 5
        assert set(value) <= set(PERSON["properties"])  # type: ignore[call-overload]
        orjson.dumps(value["name"])


PARAMETERS = (
    Parameter(name="limit", schema={"type": "integer", "minimum": 1, "maximum": 10, "default": 5}),
    Parameter(name="search", schema={"type": "string", "maxLength": 3, "default": ""}),
    Parameter(name="state", schema={"type": "string", "enum": ["all", "connected"], "default": "all"}),
    Parameter(name="id", schema={"type": "integer"}, is_list=True),
    Parameter(name="before", schema={"type": "integer"}),
    Parameter(name="deep", schema={"type": "boolean", "default": False}),
    Parameter(name="share", schema={"type": "number", "default": 0.0}),
)


def test_a_query_is_read_with_its_types_and_defaults() -> None:
    assert read_query(PARAMETERS, []) == {
        "limit": 5,
        "search": "",
        "state": "all",
        "id": [],
        "before": None,
        "deep": False,
        "share": 0.0,
    }
    given_query = [("id", "1"), ("limit", "7"), ("id", "-2"), ("deep", "true"), ("share", "0.25"), ("search", "12")]
    found = read_query(PARAMETERS, given_query)
    assert (found["id"], found["limit"], found["deep"], found["share"], found["search"]) == (
        [1, -2],
        7,
        True,
        0.25,
        "12",
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ([("limit", "0")], "limit: expected at least 1"),
        ([("limit", "x")], "limit: expected a whole number"),
        ([("limit", "")], "limit: expected a whole number"),
        ([("limit", "1e1")], "limit: expected a whole number"),
        ([("limit", "٣")], "limit: expected a whole number"),
        ([("limit", "9" * 30)], "limit: expected a whole number"),
        ([("limit", "1"), ("limit", "2")], "limit: expected once, found more often"),
        ([("state", "gone")], "state: expected all or connected"),
        ([("search", "long")], "search: expected at most 3 characters"),
        ([("deep", "1")], "deep: expected true or false"),
        ([("limt", "1")], "there is no parameter 'limt' here; did you mean 'limit'?"),
    ],
)
def test_a_wrong_query_is_a_sentence(query: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(Problem) as caught:
        read_query(PARAMETERS, query)
    assert (caught.value.status, caught.value.problems) == (400, [sentence])


def test_a_parameter_that_is_needed_is_asked_for() -> None:
    with pytest.raises(Problem, match="topic: expected, and not given"):
        read_query((Parameter(name="topic", schema={"type": "string"}, is_required=True),), [])


def test_to_be_wrong_very_often_or_at_great_length_costs_no_more_than_to_be_wrong_a_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_for: list[str] = []

    def counted(written: str, _right: Any) -> str:
        looked_for.append(written)
        return ""

    monkeypatch.setattr(shape, "nearest", counted)
    with pytest.raises(Problem) as caught:
        read_query(PARAMETERS, [(f"{number}{'x' * 1000}", "1") for number in range(1000)])
    assert (caught.value.status, len(caught.value.problems or ())) == (400, MAX_NAMED)
    with pytest.raises(Problem):
        read_query(PARAMETERS, [("state", "x" * 8000)])
    assert mistakes({"name": "a", "kind": "x" * 1_000_000}, PERSON)
    assert mistakes({"name": "a", "x" * 1_000_000: 1}, PERSON)
    assert len(looked_for) == MAX_NAMED + 3
    assert max(map(len, looked_for)) == MAX_SHOWN
