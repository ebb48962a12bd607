"""What the feeder makes of the gaps that it is given, and what it costs to find a probe."""

from __future__ import annotations

import random
import threading

import pytest

from bridge import feeder as module
from bridge.clock import SystemClock
from bridge.feeder import _PROBED_RECORDS, Feeder, _merged
from bridge.flow.backoff import Backoff
from bridge.flow.lane import Lane
from bridge.ports import Gap
from config.settings import Retry, Uplink
from tests.support.cloud import EPOCH, FakeOutbox

Told = list[tuple[int, int, str]]


@pytest.mark.parametrize(
    ("given", "start", "stop", "told"),
    [
        ([], 1, None, []),
        ([(1, 5, "full"), (6, 4, "full")], 1, None, [(1, 9, "full")]),
        ([(1, 5, "full"), (6, 4, "expired")], 1, None, [(1, 5, "full"), (6, 4, "expired")]),
        ([(1, 5, "full"), (7, 4, "full")], 1, None, [(1, 5, "full"), (7, 4, "full")]),
        ([(1, 5, "full")], 3, None, [(3, 3, "full")]),
        ([(1, 5, "full")], 6, None, []),
        ([(6, 4, "expired"), (1, 7, "full")], 1, None, [(1, 7, "full"), (8, 2, "expired")]),
        ([(1, 5, "full"), (6, 10, "expired")], 1, 8, [(1, 5, "full"), (6, 2, "expired")]),
    ],
)
def test_gaps_are_told_once_in_order_and_only_where_they_belong(
    given: Told, start: int, stop: int | None, told: Told
) -> None:
    gaps = [Gap(first_seq=first, count=count, reason=reason) for first, count, reason in given]
    assert [(gap.first_seq, gap.count, gap.reason) for gap in _merged(gaps, start, stop)] == told


class _Probing:
    """A feeder above a spool of many small records; `threads` are those that sealed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, records: int) -> None:
        self.outbox = FakeOutbox(("telemetry",))
        rng = random.Random(1)
        for _ in range(records // 5):
            self.outbox.add("telemetry", [rng.randbytes(100) for _ in range(5)])
        backoff = Backoff(Retry(), rng.random)
        self.lane = Lane(name="telemetry", epoch=EPOCH, next_seq=1, backoff=backoff)
        lanes = {"telemetry": self.lane}
        self.feeder = Feeder(Uplink(), gateway_id="edge", outbox=self.outbox, lanes=lanes, clock=SystemClock())
        self.threads: list[str] = []
        self.records = 0
        seal_within = module.seal_within

        def watched(header: object, *args: object, **more: object) -> object:
            self.threads.append(threading.current_thread().name)
            self.records += header.count  # type: ignore[attr-defined]
            return seal_within(header, *args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "seal_within", watched)


async def test_no_record_is_sealed_for_a_probe_that_is_smaller_than_any_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    it = _Probing(monkeypatch, records=3000)
    assert await it.feeder.probe(it.lane, 1, max_bytes=60) is None
    assert it.threads == []
    it.feeder.close()


async def test_a_long_search_for_a_probe_has_an_end_and_leaves_the_event_loop_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = _Probing(monkeypatch, records=12_000)
    assert await it.feeder.probe(it.lane, 1, max_bytes=180) is None
    assert threading.current_thread().name not in it.threads
    assert _PROBED_RECORDS <= it.records < 2 * _PROBED_RECORDS
    probe = await it.feeder.probe(it.lane, 1, max_bytes=400)
    assert probe is not None
    assert probe.payload is not None
    assert len(probe.payload) <= 400
    it.feeder.close()
