"""Pausing, resuming and hurrying an uplink, and another one in its place; under a virtual clock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from bridge.uplink import PAUSE_GRACE_S, Uplink
from bridge.uplink_status import UplinkState
from config.settings import Batch, Retry
from config.settings import Uplink as UplinkSettings
from tests.unit.bridge.test_uplink import STREAM, Scene, play

States = list[tuple[UplinkState, str | None]]


def heard(scene: Scene) -> States:
    states: States = []
    scene.uplink.on_state = lambda state, reason: states.append((state, reason))
    return states


async def until(scene: Scene, state: str, limit_s: float = 60) -> None:
    """Virtual time passes until the uplink is there."""
    for _ in range(int(limit_s * 100)):
        if scene.uplink.status.state == state:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the uplink is {scene.uplink.status.state}, not {state}")


def slow(scene: Scene, delay_s: float) -> None:
    scene.broker.rng.choice = lambda _delays: delay_s  # type: ignore[method-assign, assignment, return-value]


def test_a_paused_uplink_lets_what_is_in_flight_be_acknowledged_and_sends_nothing_until_it_is_resumed() -> None:
    async def act(scene: Scene) -> None:
        states = heard(scene)
        slow(scene, 0.5)
        scene.add(8)
        scene.start()
        await asyncio.sleep(0.4)
        assert scene.uplink.status.in_flight == 1
        scene.uplink.pause("anna")
        scene.uplink.pause("ben")
        assert (scene.uplink.is_paused, scene.uplink.paused_by) == (True, "anna")
        scene.add(8)
        await until(scene, "paused")
        assert scene.outbox.of[STREAM].watermark == 9
        await asyncio.sleep(100)
        assert len(scene.broker.sent) == 1
        assert not scene.uplink.drain()
        scene.uplink.resume()
        scene.uplink.resume()
        await scene.all_released()
        assert not scene.uplink.is_paused
        assert states == [
            (UplinkState.CONNECTING, None),
            (UplinkState.ONLINE, None),
            (UplinkState.PAUSED, "Paused by anna."),
            (UplinkState.CONNECTING, None),
            (UplinkState.ONLINE, None),
        ]

    play(act)


def test_what_is_not_acknowledged_within_the_grace_of_a_pause_is_sent_again_after_it() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda _publish, _frame: None
        scene.add(8)
        scene.start()
        await asyncio.sleep(0.4)
        begun = scene.clock.monotonic_s()
        scene.uplink.pause("anna")
        await until(scene, "paused")
        assert PAUSE_GRACE_S - 0.1 < scene.clock.monotonic_s() - begun < PAUSE_GRACE_S + 0.1
        assert scene.uplink.in_flight() == []
        scene.broker.mood = lambda _publish, _frame: 0
        scene.uplink.resume()
        await scene.all_released()
        assert [frame.header.first_seq for frame in scene.broker.sent] == [1, 1]

    play(act, ack_timeout_s=60.0)


def test_an_uplink_that_was_paused_before_the_restart_does_not_connect() -> None:
    async def act(scene: Scene) -> None:
        scene.uplink = Uplink(
            UplinkSettings(), gateway_id="edge", outbox=scene.outbox, link_factory=scene.broker.link,
            clock=scene.clock, paused_by="anna",
        )  # fmt: skip
        scene.add(3)
        scene.start()
        await asyncio.sleep(100)
        assert scene.uplink.status.state == "paused"
        assert not scene.broker.links
        scene.uplink.resume()
        await scene.all_released()

    play(act)


def test_a_pause_ends_a_back_off_and_connecting_and_a_stop_ends_a_pause_and_its_grace() -> None:
    async def act(scene: Scene) -> None:
        states = heard(scene)
        scene.broker.refuse_connect = "nobody is there"
        scene.start()
        await until(scene, "backing_off")
        scene.uplink.pause("anna")
        await until(scene, "paused", 0.1)
        assert scene.uplink.next_try_in_s is None
        scene.broker.refuse_connect = None
        scene.broker.mood = lambda _publish, _frame: None
        scene.add(8)
        scene.uplink.resume()
        await asyncio.sleep(0)
        scene.uplink.pause("ben")
        await until(scene, "paused", 0.1)
        assert not scene.broker.sent
        scene.uplink.resume()
        await asyncio.sleep(1.0)
        assert scene.uplink.status.in_flight == 1
        scene.uplink.pause("carl")
        await asyncio.sleep(1.0)
        begun = scene.clock.monotonic_s()
        await scene.uplink.stop(0.5)
        assert scene.clock.monotonic_s() - begun < 0.6
        assert states[-1] == (UplinkState.STOPPED, None)
        assert (UplinkState.BACKING_OFF, "nobody is there") in states

    play(act)


def test_draining_connects_at_once_and_sends_without_lingering_what_waits_at_that_moment() -> None:
    async def act(scene: Scene) -> None:
        assert not scene.uplink.drain()
        scene.broker.refuse_connect = "nobody is there"
        scene.start()
        await asyncio.sleep(2)
        scene.add(3)
        await until(scene, "connecting")
        await until(scene, "backing_off")
        assert 10 < (scene.uplink.next_try_in_s or 0) <= 50
        scene.broker.refuse_connect = None
        begun = scene.clock.monotonic_s()
        assert scene.uplink.drain()
        await scene.all_released()
        assert scene.clock.monotonic_s() - begun < 0.3
        assert scene.uplink.next_try_in_s is None
        scene.released.clear()
        scene.add(3)
        await asyncio.sleep(20)
        assert len(scene.broker.sent) == 1
        assert scene.uplink.drain()
        await asyncio.sleep(0.1)
        scene.add(1)
        begun = scene.clock.monotonic_s()
        await asyncio.sleep(1.0)
        assert [frame.header.next_seq for frame in scene.broker.sent] == [4, 7]
        await scene.all_released()
        assert scene.clock.monotonic_s() - begun > 15

    play(act, batch=Batch(max_records=10, linger_s=30.0), retry=Retry(first_s=100.0, max_s=100.0))


def test_draining_ends_the_wait_after_a_refusal() -> None:
    async def act(scene: Scene) -> None:
        answers: list[int] = [0x97]
        scene.broker.mood = lambda _publish, _frame: answers.pop() if answers else 0
        scene.add(3)
        scene.start()
        await asyncio.sleep(1)
        assert len(scene.broker.sent) == 1
        begun = scene.clock.monotonic_s()
        assert scene.uplink.drain()
        await scene.all_released()
        assert scene.clock.monotonic_s() - begun < 1

    play(act, retry=Retry(first_s=100.0, max_s=100.0))


def test_frames_in_flight_tell_how_often_they_were_tried_and_how_long_ago() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda _publish, frame: None if frame.header.first_seq == 9 else 0
        for _ in range(3):
            scene.add(8)
        scene.start()
        await asyncio.sleep(1.0)
        assert [(f.first_seq, f.attempt) for f in scene.uplink.in_flight()] == [(9, 1)]
        await asyncio.sleep(4.5)
        await until(scene, "online")
        await asyncio.sleep(1.0)
        (frame,) = scene.uplink.in_flight()
        assert (frame.stream, frame.first_seq, frame.records, frame.attempt) == (STREAM, 9, 8, 2)
        assert 0.5 < frame.sent_ago_s < 2
        assert 8 * 20 < frame.size_bytes < 600
        scene.broker.mood = lambda _publish, _frame: 0
        await scene.all_released()

    play(act)


@pytest.mark.parametrize("grace_s", [0.0, 2.0])
@pytest.mark.parametrize("delay_s", [0.1, 5.0])
def test_another_uplink_in_the_place_of_one_with_frames_in_flight_goes_on_at_the_watermark(
    grace_s: float, delay_s: float
) -> None:
    async def act(scene: Scene) -> None:
        slow(scene, delay_s)
        for _ in range(30):
            scene.add(8)
        scene.start()
        await asyncio.sleep(0.3)
        old = scene.uplink
        assert old.status.in_flight == 4
        await old.stop(grace_s)
        watermark = scene.outbox.of[STREAM].watermark
        assert set(scene.broker.delivered(STREAM)) >= set(range(1, watermark))
        assert not scene.outbox._callbacks, "the old one is told nothing any more"
        slow(scene, 0.02)
        scene.uplink = Uplink(
            UplinkSettings(window=2, batch=Batch(max_records=20)), gateway_id="edge", outbox=scene.outbox,
            link_factory=scene.broker.link, clock=scene.clock, rng=random.Random(2).random,
        )  # fmt: skip
        first = len(scene.broker.sent)
        scene.start()
        await scene.all_released()
        assert scene.broker.sent[first].header.first_seq == watermark
        assert set(scene.broker.delivered(STREAM)) == set(range(1, 241))
        assert scene.uplink.status.dead_letters == 0

    play(act)


def test_what_was_condemned_when_it_is_stopped_is_written_or_goes_again_and_stopping_does_not_hang() -> None:
    async def act(scene: Scene) -> None:
        async def no_room(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        write, scene.outbox.dead_letter = scene.outbox.dead_letter, no_room  # type: ignore[method-assign]
        scene.broker.mood = lambda _publish, frame: 0x99 if frame.header.first_seq == 1 else 0
        scene.add(8)
        scene.start()
        await asyncio.sleep(1)
        async with asyncio.timeout(30):
            await scene.uplink.stop(1.0)
        scene.outbox.dead_letter = write  # type: ignore[method-assign]
        scene.uplink = Uplink(
            UplinkSettings(), gateway_id="edge", outbox=scene.outbox, link_factory=scene.broker.link, clock=scene.clock
        )
        scene.start()
        await scene.all_released()
        assert set(scene.dead) == set(range(1, 9))

    play(act)
