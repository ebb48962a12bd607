"""The spool against a model: a list of payloads for each stream, and a set of what each uplink still has to get.

Random steps go to the real spool on a real disk and to the model: publish, release, dead-letter, replay and discard
letters, grow and shrink, let time pass, set the clock, take an uplink out and put it back, damage a block, close, die,
back up, restore, save from a database that was condemned, open again. After each of them every uplink must see exactly
what the model says, in order, with every missing number declared as a gap; and whatever a policy dropped must be
counted, and not before its time.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.block import decode_blocks
from config.settings import Batch, Stream, Uplink, WhenFull
from config.settings import Spool as SpoolSettings
from gateway.spool.ages import PARTS
from gateway.spool.backup import back_up
from gateway.spool.gaps import EVERYONE
from gateway.spool.outbox import UplinkOutbox
from gateway.spool.ports import Outcome
from gateway.spool.recovery import MARK
from gateway.spool.restore import restore
from gateway.spool.retention import used_pages
from gateway.spool.schema import PAGE_SIZE_BYTES, key_of, seq_of
from gateway.spool.size import Size
from gateway.spool.spool import Spool
from gateway.spool.stored_record import StoredRecord
from tests.support.examples import examples
from tests.support.spool import SECOND_US, Commits, StepClock, put, settings

STREAMS = ("alarms", "telemetry")
LIVES_S = {"alarms": None, "telemetry": 1000.0}
UPLINKS = (Uplink(name="cloud", batch=Batch(max_records=7)), Uplink(name="archive", batch=Batch(max_records=7)))
POLICIES = ("full", "expired")
LARGE = 1 << 30
BATCHES = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 20)), min_size=1, max_size=4)
"""Stream and number of records."""


@dataclass
class Truth:
    """What the spool has to say."""

    stored: dict[str, list[bytes]] = field(default_factory=lambda: {name: [] for name in STREAMS})
    came_s: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STREAMS})
    """When, by the steady clock."""
    released: dict[tuple[str, str], int] = field(
        default_factory=lambda: {(uplink.name, name): 1 for uplink in UPLINKS for name in STREAMS}
    )
    missing: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """What one uplink will not get, by its name, and what nobody will, by EVERYONE."""
    letters: dict[int, tuple[str | None, str, list[bytes]]] = field(default_factory=dict)
    """Uplink, stream, payloads."""
    dropped: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in STREAMS})

    def gone(self, uplink: str, stream: str) -> set[int]:
        return self.missing.get((uplink, stream), set()) | self.missing.get((EVERYONE, stream), set())

    def miss(self, uplink: str, stream: str, numbers: set[int]) -> None:
        self.missing.setdefault((uplink, stream), set()).update(numbers)

    def end(self, stream: str) -> int:
        return len(self.stored[stream]) + 1

    def store(self, stream: str, payloads: list[bytes], now_s: float) -> None:
        self.stored[stream] += payloads
        self.came_s[stream] += [now_s] * len(payloads)


class SpoolModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("gateway.spool").setLevel(logging.CRITICAL)
        self.folder = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.runner = asyncio.Runner()
        self.clock = StepClock()
        self.settings = settings(
            self.folder / "data",
            streams=tuple(Stream(name=name, topics=("#",), time_to_live_s=LIVES_S[name]) for name in STREAMS),
            uplinks=UPLINKS,
        )
        self.truth = Truth()
        self.on_disk = dict(self.truth.released)
        """How far each uplink was when last everything was written."""
        self.backup: tuple[Truth, dict[str, int]] | None = None
        self.start: dict[str, int] = {}
        """Numbers below were there before the spool was opened."""
        self.epochs: set[str] = set()
        self.written = 0
        self.spool: Spool
        self.task: asyncio.Task[None]

    @property
    def uplinks(self) -> tuple[Uplink, ...]:
        return self.settings.uplinks

    @initialize(batches=BATCHES)
    def begin(self, batches: list[tuple[int, int]]) -> None:
        self.open()
        self.publish(
            batches, 0
        )  # hypothesis leaves rules out of a whole run, and without records there is little to see

    def open(self) -> None:
        self.open_it()
        assert self.spool.salvage is None

    def open_it(self) -> None:
        async def opened() -> None:
            self.spool = await Spool.open(self.settings, clock=self.clock)
            self.task = asyncio.create_task(self.spool.run())

        self.runner.run(opened())
        self.start = {stream: self.truth.end(stream) for stream in STREAMS}
        self.epochs |= {self.spool.lanes[stream].epoch for stream in STREAMS}

    def close(self, *, finish: bool = True) -> None:
        async def closed() -> None:
            if finish:
                await self.spool.flush()
            assert not self.task.done()
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            await self.spool.close()

        self.runner.run(closed())

    def teardown(self) -> None:
        if hasattr(self, "spool"):  # else hypothesis gave the example up before it had begun
            self.close()
        self.runner.close()
        shutil.rmtree(self.folder)
        logging.getLogger("gateway.spool").setLevel(logging.NOTSET)

    def flush(self) -> None:
        self.runner.run(self.spool.flush())
        self.look_at_what_was_dropped()
        self.on_disk = dict(self.truth.released)

    def look_at_what_was_dropped(self) -> None:
        """What a policy removed is counted, each record once; take it over into the model."""
        letters = {letter.id: letter for letter in self.runner.run(self.spool.dead_letters.list(limit=1000))}
        given_up = dict.fromkeys(STREAMS, 0)
        for number in self.truth.letters.keys() - letters.keys():
            uplink, stream, payloads = self.truth.letters.pop(number)
            given_up[stream] += len(payloads) if uplink else 0  # those of a damaged block are counted as that
        for number, letter in letters.items():
            self.truth.letters.setdefault(number, (None, letter.stream, [b""] * letter.count))
        for stream in STREAMS:
            lane, counted = self.spool.lanes[stream], self.truth.dropped[stream]
            assert lane.dropped.get("discarded_dead_letter", 0) == (
                counted.get("discarded_dead_letter", 0) + given_up[stream]
            )
            policies = [gap for uplink, gap in lane.gaps if uplink == EVERYONE and gap.reason in POLICIES]
            numbers = {n for gap in policies for n in range(gap.first_seq, gap.first_seq + gap.count)}
            new = numbers - self.truth.missing.get((EVERYONE, stream), set())
            for reason in POLICIES:
                of_reason = {
                    n
                    for gap in policies
                    if gap.reason == reason
                    for n in range(gap.first_seq, gap.first_seq + gap.count)
                }
                assert lane.dropped[reason] - counted.get(reason, 0) == len(of_reason & new)
                if reason == "expired":
                    self.nothing_went_before_its_time(stream, of_reason & new)
            self.truth.miss(EVERYONE, stream, new)
            self.truth.dropped[stream] = dict(lane.dropped)

    def nothing_went_before_its_time(self, stream: str, gone: set[int]) -> None:
        """Of what was there before the start only the wall clock knows, and that is set at will."""
        life_s, now_s = LIVES_S[stream], self.clock.monotonic_s()
        assert life_s is not None or not gone
        came_s = self.truth.came_s[stream]
        assert all(now_s - came_s[seq - 1] >= (life_s or 0) for seq in gone if seq >= self.start[stream])

    def nothing_is_kept_beyond_its_time(self) -> None:
        for stream, life_s in LIVES_S.items():
            if life_s is not None:
                late_s = self.clock.monotonic_s() - life_s * (1 + 1 / PARTS)
                first = max(self.start[stream], self.spool.lanes[stream].first_seq)
                assert all(came_s > late_s for came_s in self.truth.came_s[stream][first - 1 :])

    @rule(
        batches=BATCHES,
        size=st.sampled_from([0, 0, 3000]),
    )
    def publish(self, batches: list[tuple[int, int]], size: int) -> None:
        given: dict[str, list[bytes]] = {name: [] for name in STREAMS}

        async def published() -> Outcome:
            for stream, count in batches:
                payloads = [f"{self.written + i}".encode() * 9 + noise(self.written + i, size) for i in range(count)]
                self.written += count
                given[STREAMS[stream]] += payloads
                put(self.spool, payloads, stream=stream)
            return await Commits().expect(self.spool)

        outcome = self.runner.run(published())
        if outcome is Outcome.DURABLE:
            for stream, payloads in given.items():
                self.truth.store(stream, payloads, self.clock.monotonic_s())
        else:
            assert outcome is Outcome.FULL
            assert self.spool.is_refusing
        self.look_at_what_was_dropped()

    @rule(uplink=st.sampled_from([0, 1]), stream=st.sampled_from(STREAMS), part=st.floats(0, 1), wait=st.booleans())
    def release(self, uplink: int, stream: str, part: float, wait: bool) -> None:
        of = self.uplinks[uplink % len(self.uplinks)]
        key = (of.name, stream)
        self.truth.released[key] += int((self.truth.end(stream) - self.truth.released[key]) * part)

        async def released() -> None:
            await self.spool.outbox(of).release(stream, self.truth.released[key])

        self.runner.run(released())
        if wait:
            self.flush()

    @precondition(lambda self: any(self.truth.stored.values()))
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        uplink = data.draw(st.sampled_from(self.uplinks))
        stream = data.draw(st.sampled_from([name for name in STREAMS if self.truth.stored[name]]))
        key = (uplink.name, stream)
        end = self.truth.end(stream)
        alive = [seq for seq in range(self.truth.released[key], end) if seq not in self.truth.gone(*key)]
        if not alive:
            return
        first = data.draw(st.sampled_from(alive))
        run = next(seq for seq in range(first, end + 1) if seq not in alive) - first
        count = data.draw(st.integers(1, min(5, run)))
        self.runner.run(self.spool.outbox(uplink).dead_letter(stream, first, count, reason="payload_format_invalid"))
        self.truth.miss(*key, set(range(first, first + count)))
        for letter in self.runner.run(self.spool.dead_letters.list(limit=1000)):
            if letter.id not in self.truth.letters and letter.uplink:
                start = letter.first_seq - 1
                payloads = self.truth.stored[stream][start : start + letter.count]
                self.truth.letters[letter.id] = (uplink.name, stream, payloads)
        self.look_at_what_was_dropped()
        at_once = data.draw(st.booleans())
        if at_once and self.truth.letters:
            self.replay([max(self.truth.letters)])

    @rule(data=st.data(), to=st.sampled_from([None, None, *UPLINKS]))
    def replay_dead_letters(self, data: st.DataObject, to: Uplink | None) -> None:
        self.look_at_what_was_dropped()
        if self.truth.letters:
            ids = data.draw(st.lists(st.sampled_from(sorted(self.truth.letters)), min_size=1, max_size=6, unique=True))
            self.replay(ids, None if to is None else to.name)

    def replay(self, ids: list[int], name: str | None = None) -> None:
        for number in ids:
            if self.truth.letters[number][0]:
                read = self.runner.run(self.spool.dead_letters.read(number))
                assert [record.payload for record in read] == self.truth.letters[number][2]
        replayed = self.runner.run(self.spool.dead_letters.replay([*ids, 1 << 40], name))
        refused = {one.id for one in replayed.refused}
        assert 1 << 40 in refused
        gone = [number for number in ids if number not in refused]
        assert replayed.letters == len(gone)
        assert replayed.records == sum(len(self.truth.letters[number][2]) for number in gone)
        for number in gone:
            uplink, stream, payloads = self.truth.letters.pop(number)
            first = self.truth.end(stream)
            self.truth.store(stream, payloads, self.clock.monotonic_s())
            for other in self.uplinks:
                if other.name != (name or uplink):  # it has had them under their first numbers
                    self.truth.miss(other.name, stream, set(range(first, first + len(payloads))))
        self.look_at_what_was_dropped()

    @rule(data=st.data())
    def discard_dead_letters(self, data: st.DataObject) -> None:
        self.look_at_what_was_dropped()
        if not self.truth.letters:
            return
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.truth.letters)), min_size=1, max_size=3))
        assert self.runner.run(self.spool.dead_letters.discard(chosen)) == len(set(chosen))
        for number in set(chosen):
            uplink, stream, payloads = self.truth.letters.pop(number)
            dropped = self.truth.dropped[stream]
            lost = len(payloads) if uplink else 0
            dropped["discarded_by_operator"] = dropped.get("discarded_by_operator", 0) + lost
        for stream in STREAMS:
            counted = self.spool.lanes[stream].dropped.get("discarded_by_operator", 0)
            assert counted == self.truth.dropped[stream].get("discarded_by_operator", 0)

    @rule(spare=st.integers(-4, 90), when_full=st.sampled_from(WhenFull))
    def resize(self, spare: int, when_full: WhenFull) -> None:
        pages = self.runner.run(self.spool._writer.run(used_pages)) + spare
        # The size of a spool whose database may have so many pages.
        least = Size(max_size_bytes=0, when_full=when_full).wal_pages
        self.change(SpoolSettings(max_size_bytes=(pages + 2 * least) * PAGE_SIZE_BYTES, when_full=when_full))

    @rule(spare=st.integers(20, 50), when_full=st.sampled_from(WhenFull))
    def flood(self, spare: int, when_full: WhenFull) -> None:
        """More than there is room for: the oldest goes, or the newest is refused."""
        self.have_room()
        for stream in (0, 1, 0, 1):
            self.publish([(stream, 20)], 3000)
        self.resize(spare, when_full)
        for stream in (0, 1, 0):
            self.publish([(stream, 7)], 3000)

    @rule()
    def have_room(self) -> None:
        self.change(SpoolSettings(max_size_bytes=LARGE))

    def change(self, spool: SpoolSettings) -> None:
        self.settings = replace(self.settings, spool=spool)
        self.spool.resize(spool)
        self.clock.us += 2 * SECOND_US  # what was refused may be tried again

    @rule(seconds=st.sampled_from([1, 400, 600, 1010]), set_by_s=st.sampled_from([0, 0, -(10**7), -600, 600, 10**7]))
    def let_time_pass(self, seconds: int, set_by_s: int) -> None:
        """And the wall clock may be set meanwhile."""
        self.clock.set(set_by_s * SECOND_US)
        self.clock.us += seconds * SECOND_US
        self.spool._committer.expire()
        self.runner.run(self.spool.written())
        self.flush()
        self.nothing_is_kept_beyond_its_time()

    @rule()
    def take_an_uplink_out_or_put_it_back(self) -> None:
        self.flush()
        both = len(self.uplinks) == 2
        self.settings = replace(self.settings, uplinks=UPLINKS[:1] if both else UPLINKS)
        self.runner.run(self.spool.reroute(self.settings))
        name = UPLINKS[1].name
        for stream in STREAMS:
            key = (name, stream)
            if both:
                del self.truth.released[key]
                self.truth.missing.pop(key, None)
            else:
                first = self.spool.outbox(UPLINKS[1]).backlog(stream).next_to_deliver_seq
                passed = set(range(self.truth.released[UPLINKS[0].name, stream], first))
                assert passed <= self.truth.missing.get((EVERYONE, stream), set()), "it does not get what is kept"
                self.truth.released[key] = first
        self.flush()

    @precondition(lambda self: any(self.truth.stored.values()))
    @rule(data=st.data())
    def damage_a_block_while_closed(self, data: st.DataObject) -> None:
        self.flush()
        self.close()
        with sqlite3.connect(self.folder / "data" / "spool.db", isolation_level=None) as other:
            blocks: list[Any] = other.execute("SELECT key, count, body FROM block ORDER BY key").fetchall()
            if blocks:
                key, count, body = data.draw(st.sampled_from(blocks))
                where = data.draw(st.integers(0, len(body) - 1))
                damaged = body[:where] + bytes([body[where] ^ 1]) + body[where + 1 :]
                other.execute("UPDATE block SET body = ? WHERE key = ?", (damaged, key))
                names = dict(other.execute("SELECT id, name FROM stream").fetchall())
                self.truth.miss(EVERYONE, names[key >> 48], set(range(seq_of(key), seq_of(key) + count)))
                assert key_of(key >> 48, seq_of(key)) == key
        other.close()
        self.open()

    @rule()
    def close_and_open(self) -> None:
        self.flush()
        self.close()
        self.open()

    @rule()
    def die_and_open(self) -> None:
        self.close(finish=False)
        self.open()
        for uplink in self.uplinks:
            for stream in STREAMS:
                at, key = self.spool.outbox(uplink).backlog(stream).next_to_deliver_seq, (uplink.name, stream)
                assert self.on_disk.get(key, 1) <= at <= self.truth.released[key]
                self.truth.released[key] = at
        self.look_at_what_was_dropped()
        self.on_disk = dict(self.truth.released)

    @rule()
    def back_up(self) -> None:
        self.flush()
        back_up(self.folder / "data", self.folder / "b.tar.gz", gateway="edge-01", configuration=[], now_us=0)
        self.backup = (copy.deepcopy(self.truth), self.bases())

    def bases(self) -> dict[str, int]:
        """What is taken off every number of a stream when it begins a new epoch."""
        bases = {}
        for stream in STREAMS:
            lane = self.spool.lanes[stream]
            first = min([lane.first_seq, *lane.watermarks.values()])
            bases[stream] = self.truth.end(stream) - 1 if lane.first_received_at_us is None else first - 1
        return bases

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        truth, bases = copy.deepcopy(self.backup[0]), self.backup[1]
        self.settings = replace(
            self.settings, uplinks=tuple(one for one in UPLINKS if (one.name, STREAMS[0]) in truth.released)
        )
        self.close()
        restore(self.folder / "b.tar.gz", self.folder / "data")
        before = set(self.epochs)
        self.open()
        self.begin_new_epochs(truth, bases, before)

    @rule()
    def be_saved_from_a_database_that_was_condemned(self) -> None:
        self.flush()
        bases, before = self.bases(), set(self.epochs)
        self.close()
        (self.folder / "data" / MARK).touch()
        self.open_it()
        assert self.spool.salvage is not None
        self.begin_new_epochs(self.truth, bases, before)

    def begin_new_epochs(self, truth: Truth, bases: dict[str, int], before: set[str]) -> None:
        for stream in STREAMS:
            lane, base = self.spool.lanes[stream], bases[stream]
            assert lane.epoch not in before, "numbers of that epoch were seen outside"
            end = lane.next_seq + base
            everybody = truth.missing.get((EVERYONE, stream), set())
            assert set(range(end, truth.end(stream))) <= everybody
            truth.stored[stream] = truth.stored[stream][base : end - 1]
            truth.came_s[stream] = truth.came_s[stream][base : end - 1]
            self.start[stream] = lane.next_seq
            for of, name in list(truth.missing):
                if name == stream:
                    truth.missing[of, name] = {n - base for n in truth.missing[of, name] if base < n < end}
            for uplink in self.uplinks:
                key = (uplink.name, stream)
                truth.released[key] = max(1, min(truth.released[key], end) - base)
        self.truth = truth
        self.look_at_what_was_dropped()
        self.on_disk = dict(self.truth.released)

    @invariant()
    def every_uplink_sees_what_it_still_has_to_get(self) -> None:
        if not hasattr(self, "spool"):
            return
        for uplink in self.uplinks:
            outbox = self.spool.outbox(uplink)
            for stream in STREAMS:
                key = (uplink.name, stream)
                end = self.truth.end(stream)
                expected = {
                    seq: self.truth.stored[stream][seq - 1]
                    for seq in range(self.truth.released[key], end)
                    if seq not in self.truth.gone(*key)
                }
                seen, gaps = self.runner.run(everything(outbox, stream))
                assert list(seen.items()) == list(expected.items())
                assert gaps == set(range(self.truth.released[key], end)) - set(expected)
                backlog = outbox.backlog(stream)
                assert (backlog.next_to_deliver_seq, backlog.next_seq) == (self.truth.released[key], end)

    @invariant()
    def what_somebody_still_has_to_get_can_be_looked_at(self) -> None:
        if not hasattr(self, "spool"):
            return
        letters = self.runner.run(self.spool.dead_letters.list(limit=1000))
        assert self.spool.dead_letters.letters == len(letters)
        assert self.spool.dead_letters.records == sum(letter.count for letter in letters)
        for stream in STREAMS:
            seen = {record.seq: record.payload for record in self.runner.run(exported(self.spool, stream))}
            assert list(seen) == sorted(seen)
            assert all(self.truth.stored[stream][seq - 1] == payload for seq, payload in seen.items())
            for uplink in self.uplinks:
                needed = range(self.truth.released[uplink.name, stream], self.truth.end(stream))
                assert set(needed) - self.truth.gone(uplink.name, stream) <= set(seen)


def noise(seed: int, size_bytes: int) -> bytes:
    """What no compression makes smaller."""
    return random.Random(seed).randbytes(size_bytes)


async def exported(spool: Spool, stream: str) -> list[StoredRecord]:
    return [record async for record in spool.queue.export(stream)]


async def everything(outbox: UplinkOutbox, stream: str) -> tuple[dict[int, bytes], set[int]]:
    """What one uplink would send of a stream, and the numbers that it would declare as gaps."""
    seen: dict[int, bytes] = {}
    gaps: set[int] = set()
    seq = outbox.backlog(stream).next_to_deliver_seq
    while True:
        peek = await outbox.peek(stream, seq, max_records=10, max_bytes=10_000)
        for gap in peek.gaps:
            gaps |= set(range(gap.first_seq, gap.first_seq + gap.count))
        if not peek.blocks:
            return seen, gaps
        for block in peek.blocks:
            raw = zstandard.decompress(block.body) if block.compressed else block.body
            for whole in decode_blocks(raw, block.first_seq):
                seen |= {record.seq: record.payload for record in whole}
        seq = peek.blocks[-1].next_seq


SpoolModel.TestCase.settings = hypothesis_settings(
    max_examples=examples(15),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # every step waits for a real disk: shrinking would take hours
)
TestSpoolModel = SpoolModel.TestCase
