"""docs/benchmarks.md: what was measured, on what machine, beside what it should be."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.case import CaseResult, SideResult, Target

_GENERATOR_LIMIT = 0.85
_INTRODUCTION = """\
# Benchmarks

Made by `make bench` (`python -m tests.bench`); not written by hand. Each figure is the median of {rounds}, the sides
run in turns (A B A B) in one go, everything on one machine over loopback. In brackets: the lowest and the highest.

- The load generator (`simulators/load`) is a process of its own. Its packets are encoded before the clock starts; the
  payloads are telemetry whose clock, counter and readings walk at random, about 20 000 distinct messages, so that none
  is repeated within a compressor's reach. Its share of a core is given; its ceiling is the case `generator`.
- Fieldgate runs with its defaults: each PUBACK waits for an fsync (durability `commit`), frames are compressed by zstd.
- Mosquitto runs with `max_queued_messages 0` and `log_type error`; alone with `max_inflight_messages 0`, as a bridge
  with the best of 20, 100, 1000 and 0: **{inflight}**. The bridge: `topic # out 1`, `cleansession false`,
  `bridge_protocol_version mqttv311`, `notifications false`. The second broker counts each message it forwards.
- "Queue on disk every second" is `persistence true` with `autosave_interval 1`: what Mosquitto acknowledged since the
  last save is lost in a power cut. In the ingest cases it keeps everything for a persistent session that is away.
- Bytes per record are those the cloud broker itself counted (`$SYS/broker/bytes/received`): MQTT and all, without TCP.
"""


def render(
    results: Sequence[CaseResult],
    *,
    machine: dict[str, str],
    rounds: int,
    scale: float,
    inflight: str,
    receiver: str | None,
    when: str,
) -> str:
    """The whole page."""
    parts = [_INTRODUCTION.format(rounds=f"{rounds} rounds" if rounds > 1 else "one round", inflight=inflight)]
    if scale != 1.0:
        parts.append(f"**A quick run: only {scale:.0%} of the usual messages, so start and end weigh more.**\n")
    rows = [f"| {key} | {value} |" for key, value in {**machine, "When": when}.items()]
    parts.append("\n".join(["## The machine", "", "| | |", "| --- | --- |", *rows]) + "\n")
    if any(result.case.targets for result in results):
        parts.append(_targets(results))
    parts += [_case(result) for result in results]
    if receiver is not None:
        parts.append(f"## Receiver\n\n```text\n{receiver.strip()}\n```\n")
    return "\n".join(parts)


def _targets(results: Sequence[CaseResult]) -> str:
    lines = ["## What should be reached", "", "| case | what | should be | is | |", "| --- | --- | --- | --- | --- |"]
    for result in results:
        for target in result.case.targets:
            value = result.value(target)
            verdict = "not measured" if value is None else "reached" if target.is_met(value) else "**missed**"
            lines.append(
                f"| {result.case.name} | {_what(target, result)} | {_bound(target)} "
                f"| {'-' if value is None else _shape(target, value)} | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def _what(target: Target, result: CaseResult) -> str:
    return f"{target.figure}, times {result.sides[1].name}" if target.of_ratio else target.figure


def _bound(target: Target) -> str:
    return f"{'at most' if target.at_most else 'at least'} {_shape(target, target.value)}"


def _shape(target: Target, value: float) -> str:
    return f"{value:.2f} ×" if target.of_ratio else number(value)


def _case(result: CaseResult) -> str:
    case = result.case
    head = " | ".join(f"{name} ({unit})" if unit != name else name for name, unit in case.figures.items())
    lines = [f"## {case.name}", "", f"{case.title}. {case.says}", ""]
    lines += [f"| | {head} |", "| --- |" + " ---: |" * len(case.figures)]
    lines += [f"| {side.name} | {_cells(side, list(case.figures))} |" for side in result.sides]
    ratios = {figure: result.ratio(figure) for figure in case.figures}
    if any(ratio is not None for ratio in ratios.values()) and not case.name.startswith("generator"):
        cells = " | ".join("-" if ratio is None else f"{ratio:.2f} ×" for ratio in ratios.values())
        lines.append(f"| ratio of {result.sides[0].name} to {result.sides[1].name} | {cells} |")
    lines += ["", *[f"- {side.name} failed: {_one_line(side.failure)}" for side in result.sides if side.failure], ""]
    lines += [_at_its_limit(side) for side in result.sides if (side.median("generator CPU") or 0) > _GENERATOR_LIMIT]
    return "\n".join(lines).rstrip() + "\n"


def _at_its_limit(side: SideResult) -> str:
    share = side.median("generator CPU") or 0
    return f"- The load generator used {share:.0%} of a core against {side.name}, which may be faster than shown.\n"


def _cells(side: SideResult, figures: list[str]) -> str:
    cells = []
    for figure in figures:
        median, spread = side.median(figure), side.spread(figure)
        if side.failure or median is None or spread is None:
            cells.append("failed" if side.failure else "-")
        elif len(side.rounds) > 1:
            cells.append(f"{number(median)} ({number(spread[0])} to {number(spread[1])})")
        else:
            cells.append(number(median))
    return " | ".join(cells)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())[:600]


def number(value: float) -> str:
    """With as many digits as mean something."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
