"""The port of `fieldgate queue` and `fieldgate dlq`: who keeps the records that they show and act upon.

Bodies are those of /api/v1, whoever answers: a running gateway (`gateway.cli.gateway_records`), or the data folder
where none runs (`gateway.cli.folder_records`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

Action = Literal["pause", "resume", "drain"]


class Records(Protocol):
    """All of it raises Failed or SpoolError with a sentence."""

    def streams(self) -> list[str]:
        """Their names."""

    def uplinks(self) -> list[str]:
        """Their names."""

    def page(self, stream: str, from_seq: int | None, limit: int) -> dict[str, Any]:
        """The first records that wait in a stream, from a number on."""

    def queue_lines(self, stream: str, from_seq: int | None, to_seq: int | None) -> Iterator[bytes]:
        """All of them between two numbers, as lines of JSON without their ends."""

    def letters(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the dead letters, newest first."""

    def letter(self, number: int) -> dict[str, Any]:
        """One of them, with its first records."""

    def letter_lines(self, ids: Sequence[int] | None) -> Iterator[bytes]:
        """The records of these letters (None: of all), as lines of JSON without their ends."""

    def act_on_letters(self, action: Literal["replay", "discard"], body: Mapping[str, Any]) -> dict[str, Any]:
        """Replay or discard those that the body describes."""

    def act_on_uplink(self, uplink: str, action: Action) -> dict[str, Any]:
        """Pause, resume or drain it."""

    def close(self) -> None:
        """There is nothing more to ask; idempotent."""
