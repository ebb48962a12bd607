"""The body of a request that acts: a JSON object, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from bridge.web.errors import Problem

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_STRANGERS_BYTES: Final = 64 * 1024
"""Enough for the longest password, however it is written: strangers on all connections must not fill the memory."""
BODY_S: Final = 15.0
"""A body that is not there by then is not waited for."""


async def read_body(request: web.BaseRequest, *, max_bytes: int = MAX_BODY_BYTES) -> Mapping[str, Any]:
    """The object; an empty one where a DELETE has no body. Raises Problem 400, 408, 413 or 415."""
    if not request.body_exists and request.method == "DELETE":
        return {}
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(415, "Expected a body with Content-Type: application/json, and without Content-Encoding.")
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_S):
            content = await _content(request, max_bytes)
    except TimeoutError as error:
        raise Problem(408, f"The body did not come within {BODY_S:.0f} s.") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Problem(400, "The body ends before its end.") from error
    if not content.strip():
        return {}
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise Problem(400, "Expected a JSON object as the body.")
    return body


async def _content(request: web.BaseRequest, max_bytes: int) -> bytes:
    content = bytearray()
    while chunk := await request.content.readany():
        content += chunk
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(content)


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, f"The body is larger than {max_bytes >> 10} KiB.")
