"""What the receiver itself notes of frames that every sink has: its ledger, its counts, and what it sets aside."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.errors import FrameProbe
from bridge.ports import Clock
from bridge.receiver.held import Item
from bridge.receiver.ledger import Draft, LaneKey, Ledger
from bridge.receiver.state import OWNER, SET_ASIDE, Aside, State

log = logging.getLogger(__name__)

_SESSION: Final = "session"


@dataclass(slots=True, kw_only=True)
class GatewayNews:
    """The last that was heard of a gateway in this life of the process."""

    frames: int = 0
    records: int = 0
    last_frame_at_us: int = 0
    last_sent_at_us: int = 0


class Settler:
    """Owner of the receiver's ledger; made by `Settler.open`."""

    def __init__(self, state: State, ledger: Ledger, tally: Counter[str], clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.ledger = ledger
        self.tally = tally
        """Over all lives: frames, records, duplicates, wire_bytes, and `set_aside.<code>`."""
        self.gateways: dict[str, GatewayNews] = {}
        self.current: dict[tuple[str, str], str] = {}
        """The epoch that was last heard of, by gateway and stream; in this life."""
        self.epoch_changes = 0

    @classmethod
    async def open(cls, state: State, clock: Clock) -> Settler:
        """With what the state has. Raises StateUnusable."""
        return cls(state, await state.ledger(OWNER), Counter(await state.tallies()), clock)

    @property
    def expects_session(self) -> bool:
        """Whether the broker should have a session of ours."""
        return bool(self.tally[_SESSION])

    async def note_session(self) -> None:
        """From now on the broker has one. Raises StateUnusable."""
        if not self.expects_session:
            await self._state.settle((), (), {_SESSION: 1})
            self.tally[_SESSION] = 1

    async def settle(self, items: Sequence[Item]) -> None:
        """Make the items part of the ledger, durably. Raises StateUnusable, and then nothing has changed.

        What a sink refused it has set aside itself, together with its progress; here it only joins the tally's copy.
        """
        draft = self.ledger.draft()
        counted: Counter[str] = Counter()
        asides: list[Aside] = []
        news: list[str] = []
        for item in items:
            if item.frame is not None:
                self._enter(item, draft, counted, news)
            elif isinstance(item.error, FrameProbe):
                counted["probes"] += 1
            elif item.error is not None:
                asides.append(
                    Aside(
                        received_at_us=item.received_at_us,
                        code=item.error.code,
                        reason=str(item.error),
                        topic=item.delivery.topic,
                        data=item.delivery.payload,
                    )
                )
        await self._state.settle(draft.rows(), asides, counted)
        self._note_epochs([key for key in draft.lanes if key not in self.ledger])
        self.ledger.accept(draft)
        self.tally.update(counted)
        self.tally.update(SET_ASIDE + aside.code for aside in asides)
        self.tally.update(SET_ASIDE + refusal.code for item in items for refusal in item.refusals)
        for item in items:
            self._note_gateway(item)
        for sentence in news:
            log.warning("%s", sentence)
        for aside in asides:
            log.warning("Set aside what came on %s (%s): %s", aside.topic, aside.code, aside.reason)

    def _enter(self, item: Item, draft: Draft, counted: Counter[str], news: list[str]) -> None:
        assert item.frame is not None  # noqa: S101 - told to mypy; the caller has looked
        header = item.frame.header
        lane = draft.lane(LaneKey(header.gateway, header.stream, header.epoch))
        whose = f"of the stream {header.stream} of gateway {header.gateway} (epoch {header.epoch})"
        at = lane.next_seq
        for gap in header.gaps:
            if gap.first_seq > at:
                news.append(f"{_numbers(at, gap.first_seq)} {whose} did not arrive, and nobody said why.")
            at = max(at, gap.first_seq + gap.count)
            for start, stop in lane.declare(gap.first_seq, gap.count, gap.reason):
                news.append(f"{_numbers(start, stop)} {whose} will not come: the gateway dropped them ({gap.reason}).")
        if header.first_seq > at and header.count:
            news.append(f"{_numbers(at, header.first_seq)} {whose} did not arrive, and nobody said why.")
        new = sum(stop - start for start, stop in lane.admit(header.first_seq, header.count))
        counted.update(frames=1, records=new, duplicates=header.count - new, wire_bytes=len(item.delivery.payload))

    def _note_epochs(self, new: Sequence[LaneKey]) -> None:
        streams = {key[:2] for key, _ in self.ledger} if new else set()
        for key in new:
            if key[:2] in streams:
                self.epoch_changes += 1
                log.warning(
                    "Gateway %s began to number its stream %s anew (epoch %s): its spool is new or was rebuilt.", *key
                )
            streams.add(key[:2])

    def _note_gateway(self, item: Item) -> None:
        if item.frame is None:
            return
        header = item.frame.header
        self.current[header.gateway, header.stream] = header.epoch
        news = self.gateways.setdefault(header.gateway, GatewayNews())
        news.frames += 1
        news.records += header.count
        news.last_frame_at_us = max(news.last_frame_at_us, item.received_at_us)
        news.last_sent_at_us = max(news.last_sent_at_us, header.sent_at_us)


def _numbers(start: int, stop: int) -> str:
    return f"Record {start}" if stop - start == 1 else f"Records {start} to {stop - 1}"
