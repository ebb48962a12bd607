"""The records of a running gateway, asked over its HTTP interface."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from gateway.cli.api_client import ApiClient
from gateway.cli.records import Action

_QUEUE: Final = "/api/v1/queue"
_LETTERS: Final = "/api/v1/dead-letters"


class GatewayRecords:
    """`gateway.cli.records.Records`."""

    def __init__(self, asked: ApiClient) -> None:
        self._asked = asked

    def streams(self) -> list[str]:
        return self._names("streams")

    def uplinks(self) -> list[str]:
        return self._names("uplinks")

    def _names(self, of: str) -> list[str]:
        return [str(one["name"]) for one in self._asked.get("/api/v1/streams")[of]]

    def page(self, stream: str, from_seq: int | None, limit: int) -> dict[str, Any]:
        page: dict[str, Any] = self._asked.get(_of_stream(stream), {"from_seq": from_seq, "limit": limit})
        return page

    def queue_lines(self, stream: str, from_seq: int | None, to_seq: int | None) -> Iterator[bytes]:
        return self._asked.lines(f"{_of_stream(stream)}/export", {"from_seq": from_seq, "to_seq": to_seq})

    def letters(self, query: Mapping[str, Any]) -> dict[str, Any]:
        page: dict[str, Any] = self._asked.get(_LETTERS, query)
        return page

    def letter(self, number: int) -> dict[str, Any]:
        letter: dict[str, Any] = self._asked.get(f"{_LETTERS}/{number}")
        return letter

    def letter_lines(self, ids: Sequence[int] | None) -> Iterator[bytes]:
        return self._asked.lines(f"{_LETTERS}/export", {"id": ids})

    def act_on_letters(self, action: Literal["replay", "discard"], body: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._asked.post(f"{_LETTERS}/{action}", body)
        return answer

    def act_on_uplink(self, uplink: str, action: Action) -> dict[str, Any]:
        path = f"/api/v1/uplinks/{urllib.parse.quote(uplink, safe='')}/{action}"
        answer: dict[str, Any] = self._asked.post(path, {})
        return answer

    def close(self) -> None:
        """Nothing is open between two requests."""


def _of_stream(stream: str) -> str:
    return f"{_QUEUE}/{urllib.parse.quote(stream, safe='')}"
