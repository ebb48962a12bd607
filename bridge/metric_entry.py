"""The metrics as a table: what the reference prints, and what dashboards and alert rules are held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEntry:
    """One metric, by the name under which it is asked for: counters with their `_total`."""

    name: str
    type: str
    """`counter`, `gauge` or `histogram`."""
    labels: tuple[str, ...]
    help: str


def entries_of(families: Iterable[Metric]) -> list[MetricEntry]:
    """What families say of themselves, in their order."""
    return [_entry(family) for family in families]


def _entry(family: Metric) -> MetricEntry:
    if family.type == "info":
        labels = tuple(sorted({name for sample in family.samples for name in sample.labels}))
        return MetricEntry(name=f"{family.name}_info", type="gauge", labels=labels, help=family.documentation)
    # The library keeps them under this name in each family; samples, which have them too, may not be there yet.
    labels = tuple(getattr(family, "_labelnames", ()))
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return MetricEntry(name=name, type=family.type, labels=labels, help=family.documentation)
