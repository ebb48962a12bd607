"""A model test: the uplink between a strict outbox and a broker with moods, driven by random steps.

What must hold whatever happens: a record is released only when the broker has it, or when its gap was declared; records
are first sent in order; once the weather is fair again, everything is delivered or a dead letter, and nothing else.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge import feeder
from bridge.frame import Frame
from bridge.ports import LinkLimits, Publish
from bridge.uplink import Uplink
from config.settings import Batch, Compression, Encoding, Retry
from config.settings import Uplink as UplinkSettings
from tests.support.cloud import Answer, FakeBroker, FakeOutbox
from tests.support.examples import examples
from tests.support.virtual_time import VirtualClock, VirtualLoop

STREAMS = ("telemetry", "alarms")
LARGEST = 1500
ANSWERS: tuple[Answer, ...] = (0, 0, 0, 0x10, 0x80, 0x83, 0x87, 0x97, 0x99, None, "cut", "cut_after")


class UplinkMachine(RuleBasedStateMachine):
    """Random steps; the loop's time is virtual, so that a minute of back-off costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.small_bytes = feeder._SMALL_BYTES
        feeder._SMALL_BYTES = 1 << 30  # no threads under a virtual clock

    @initialize(
        seed=st.integers(0, 2**32),
        window=st.integers(1, 8),
        encoding=st.sampled_from(Encoding),
        compression=st.sampled_from(Compression),
    )
    def begin(self, seed: int, window: int, encoding: Encoding, compression: Compression) -> None:
        self.rng = random.Random(seed)
        self.broker = FakeBroker(self.rng)
        self.outbox = FakeOutbox(STREAMS, now_us=self.clock.now_us)
        self.outbox.on_release = self.released
        self.settings = UplinkSettings(
            window=window,
            encoding=encoding,
            compression=compression,
            batch=Batch(max_records=12, max_size_bytes=1000, linger_s=0.2),
            ack_timeout_s=2.0,
            retry=Retry(first_s=0.1, max_s=5.0),
        )
        self.start()

    def start(self) -> None:
        self.uplink = Uplink(
            self.settings,
            gateway_id="edge",
            outbox=self.outbox,
            link_factory=self.broker.link,
            clock=self.clock,
            rng=self.rng.random,
            paused_by=self.uplink.paused_by if hasattr(self, "uplink") else None,
        )
        self.task = self.loop.create_task(self.uplink.run())

    def released(self, stream: str, next_seq: int) -> None:
        safe = set(self.broker.delivered(stream)) | self.broker.gaps(stream)
        missing = [seq for seq in range(self.outbox.of[stream].watermark, next_seq) if seq not in safe]
        assert not missing, f"released without being delivered: {missing}"

    def advance(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(stream=st.sampled_from(STREAMS), count=st.integers(1, 9), compressed=st.booleans())
    def records_are_committed(self, stream: str, count: int, compressed: bool) -> None:
        payloads = [self.rng.randbytes(self.rng.choice((0, 5, 40, 200))) for _ in range(count)]
        self.outbox.add(stream, payloads, compressed=compressed)

    @rule(stream=st.sampled_from(STREAMS))
    def a_large_record_is_committed_among_others(self, stream: str) -> None:
        payloads = [self.rng.randbytes(size) for size in (10, 10, LARGEST, 10)]
        self.rng.shuffle(payloads)
        self.outbox.add(stream, payloads)

    @rule(seconds=st.sampled_from((0.01, 0.1, 0.5, 3.0)))
    def time_passes(self, seconds: float) -> None:
        self.advance(seconds)

    @rule()
    def the_broker_is_in_a_mixed_mood(self) -> None:
        self.broker.mood = lambda _publish, _frame: self.rng.choice(ANSWERS)

    @rule(answer=st.sampled_from(ANSWERS))
    def the_broker_answers_all_alike(self, answer: Answer) -> None:
        # 0x99 for all would make dead letters of all, as it should: that is no use as a lasting mood here.
        self.broker.mood = lambda _publish, _frame: 0 if answer == 0x99 else answer

    @rule(most=st.sampled_from((100, 400)))
    def the_broker_finds_frames_too_large(self, most: int) -> None:
        def mood(publish: Publish, _frame: Frame) -> Answer:
            return 0x95 if len(publish.payload) > most else 0

        self.broker.mood = mood

    @rule(most=st.sampled_from((100, 400)))
    def the_broker_hangs_up_on_large_frames(self, most: int) -> None:
        self.broker.mood = lambda publish, _frame: "cut" if len(publish.payload) > most else 0

    @rule(most=st.sampled_from((None, 300, 1000, 5000)), receive_maximum=st.sampled_from((1, 3, 65535)))
    def the_broker_grants_other_limits(self, most: int | None, receive_maximum: int) -> None:
        self.broker.cut()
        self.broker.limits = LinkLimits(maximum_packet_size_bytes=most, receive_maximum=receive_maximum)

    @rule(how=st.sampled_from((0x87, "nobody is there", None)))
    def connecting_is_refused(self, how: int | str | None) -> None:
        self.broker.refuse_connect = how

    @rule()
    def the_link_is_cut(self) -> None:
        self.broker.cut()

    @rule(stream=st.sampled_from(STREAMS))
    def the_spool_drops_its_oldest_block(self, stream: str) -> None:
        self.outbox.drop_oldest(stream)

    @rule(grace_s=st.sampled_from((0.0, 1.0)))
    def the_gateway_is_stopped_and_started(self, grace_s: float) -> None:
        self.loop.run_until_complete(self.uplink.stop(grace_s))
        self.loop.run_until_complete(self.task)
        assert self.uplink.status.state == "stopped"
        assert self.uplink.status.in_flight == 0
        self.start()

    @rule(window=st.integers(1, 8), max_records=st.integers(1, 30), linger_s=st.sampled_from((0.0, 0.2, 5.0)))
    def other_settings_take_their_place(self, window: int, max_records: int, linger_s: float) -> None:
        self.loop.run_until_complete(self.uplink.stop(0.5))
        self.loop.run_until_complete(self.task)
        batch = Batch(max_records=max_records, max_size_bytes=1000, linger_s=linger_s)
        self.settings = replace(self.settings, window=window, batch=batch)
        self.start()

    @rule()
    def somebody_pauses_it(self) -> None:
        self.uplink.pause("anna")

    @rule()
    def somebody_resumes_it(self) -> None:
        self.uplink.resume()

    @rule()
    def somebody_hurries_it(self) -> None:
        assert self.uplink.drain() is not (self.uplink.is_paused or self.uplink.state.value == "stopped")

    @rule()
    def the_gateway_is_killed_and_started(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            self.loop.run_until_complete(self.task)
        self.start()

    @invariant()
    def the_uplink_lives(self) -> None:
        if hasattr(self, "task"):
            assert not self.task.done(), self.task.exception()
            assert len(self.uplink.in_flight()) == self.uplink.status.in_flight <= self.settings.window
            assert all(frame.attempt >= 1 for frame in self.uplink.in_flight())

    @invariant()
    def a_paused_uplink_sends_nothing(self) -> None:
        if hasattr(self, "task") and self.uplink.status.state == "paused":
            assert not self.uplink.in_flight()
            assert not self.uplink.is_paused or not self.broker.links or not self.broker.links[-1]._open

    def teardown(self) -> None:
        try:
            if hasattr(self, "task"):
                self.check_the_end()
        finally:
            feeder._SMALL_BYTES = self.small_bytes
            for task in (left := asyncio.all_tasks(self.loop)):
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left))
            self.loop.close()

    def check_the_end(self) -> None:
        self.broker.mood = lambda _publish, _frame: 0
        self.broker.refuse_connect = None
        self.uplink.resume()
        for _ in range(200):
            self.advance(1.0)
            if all(it.watermark == it.next_seq for it in self.outbox.of.values()):
                break
        for name, it in self.outbox.of.items():
            delivered, gaps = self.broker.delivered(name), self.broker.gaps(name)
            assert it.watermark == it.next_seq, f"{name} stands at {it.watermark} of {it.next_seq}"
            assert set(range(1, it.next_seq)) == set(delivered) | gaps
            assert all(it.payloads[seq] == payload for seq, payload in delivered.items())
            # One that was acknowledged, in a block of which the rest was not, may be refused when it goes again.
            assert set(it.dead) <= gaps | set(delivered)
            self.check_order(name)
        assert self.uplink.status.in_flight == 0
        self.loop.run_until_complete(self.uplink.stop(1.0))
        self.loop.run_until_complete(self.task)
        assert not asyncio.all_tasks(self.loop)

    def check_order(self, stream: str) -> None:
        highest, probed = 0, set[int]()
        for place, frame in enumerate(self.broker.sent):
            if frame.header.stream == stream:
                while highest + 1 in probed:
                    highest += 1
                if frame.header.start_seq > highest + 1 and place in self.broker.openings:  # the probe of a trial
                    probed.update(range(frame.header.start_seq, frame.header.next_seq))
                    continue
                assert frame.header.start_seq <= highest + 1, "something was sent before what comes before it"
                highest = max(highest, frame.header.next_seq - 1)


UplinkMachine.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestUplinkModel: Any = UplinkMachine.TestCase
