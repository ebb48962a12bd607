"""What handlers return, made into responses: bodies at once, exports and events as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from bridge.web.answers import EVENT_STREAM, event_stream, json_response
from bridge.web.errors import Problem
from bridge.web.headers import standing_headers
from bridge.web.live import IsStillKnown, Live
from bridge.web.routes import Answer, EventStream

WRITE_S: Final = 60.0
"""A reader of an export who takes nothing for so long is cut off."""
MAX_EXPORTS: Final = 8
MAX_OF_USER: Final = 4
"""Of one user who is known by name: who reads slowly must not keep everybody else from rescuing records."""


class Results:
    """What the server's handlers return, sent to who asks."""

    def __init__(self, live: Live, *, write_s: float = WRITE_S) -> None:
        self._live = live
        self._write_s = write_s
        self._exports: dict[int, tuple[web.BaseRequest, str | None]] = {}

    def close(self) -> None:
        """Cut the exports off: what is missing shows, and nobody waits for a reader who is slow."""
        for request, _ in self._exports.values():
            _cut(request)

    async def respond(
        self, request: web.BaseRequest, result: Any, is_still_known: IsStillKnown, *, user: str | None = None
    ) -> web.StreamResponse:
        """The response of a JSON-able body, an Answer or an EventStream. Raises Problem.

        `user`: who asks; None where everybody is the same.
        """
        if isinstance(result, EventStream):
            if request.method == "HEAD":
                await _close(result.events)
                return web.Response(content_type=EVENT_STREAM)
            try:
                response = event_stream(standing_headers(is_tls=request.secure))
                return await self._live.send_events(request, result.events, is_still_known, response, user=user)
            finally:
                await _close(result.events)
        if not isinstance(result, Answer):
            return json_response(result)
        if isinstance(result.body, AsyncIterator):
            return await self._export(request, result, result.body, is_still_known, user)
        if isinstance(result.body, bytes | str):
            body = result.body.encode() if isinstance(result.body, str) else result.body
            return web.Response(body=body, status=result.status, headers=_headers(result))
        if result.body is None:
            return web.Response(status=result.status, headers={"Cache-Control": "no-store", **result.headers})
        return json_response(result.body, status=result.status, headers=result.headers)

    async def _export(
        self,
        request: web.BaseRequest,
        answer: Answer,
        chunks: AsyncIterator[bytes],
        is_still_known: IsStillKnown,
        user: str | None,
    ) -> web.StreamResponse:
        """Chunk by chunk, as fast as the reader takes them, and as long as he may have them."""
        try:
            own = 0 if user is None else sum(other == user for _, other in self._exports.values())
            if own >= MAX_OF_USER:
                raise _busy(f"{own} exports of yours")
            if len(self._exports) >= MAX_EXPORTS:
                raise _busy(f"{len(self._exports)} exports")
            self._exports[id(request)] = request, user
            try:
                return await self._send(request, answer, chunks, is_still_known)
            finally:
                del self._exports[id(request)]
        finally:
            await _close(chunks)

    async def _send(
        self, request: web.BaseRequest, answer: Answer, chunks: AsyncIterator[bytes], is_still_known: IsStillKnown
    ) -> web.StreamResponse:
        # What can't be exported at all is found out at the first chunk, while there still can be an error's status.
        chunk = await anext(chunks, None)
        response = web.StreamResponse(
            status=answer.status, headers={**_headers(answer), **standing_headers(is_tls=request.secure)}
        )
        if request.method == "HEAD":
            chunk = None
        try:
            await response.prepare(request)
            while chunk is not None:
                if not is_still_known():
                    raise ConnectionAbortedError("Whoever reads an export may not see it any more.")
                async with asyncio.timeout(self._write_s):
                    await response.write(chunk)
                await asyncio.sleep(0)  # devices are served between any two chunks, however fast the reader is
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            _cut(request)
            raise ConnectionAbortedError("The reader of an export took nothing.") from error
        except Exception:  # of whatever kind: the status is out already, so only a cut tells that the rest is missing
            _cut(request)
            raise
        return response


def _busy(what: str) -> Problem:
    return Problem(503, f"{what} are under way. Try again in a moment.", headers={"Retry-After": "10"})


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _headers(answer: Answer) -> dict[str, str]:
    """As the handler gave them; nobody on the way may keep what it is about."""
    headers = {"Cache-Control": "no-store", **answer.headers}
    headers["Content-Type"] = answer.content_type or "application/octet-stream"
    return headers


async def _close(items: AsyncIterator[Any]) -> None:
    """End a generator that nobody reads any more."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
