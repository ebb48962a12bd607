"""What becomes of a frame after the broker's answer to it, or after the end of the connection that it went by."""

from __future__ import annotations

import logging
from typing import Final

from bridge.errors import LinkError, LinkLost
from bridge.feeder import Feeder
from bridge.flow.backoff import Backoff
from bridge.flow.lane import Lane
from bridge.flow.reasons import UNEXPLAINED, Verdict, describe, verdict
from bridge.in_flight import InFlight, Sent
from bridge.keeper import Keeper
from bridge.ports import Clock
from bridge.sealing import TOO_LARGE, Sealed
from bridge.trial import Trial
from bridge.uplink_status import Meter

log = logging.getLogger(__name__)

_LOSSES_BEFORE_SMALLER: Final = 3
"""So many connections in a row that were lost over one and the same frame: try smaller ones."""


class Judge:
    """Lives as long as its uplink: suspicions outlive a connection."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        feeder: Feeder,
        keeper: Keeper,
        in_flight: InFlight,
        meter: Meter,
        backoff: Backoff,
        clock: Clock,
    ) -> None:
        self._name = name
        self._url = url
        self._feeder = feeder
        self._keeper = keeper
        self._in_flight = in_flight
        self._meter = meter
        self._backoff = backoff
        self._clock = clock
        self._suspect: tuple[str, int] | None = None
        self._losses = 0
        self.trial: Trial | None = None
        """The record that the broker may hang up on; see bridge/trial.py."""

    def answered(self, sent: Sent, reason_code: int) -> None:
        """The broker answered a frame, which is not in flight any more."""
        judged = verdict(reason_code)
        if judged is Verdict.DELIVERED:
            self._delivered(sent)
            return
        lane, frame, now_s = sent.lane, sent.frame, self._clock.monotonic_s()
        self._meter.last_error = (
            f"{self._url} did not take a frame of stream {lane.name} "
            f"({frame.count} records from {frame.first_seq}): {describe(reason_code)}."
        )
        self._meter.retries += 1
        if not lane.is_rewinding:  # a whole window of refusals is one event
            log.warning("Uplink %s: %s", self._name, self._meter.last_error)
        poison = reason_code in UNEXPLAINED and frame.count and lane.refused_alone(frame.start_seq)
        if frame.count == 1 and judged is Verdict.SPLIT:
            self.condemn(lane, frame, TOO_LARGE)
        elif frame.count and (judged is Verdict.REFUSED or poison):
            self.condemn(lane, frame, "refused")
        elif judged is Verdict.SPLIT and frame.count:
            self._shrink(sent)
            lane.given_back(frame.stored_bytes)
            lane.rewind(now_s=now_s, wait=False)
        else:
            lane.given_back(frame.stored_bytes)
            lane.rewind(now_s=now_s, wait=True)

    def failed(self, error: LinkError) -> None:
        """The connection was not made, or ended; what was in flight still is."""
        self._meter.last_error = str(error)
        self._meter.retries += 1
        oldest = self._in_flight.oldest
        if oldest is None:
            return
        if isinstance(error, LinkLost) and error.reason_code is not None and _splits(error.reason_code):
            self._too_large(self._in_flight.largest)
            return
        trial = self.trial
        if trial is not None:
            if not isinstance(error, LinkLost) or error.is_silence or error.reason_code is not None:
                self.trial = None
            elif trial.cut():
                self.trial = None
                self.condemn(trial.lane, trial.frame, TOO_LARGE)
            elif trial.is_futile:
                self.trial = None
            return
        self._suspect_of(oldest)

    def condemn(self, lane: Lane, frame: Sealed, reason: str) -> None:
        """Records that can never go: into the dead letters, then the lane begins again and declares the gap."""
        self._keeper.condemn(lane, frame, reason)
        lane.rewind(now_s=self._clock.monotonic_s(), wait=False)

    def _suspect_of(self, oldest: Sent) -> None:
        """A broker of 3.1.1 has no other word for "too large" than to hang up, each time at the same frame."""
        suspect = (oldest.lane.name, oldest.frame.start_seq)
        self._losses = self._losses + 1 if suspect == self._suspect else 1
        self._suspect = suspect
        if self._losses < _LOSSES_BEFORE_SMALLER or not oldest.frame.count:
            return
        self._losses = 0
        if oldest.frame.count > 1:
            self._too_large(oldest)
            return
        log.info(
            "Uplink %s: the broker may hang up on record %d of stream %s, of %d bytes; it is tried by itself.",
            self._name,
            oldest.frame.first_seq,
            oldest.lane.name,
            oldest.size_bytes,
        )
        self.trial = Trial(oldest.lane, oldest.frame)

    def _too_large(self, sent: Sent) -> None:
        """The broker does not take a frame of that size: smaller ones, or none of a record that cannot be divided."""
        if sent.frame.count == 1:
            self.condemn(sent.lane, sent.frame, TOO_LARGE)
        else:
            self._shrink(sent)

    def _shrink(self, sent: Sent) -> None:
        limit = self._feeder.size_limit
        before = limit.target_bytes
        limit.refused(sent.size_bytes)
        if limit.target_bytes != before:
            log.info(
                "Uplink %s: frames of %d bytes are too large for the broker; they are split to %d bytes at most.",
                self._name,
                sent.size_bytes,
                limit.target_bytes,
            )

    def _delivered(self, sent: Sent) -> None:
        frame = sent.frame
        is_new = sent.lane.acks.hole(frame.start_seq)[0] == frame.start_seq
        sent.lane.delivered(frame.start_seq, frame.next_seq, frame.stored_bytes)
        if self.trial is None or not self.trial.is_open:
            self._backoff.reset()  # but a probe that was taken is no reason to try its suspect sooner
        self._feeder.size_limit.passed()
        meter = self._meter
        meter.last_error = None
        meter.frames += 1
        if is_new:
            meter.records += frame.count
            meter.raw_bytes += frame.plain_size_bytes
        self._keeper.look()


def _splits(reason_code: int) -> bool:
    return verdict(reason_code) is Verdict.SPLIT
