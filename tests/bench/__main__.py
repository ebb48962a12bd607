"""`python -m tests.bench`: measure everything, print it, and write docs/benchmarks.md.

    python -m tests.bench                      all cases, three rounds: about half an hour
    python -m tests.bench --only ingest        one case or a pattern ('end-to-end*'), prints only
    python -m tests.bench --quick              a tenth of the messages, one round, prints only

Exit code: 0, or 1 when one of our sides failed or a target was missed in a whole run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import fnmatch
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from simulators.load import mosquitto
from tests.bench import (
    bench_backlog,
    bench_end_to_end,
    bench_fanout,
    bench_generator,
    bench_guarded,
    bench_idle,
    bench_ingest,
    bench_latency,
    bench_matching,
    bench_tls,
    bench_watched,
    machine,
    report,
)
from tests.bench.case import Case, CaseResult
from tests.bench.runner import run_case, say

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
RECEIVER = "receiver"
_RECEIVER_TIMEOUT_S = 600.0


def all_cases() -> list[Case]:
    """Every case, in the order of the page."""
    modules = (
        bench_ingest,
        bench_end_to_end,
        bench_guarded,
        bench_tls,
        bench_watched,
        bench_fanout,
        bench_matching,
        bench_idle,
        bench_latency,
        bench_backlog,
        bench_generator,
    )
    return [case for module in modules for case in module.cases()]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Fieldgate beside Mosquitto, measured.")
    parser.add_argument("--only", action="append", metavar="NAME", help="a case or a pattern of cases; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each case (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one round")
    parser.add_argument("--disk", type=Path, default=Path(tempfile.gettempdir()), help="where data is written")
    parser.add_argument("--write", type=Path, help="where the page goes (a whole run: docs/benchmarks.md)")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    return parser.parse_args()


def chosen(names: list[str] | None, cases: list[Case]) -> list[Case]:
    """The cases that were asked for. Exits with code 2 for a name that no case has."""
    known = [case.name for case in cases] + [RECEIVER]
    for pattern in names or []:
        if not fnmatch.filter(known, pattern):
            say(f"There is no case {pattern!r}; there are {', '.join(known)}.")
            sys.exit(2)
    return [case for case in cases if names is None or any(fnmatch.fnmatch(case.name, name) for name in names)]


def receiver_rates() -> str:
    """What the receiver's own benchmark prints, or why there is nothing."""
    script = ROOT / "tests" / "bench" / "bench_receiver.py"
    if not script.exists():
        return "not measured: tests/bench/bench_receiver.py is not there"
    say("receiver: frames into each sink")
    command = [sys.executable, "-m", "tests.bench.bench_receiver"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_RECEIVER_TIMEOUT_S, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"failed: it did not end within {_RECEIVER_TIMEOUT_S:g} s"
    if done.returncode:
        return f"failed with code {done.returncode}: {done.stderr[-1000:]}"
    say(done.stdout)
    return done.stdout


def _on_terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that every process that was started is stopped on the way out


def main() -> int:
    """Run what was asked for."""
    options = parse()
    cases = all_cases()
    if options.list:
        lines = [*(f"{case.name:32}{case.title}" for case in cases), f"{RECEIVER:32}Frames into each sink"]
        try:
            print("\n".join(lines), flush=True)
        except BrokenPipeError:  # `--list | head`; the interpreter must not flush once more on its way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    signal.signal(signal.SIGTERM, _on_terminate)
    wanted = chosen(options.only, cases)
    rounds = options.rounds or (1 if options.quick else 3)
    scale = 0.1 if options.quick else 1.0
    facts = machine.describe(options.disk)
    for key, value in facts.items():
        say(f"{key}: {value}")
    inflight, why = 100, "100 (not tried in this run)"
    if mosquitto.executable() and options.only is None:
        inflight, rates = bench_end_to_end.best_inflight(options.disk, scale=scale)
        why = f"{inflight} ({', '.join(f'{key}: {report.number(rate)}/s' for key, rate in rates.items())})"
        say(f"The bridge's max_inflight_messages: {why}")
    results = [
        run_case(case, disk=options.disk, rounds=rounds, scale=scale, bridge_inflight=inflight) for case in wanted
    ]
    with_receiver = options.only is None or any(fnmatch.fnmatch(RECEIVER, name) for name in options.only)
    page = report.render(
        results,
        machine=facts,
        rounds=rounds,
        scale=scale,
        inflight=why,
        receiver=receiver_rates() if with_receiver else None,
        when=dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    target = options.write or (PAGE if options.only is None and not options.quick else None)
    if target is not None:
        target.write_text(page)
        say(f"Written: {target}")
    else:
        print(page)
    return 1 if _failed(results) else 0


def _failed(results: list[CaseResult]) -> bool:
    for result in results:
        if result.sides[0].failure:
            return True
        for target in result.case.targets:
            value = result.value(target)
            if value is not None and not target.is_met(value):
                return True
    return False


if __name__ == "__main__":
    sys.exit(main())
