"""What holds when only some of the differences between two settings may take hold now. Pure.

`merged` takes the new value of each key that does not have to wait and the old one of each that has. So it is what is
in force afterwards, and what is different between it and what was wanted is what still waits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from config.describe import root_of
from config.difference import by_label
from config.loader import SettingsT
from config.reading import join
from config.shapes import Section, SectionList

Waits = Callable[[str], str]
"""Why the difference in a dotted key has to wait; empty: it need not. Asked for the keys of `config.difference`."""


def merged(running: SettingsT, wanted: SettingsT, waits: Waits) -> SettingsT:
    """What is in force when all took hold that need not wait."""
    settings: SettingsT = _section(root_of(running), running, wanted, "", waits)
    return settings


def _section(shape: Section, running: Any, wanted: Any, key: str, waits: Waits) -> Any:
    values: dict[str, Any] = {}
    for member in shape.keys:
        if member.alias or member.selects:
            continue
        dotted = join(key, member.name)
        old, new = getattr(running, member.attribute), getattr(wanted, member.attribute)
        if isinstance(member.shape, Section):
            values[member.attribute] = _section(member.shape, old, new, dotted, waits)
        elif old == new:
            values[member.attribute] = old
        elif isinstance(member.shape, SectionList) and old is not None and new is not None:
            values[member.attribute] = _items(member.shape, old, new, dotted, waits)
        else:
            values[member.attribute] = old if waits(dotted) else new
    return dataclasses.replace(running, **values)


def _items(shape: SectionList, running: Any, wanted: Any, key: str, waits: Waits) -> tuple[Any, ...]:
    old, new = by_label(shape, running), by_label(shape, wanted)
    common = [label for label in old if label in new]
    is_reordered = [label for label in new if label in old] != common
    order = [label for label in new if label in old or not waits(f"{key}[{label}]")]
    if is_reordered and waits(key):
        order = _with(common, list(new), [label for label in order if label not in old])
    stay = [label for label in old if label not in new and waits(f"{key}[{label}]")]
    order = _with(order, list(old), stay)
    items = []
    for label in order:
        dotted = f"{key}[{label}]"
        if label in old and label in new:
            variant = shape.variant_of(old[label])
            items.append(_section(shape.variants[variant], old[label], new[label], dotted, waits))
        else:
            items.append(old[label] if label in old else new[label])
    return tuple(items)


def _with(order: list[str], places: list[str], more: list[str]) -> list[str]:
    """`order` with `more` in it, each of them behind whatever comes before it in `places`."""
    order = list(order)
    for label in more:
        before = [other for other in places[: places.index(label)] if other in order]
        order.insert(order.index(before[-1]) + 1 if before else 0, label)
    return order
