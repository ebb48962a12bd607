"""Whatever is written, it is read, or refused with sentences; never with a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.description import FILES
from config.errors import ConfigError
from config.loader import load_gateway
from config.shapes import Section, SectionList
from config.yaml_nodes import compose
from tests.support.configuration import gateway_from, receiver_from

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _names(section: Section) -> Iterator[str]:
    for key in section.keys:
        yield key.name
        below = [key.shape] if isinstance(key.shape, Section) else []
        if isinstance(key.shape, SectionList):
            below = list(key.shape.variants.values())
        for member in below:
            yield from _names(member)


WORDS = sorted({key for root in FILES.values() for key in _names(root)})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["cloud", "1s", "1MiB", "#", "a/#", "mqtt://h:1", "mqtts://h", "localhost:1", "${X}", "jsonl", "mqtt"]
    ),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), below),
    max_leaves=15,
)


@unhurried
@given(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6))
def test_any_yaml_is_read_or_refused_with_sentences(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value)
    for load in (gateway_from, receiver_from):
        try:
            load(text, {"X": "y"})
        except ConfigError as error:
            assert all(problem.message and problem.file for problem in error.problems)  # noqa: PT017 - either is right


@unhurried
@given(st.text())
def test_any_text_is_read_or_refused_with_sentences(text: str) -> None:
    try:
        compose(text, "file", str)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is right, anything else is not


@unhurried
@given(
    st.dictionaries(st.lists(st.sampled_from([*WORDS, "cloud", "0"]), max_size=4).map("__".join), st.text(max_size=9))
)
def test_any_environment_is_read_or_refused_with_sentences(words: dict[str, str]) -> None:
    environ = {f"FIELDGATE__{name}": text.replace("\0", "") for name, text in words.items()}
    try:
        load_gateway(None, environ)
    except ConfigError as error:
        assert all("environment variable" in problem.file for problem in error.problems)  # noqa: PT017 - likewise
