"""The uplink's loop, case by case, under a virtual clock; tests/model drives it at random."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bridge.errors import LinkLost
from bridge.flow.lane import REFUSALS_OF_POISON
from bridge.frame import Frame
from bridge.ports import LinkLimits, Publish
from bridge.uplink import Uplink, link_factory, link_settings
from config.settings import Batch, Protocol, Retry
from config.settings import Uplink as UplinkSettings
from tests.support.cloud import Answer, FakeBroker, FakeOutbox
from tests.support.virtual_time import VirtualClock, run_virtual

STREAM = "telemetry"


class Scene:
    """An uplink between a strict outbox and a broker that does as it is told."""

    def __init__(self, clock: VirtualClock, **more: Any) -> None:
        self.clock = clock
        self.outbox = FakeOutbox((STREAM,), now_us=clock.now_us)
        self.outbox.on_release = self._released
        self.broker = FakeBroker(random.Random(1))
        how: dict[str, Any] = {
            "batch": Batch(max_records=10, max_size_bytes=10_000, linger_s=0.25),
            "retry": Retry(first_s=0.5, max_s=4.0),
            "ack_timeout_s": 5.0,
            "window": 4,
        }
        self.uplink = Uplink(
            UplinkSettings(**(how | more)),
            gateway_id="edge",
            outbox=self.outbox,
            link_factory=self.broker.link,
            clock=clock,
            rng=lambda: 0.5,
        )
        self.released = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def _released(self, _stream: str, next_seq: int) -> None:
        if next_seq == self.outbox.of[STREAM].next_seq:
            self.released.set()

    def start(self) -> None:
        self.task = asyncio.create_task(self.uplink.run())

    async def all_released(self) -> None:
        async with asyncio.timeout(600):
            await self.released.wait()

    async def stop(self) -> None:
        assert self.task is not None
        await self.uplink.stop(5.0)
        await self.task

    def add(self, count: int, size: int = 20) -> None:
        self.outbox.add(STREAM, [random.Random(i).randbytes(size) for i in range(count)])

    @property
    def dead(self) -> dict[int, str]:
        return self.outbox.of[STREAM].dead


def play(act: Callable[[Scene], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        scene = Scene(clock, **more)
        await act(scene)
        await scene.stop()

    run_virtual(main)


def test_a_backlog_goes_in_whole_frames_at_once_and_the_rest_after_the_linger() -> None:
    async def act(scene: Scene) -> None:
        for _ in range(4):
            scene.add(6)
        scene.start()
        await scene.all_released()
        assert [frame.header.count for frame in scene.broker.sent] == [6, 6, 6, 6]
        begun = scene.clock.monotonic_s()
        scene.released.clear()
        scene.add(1)
        await scene.all_released()
        assert 0.25 <= scene.clock.monotonic_s() - begun < 0.5
        status = scene.uplink.status
        assert (status.state, status.frames, status.records, status.in_flight) == ("online", 5, 25, 0)
        assert status.raw_bytes == 25 * 30
        assert status.wire_bytes > 25 * 20
        assert status.last_error is None

    play(act)


def test_what_nobody_subscribes_to_is_kept_and_said() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda _publish, _frame: 0x10
        scene.add(3)
        scene.start()
        await asyncio.sleep(30)
        assert scene.outbox.of[STREAM].watermark == 1
        assert "nobody subscribes" in (scene.uplink.status.last_error or "")
        assert 5 < scene.uplink.status.retries < 40
        scene.broker.mood = lambda _publish, _frame: 0
        await scene.all_released()
        assert scene.uplink.status.last_error is None
        assert not scene.dead

    play(act)


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x97])
def test_no_refusal_that_meets_every_frame_makes_a_dead_letter(code: int) -> None:
    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda _publish, _frame: code
        for _ in range(5):
            scene.add(8)
        scene.start()
        await asyncio.sleep(600)
        assert not scene.dead
        assert f"0x{code:02X}" in (scene.uplink.status.last_error or "")
        scene.broker.mood = lambda _publish, _frame: 0
        await scene.all_released()

    play(act)


@pytest.mark.parametrize(("code", "tries"), [(0x99, 1), (0x80, REFUSALS_OF_POISON)])
def test_a_frame_that_the_broker_will_never_take_becomes_a_dead_letter_and_a_gap(code: int, tries: int) -> None:
    async def act(scene: Scene) -> None:
        def mood(_publish: Publish, frame: Frame) -> Answer:
            return code if any(record.seq == 12 for block in frame.blocks for record in block) else 0

        scene.broker.mood = mood
        for _ in range(4):
            scene.add(8)
        scene.start()
        await scene.all_released()
        assert scene.dead == dict.fromkeys(range(9, 17), "refused")
        assert scene.broker.gaps(STREAM) == set(range(9, 17))
        assert scene.uplink.status.dead_letters == 8
        assert sum(frame.header.first_seq == 9 and frame.header.count > 0 for frame in scene.broker.sent) == tries
        assert set(scene.broker.delivered(STREAM)) == set(range(1, 33)) - set(range(9, 17))

    play(act)


def test_silence_is_a_lost_link() -> None:
    async def act(scene: Scene) -> None:
        answers: list[Answer] = [0, None]
        scene.broker.mood = lambda _publish, _frame: answers.pop(0) if answers else 0
        for _ in range(6):
            scene.add(8)
        scene.start()
        await asyncio.sleep(4)
        assert scene.outbox.of[STREAM].watermark == 9
        await scene.all_released()
        assert len(scene.broker.links) == 2
        assert set(scene.broker.delivered(STREAM)) == set(range(1, 49))

    play(act)


def test_a_record_above_the_brokers_limit_is_set_aside_and_its_neighbours_go() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.limits = LinkLimits(maximum_packet_size_bytes=600)
        scene.outbox.add(STREAM, [b"a" * 50, random.Random(1).randbytes(900), b"c" * 50])
        scene.add(4)
        scene.start()
        await scene.all_released()
        assert scene.dead == {2: "too_large"}
        assert set(scene.broker.delivered(STREAM)) == {1, 3, 4, 5, 6, 7}

    play(act)


@pytest.mark.parametrize("how", ["puback", "disconnect", "hang up"])
def test_frames_shrink_until_a_broker_takes_them_however_it_says_no(how: str) -> None:
    async def act(scene: Scene) -> None:
        def mood(publish: Publish, _frame: Frame) -> Answer:
            if len(publish.payload) <= 700:
                return 0
            if how == "puback":
                return 0x95
            error = LinkLost("too large", reason_code=0x95 if how == "disconnect" else None)
            asyncio.get_running_loop().call_soon(scene.broker.links[-1].lose, error)
            return None

        scene.broker.mood = mood
        for _ in range(3):
            scene.add(10, size=200)
        scene.start()
        await scene.all_released()
        assert not scene.dead
        assert set(scene.broker.delivered(STREAM)) == set(range(1, 31))

    play(act)


def test_a_single_record_that_is_refused_as_too_large_is_a_dead_letter() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda publish, _frame: 0x95 if len(publish.payload) > 700 else 0
        scene.outbox.add(STREAM, [b"a", random.Random(1).randbytes(900), b"c"])
        scene.start()
        await scene.all_released()
        assert scene.dead == {2: "too_large"}
        assert scene.broker.gaps(STREAM) == {2}

    play(act)


@pytest.mark.parametrize(
    "blocks",
    [[[b"a", b"b"], "P"], ["P"], [[b"a", "P", b"c"]], ["P", "P", [b"a"], "P", [b"d", "P"]], ["P", *"QQQQQQQQ"]],
)
def test_a_single_record_that_the_broker_hangs_up_on_blocks_the_rest_no_longer_than_its_trial(
    blocks: list[Any],
) -> None:
    poisons = {name: random.Random(1).randbytes(size) for name, size in (("P", 1500), ("Q", 450))}

    async def act(scene: Scene) -> None:
        scene.broker.mood = lambda publish, _frame: "cut" if len(publish.payload) > 400 else 0
        for block in [*blocks, [b"x", b"y"], [b"z"]]:
            scene.outbox.add(STREAM, [poisons.get(payload, payload) for payload in block])
        begun = scene.clock.monotonic_s()
        scene.start()
        await scene.all_released()
        it = scene.outbox.of[STREAM]
        expected = {seq for seq, payload in it.payloads.items() if payload in poisons.values()}
        assert scene.dead == dict.fromkeys(expected, "too_large")
        assert scene.broker.gaps(STREAM) == expected
        assert set(scene.broker.delivered(STREAM)) == set(it.payloads) - expected
        assert scene.clock.monotonic_s() - begun < 60 * len(expected)

    play(act)


@pytest.mark.parametrize("before", [1, 12])
def test_frames_that_wait_for_their_answer_when_a_later_one_is_hung_up_on_are_not_suspected_for_ever(
    before: int,
) -> None:
    """A broker that answers when its disk has it, and cuts at once, never answers what is ahead of a poison record."""
    rng = random.Random(1)

    async def act(scene: Scene) -> None:
        def mood(publish: Publish, _frame: Frame) -> Answer:
            if len(publish.payload) <= 400:
                return 0
            asyncio.get_running_loop().call_soon(scene.broker.links[-1].lose, LinkLost("cut"))
            return None

        scene.broker.mood = mood
        scene.outbox.add(
            STREAM, [*(rng.randbytes(150) for _ in range(before - 1)), b"before", rng.randbytes(900), b"y"]
        )
        scene.add(20, size=150)
        begun = scene.clock.monotonic_s()
        scene.start()
        await scene.all_released()
        assert scene.dead == {before + 1: "too_large"}
        assert set(scene.broker.delivered(STREAM)) == set(scene.outbox.of[STREAM].payloads) - {before + 1}
        assert scene.clock.monotonic_s() - begun < 180

    play(act)


@pytest.mark.parametrize(
    "weather", ["all is cut", "silence", "nothing behind it", "silent now and then", "it says why"]
)
def test_no_record_is_condemned_for_what_meets_the_others_too(weather: str) -> None:
    poison = random.Random(1).randbytes(900)

    async def act(scene: Scene) -> None:
        connections = 0

        def mood(publish: Publish, _frame: Frame) -> Answer:
            nonlocal connections
            if len(publish.payload) < 700:
                return "cut" if weather == "all is cut" else 0
            connections += 1
            if weather == "it says why":
                error = LinkLost("shutting down", reason_code=0x8B)
                asyncio.get_running_loop().call_soon(scene.broker.links[-1].lose, error)
                return None
            return None if weather == "silence" or (weather != "all is cut" and connections % 7 == 0) else "cut"

        scene.broker.mood = mood
        scene.outbox.add(STREAM, [poison])
        if weather != "nothing behind it":
            scene.outbox.add(STREAM, [b"x", b"y"])
        scene.start()
        await asyncio.sleep(3600)
        assert connections > 20
        assert not scene.dead
        scene.broker.mood = lambda _publish, _frame: 0
        await scene.all_released()
        assert len(scene.broker.delivered(STREAM)) == scene.outbox.of[STREAM].next_seq - 1

    play(act)


def test_an_unreachable_broker_is_backed_off_from_and_stopping_does_not_wait_for_it() -> None:
    async def act(scene: Scene) -> None:
        scene.broker.refuse_connect = "nobody is there"
        scene.start()
        await asyncio.sleep(60)
        status = scene.uplink.status
        assert (status.state, status.last_error) == ("backing_off", "nobody is there")
        assert 25 < status.retries < 45
        begun = scene.clock.monotonic_s()
        await scene.uplink.stop(10.0)
        assert scene.clock.monotonic_s() - begun < 0.1
        assert scene.uplink.status.state == "stopped"

    play(act)


@pytest.mark.parametrize(("grace_s", "watermark"), [(1.0, 9), (0.0, 1)])
def test_stopping_gives_what_is_in_flight_its_grace(grace_s: float, watermark: int) -> None:
    async def act(scene: Scene) -> None:
        scene.broker.rng.choice = lambda _delays: 0.5  # type: ignore[method-assign, assignment, return-value]
        scene.add(8)
        scene.start()
        await asyncio.sleep(0.4)
        assert scene.uplink.status.in_flight == 1
        await scene.uplink.stop(grace_s)
        assert scene.outbox.of[STREAM].watermark == watermark

    play(act)


def test_many_acknowledgements_make_few_releases() -> None:
    async def act(scene: Scene) -> None:
        scene.outbox.release_takes_s = 0.02
        for _ in range(100):
            scene.add(8)
        scene.start()
        await scene.all_released()
        assert scene.outbox.releases < 30
        assert 1 < scene.broker.most_in_flight <= 20

    play(act, window=20)


def test_a_failing_spool_ends_the_run_with_its_own_error() -> None:
    async def main(clock: VirtualClock) -> None:
        scene = Scene(clock)

        async def peek(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("the disk is on fire")

        scene.outbox.peek = peek  # type: ignore[method-assign, assignment]
        scene.add(20)
        with pytest.raises(ZeroDivisionError, match="on fire"):
            await scene.uplink.run()
        assert scene.uplink.status.state == "stopped"
        await scene.uplink.stop(1.0)

    run_virtual(main)


def test_the_log_says_what_an_operator_needs_one_line_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bridge")

    async def act(scene: Scene) -> None:
        scene.broker.refuse_connect = 0x86
        scene.broker.limits = LinkLimits(receive_maximum=7, maximum_packet_size_bytes=9000)
        scene.add(8)
        scene.start()
        await asyncio.sleep(0.1)
        scene.broker.refuse_connect = None
        answers: list[Answer] = [0x97, 0x95, "cut"]
        scene.broker.mood = lambda _publish, _frame: answers.pop(0) if answers else 0
        await scene.all_released()
        scene.broker.mood = lambda _publish, _frame: None
        scene.add(1)
        await asyncio.sleep(1.0)
        await scene.uplink.stop(0.0)

    play(act)
    connected = (
        "Uplink cloud: connected to mqtt://127.0.0.1:1884, MQTT 5, at most 7 frames in flight of 9000 bytes each."
    )
    refused = "Uplink cloud: mqtt://127.0.0.1:1884 did not take a frame of stream telemetry (8 records from 1): "
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told[:4] == [
        ("WARNING", "Uplink cloud: no connection to the broker, again in 0.2 s: refused by the test"),
        ("INFO", connected),
        ("WARNING", refused + "quota exceeded (0x97): the broker's limit for this client is reached."),
        ("WARNING", refused + "packet too large (0x95)."),
    ]
    assert told[4][1].startswith("Uplink cloud: frames of ")
    assert told[5:] == [
        ("WARNING", "Uplink cloud: no connection to the broker, again in 0.5 s: cut by the test"),
        ("INFO", connected),
        ("WARNING", "Uplink cloud: stopped with 1 frames unacknowledged; they will be sent again."),
    ]


def test_a_whole_window_of_refusals_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def act(scene: Scene) -> None:
        scene.broker.rng.choice = lambda _delays: 0.1  # type: ignore[method-assign, assignment, return-value]
        scene.broker.mood = lambda _publish, _frame: 0x10
        for _ in range(4):
            scene.add(10)
        scene.start()
        await asyncio.sleep(0.2)
        assert len(scene.broker.sent) == 4
        scene.broker.mood = lambda _publish, _frame: 0
        await scene.all_released()

    play(act)
    assert len([record for record in caplog.records if "did not take a frame" in record.message]) == 1


def test_an_uplink_always_connects_as_the_same_client() -> None:
    how = link_settings(UplinkSettings(name="backup", protocol=Protocol.V311, username="u"), gateway_id="edge-01")
    assert (how.client_id, how.protocol, how.username) == ("fieldgate-edge-01-backup", Protocol.V311, "u")
    assert how.clean_start
    assert link_factory(UplinkSettings(), gateway_id="edge")
