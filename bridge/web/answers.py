"""Bodies and answers made into responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from bridge.web.errors import Problem
from bridge.web.pages import Asset, is_known, takes_gzip

EVENT_STREAM: Final = "text/event-stream"

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY


def encoded(body: Any) -> bytes:
    """A body as JSON, without a newline in it."""
    return orjson.dumps(body, option=_OPTIONS)


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body; nobody on the way may keep it."""
    return web.Response(
        body=encoded(body) + b"\n",
        status=status,
        content_type="application/json",
        headers={**(headers or {}), "Cache-Control": "no-store"},
    )


def problem_response(problem: Problem) -> web.Response:
    """An error as a JSON object with a sentence."""
    return json_response(problem.body(), status=problem.status, headers=problem.headers)


def event_stream(headers: Mapping[str, str]) -> web.StreamResponse:
    """The beginning of server-sent events, not sent yet."""
    return web.StreamResponse(
        headers={
            **headers,
            "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )


def asset_response(asset: Asset, *, accept_encoding: str | None, if_none_match: str | None) -> web.Response:
    """A file, or 304 where the caller has it already; he asks each time, so that an update shows at once."""
    content, etag = asset.content, asset.etag
    headers = {"Cache-Control": "no-cache"}
    if asset.gzipped is not None:
        headers["Vary"] = "Accept-Encoding"
        if takes_gzip(accept_encoding):
            content, etag = asset.gzipped, asset.gzipped_etag
            headers["Content-Encoding"] = "gzip"
    headers["ETag"] = etag
    if is_known(etag, if_none_match):
        headers.pop("Content-Encoding", None)
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, headers={**headers, "Content-Type": asset.content_type})
