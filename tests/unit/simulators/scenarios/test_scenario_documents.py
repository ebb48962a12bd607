"""docs/scenarios.md knows every key of a scenario, and every ready-made one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.shapes import Section, SectionList
from simulators.scenarios.description import BadKind
from simulators.scenarios.keys import SCENARIO
from simulators.scenarios.ready import find_scenario, ready_names

PAGE = (Path(__file__).parents[4] / "docs" / "scenarios.md").read_text()


def keys(section: Section) -> Iterator[str]:
    for key in section.keys:
        yield key.name
        if isinstance(key.shape, Section):
            yield from keys(key.shape)
        elif isinstance(key.shape, SectionList):
            for name, variant in key.shape.variants.items():
                if name:
                    yield name
                yield from keys(variant)


@pytest.mark.parametrize("key", sorted({*keys(SCENARIO), *(kind.value for kind in BadKind)} - {"0", "1", "2"}))
def test_every_key_and_word_is_explained(key: str) -> None:
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize("name", ready_names())
def test_every_ready_made_scenario_is_listed_with_its_size(name: str) -> None:
    scenario = find_scenario(name)
    devices = sum(fleet.count for fleet in scenario.fleets)
    assert f"| `{name}` | {devices}, {scenario.duration_s:.0f} s |" in PAGE
