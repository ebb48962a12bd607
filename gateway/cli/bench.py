"""`fieldgate bench`: the figures of docs/benchmarks.md, measured here."""

from __future__ import annotations

EXAMPLE = """\b
Example:
  fieldgate bench"""


def bench() -> None:
    """Measure this machine: ours and Mosquitto side by side, the same load, in one run."""
    raise NotImplementedError
