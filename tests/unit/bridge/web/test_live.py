"""Live bodies: what those who look get, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.web import serving
from bridge.web.live import Live
from bridge.web.routes import Call, EventStream, Problem, Route
from tests.support.web_house import OPERATOR_TOKEN, PASSWORDS, VIEWER_TOKEN, House, house, write_tokens

TIMEOUT_S = 30.0
TICK_S = 0.01
FOLLOW = {"Accept": "text/event-stream"}


class Body:
    """What is looked at; each computation is counted."""

    def __init__(self) -> None:
        self.value: Any = 1
        self.problem: Problem | Exception | None = None
        self.calls: list[Call] = []
        self.size_bytes = 0
        self.counts = False

    async def read(self, call: Call) -> Any:
        self.calls.append(call)
        if self.problem is not None:
            raise self.problem
        if self.counts:
            self.value += 1
        return {
            "value": self.value,
            "name": call.path.get("name"),
            "query": dict(call.query),
            "x": "x" * self.size_bytes,
        }

    @property
    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="GET", path="/api/v1/body", handler=self.read, is_live=True),
            Route(method="GET", path="/api/v1/body/{name}", handler=self.read, is_live=True),
        )


class Stream:
    """The events that came."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0

    async def next(self) -> tuple[str, Any]:
        """The next event's name and data."""
        name, data = "", None
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                line = (await self.response.content.readline()).decode()
                if not line:
                    raise EOFError
                if line.startswith(":"):
                    self.comments += 1
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ").strip()
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                elif line == "\n" and name:
                    return name, data

    async def ended(self) -> None:
        """Wait for the end."""
        with contextlib.suppress(EOFError, aiohttp.ClientError):
            while True:
                await self.next()


@contextlib.asynccontextmanager
async def following(at: House, path: str, **headers: str) -> AsyncIterator[Stream]:
    async with at.client.get(at.url + path, headers={**FOLLOW, **headers}) as response:
        assert response.status == 200, await response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Security-Policy" in response.headers
        yield Stream(response)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - the server's own state, of whose changes nobody tells
            await asyncio.sleep(0.005)


def quick(**rest: Any) -> Live:
    return Live(**{"tick_s": TICK_S, **rest})


async def test_a_body_comes_at_once_and_whenever_it_changes() -> None:
    body = Body()
    async with house(routes=body.routes, live=quick()) as at, following(at, "/api/v1/body/a%2Fb?x=1") as stream:
        assert await stream.next() == ("body", {"value": 1, "name": "a/b", "query": {"x": "1"}, "x": ""})
        seen = len(body.calls)
        await until(lambda: len(body.calls) > seen + 2)
        body.value = 2
        name, data = await stream.next()
        assert (name, data["value"]) == ("body", 2)
        assert (body.calls[-1].user, body.calls[-1].role) == (None, None)


async def test_without_the_header_it_is_one_body() -> None:
    body = Body()
    async with house(routes=body.routes, live=quick()) as at:
        response, data = await at.ask("GET", "/api/v1/body")
        assert (response.content_type, data["value"], len(body.calls)) == ("application/json", 1, 1)
        assert await at.status("HEAD", "/api/v1/body", headers=FOLLOW) == 200
        assert at.server.live.streams == 0


async def test_however_many_look_a_body_is_computed_once_a_tick() -> None:
    body = Body()
    body.counts = True
    async with house(routes=body.routes, live=quick(tick_s=0.05)) as at, contextlib.AsyncExitStack() as stack:
        paths = ["/api/v1/body?a=1&b=2", "/api/v1/body?b=2&a=1"]
        streams = [await stack.enter_async_context(following(at, paths[number % 2])) for number in range(10)]
        for stream in streams:
            await stream.next()
        heard = [[(await stream.next())[1]["value"] for _ in range(3)] for stream in streams]
        # Each number was made once, and each who looks saw numbers that were made, without gaps of his own.
        assert len(body.calls) == body.value - 1
        assert max(values[-1] for values in heard) <= body.value
        assert all(values == list(range(values[0], values[0] + 3)) for values in heard)


async def test_when_nobody_looks_nothing_is_computed() -> None:
    body = Body()
    async with house(routes=body.routes, live=quick()) as at:
        async with following(at, "/api/v1/body") as stream:
            await stream.next()
        await until(lambda: at.server.live.streams == 0)
        assert at.server.live._channels == {}


async def test_what_cannot_be_read_at_first_is_an_error_and_later_an_event() -> None:
    body = Body()
    body.problem = Problem(404, "There is no such device.")
    async with house(routes=body.routes, live=quick()) as at:
        response, error = await at.ask("GET", "/api/v1/body", headers=FOLLOW)
        assert (response.status, error["error"]["message"]) == (404, "There is no such device.")
        body.problem = None
        async with following(at, "/api/v1/body") as stream:
            await stream.next()
            body.problem = Problem(404, "It is gone.")
            assert await stream.next() == ("problem", {"error": {"status": 404, "message": "It is gone."}})
            body.problem = None
            assert (await stream.next())[0] == "body"


async def test_a_body_that_breaks_is_logged_and_does_not_end_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    body = Body()
    async with house(routes=body.routes, live=quick()) as at, following(at, "/api/v1/body") as stream:
        await stream.next()
        body.problem = RuntimeError("a secret")
        name, data = await stream.next()
        assert (name, data["error"]["status"], "secret" in data["error"]["message"]) == ("problem", 500, False)
        body.problem = None
        assert (await stream.next())[0] == "body"
    assert "a secret" in caplog.text


async def test_a_quiet_stream_is_pinged() -> None:
    body = Body()
    async with house(routes=body.routes, live=quick(ping_s=0.02)) as at, following(at, "/api/v1/body") as stream:
        await stream.next()
        async with asyncio.timeout(TIMEOUT_S):
            while (await stream.response.content.readline()) != b": ping\n":
                pass


async def test_so_many_streams_are_served_and_no_more() -> None:
    body = Body()
    async with house(routes=body.routes, live=quick(max_streams=2)) as at:
        async with following(at, "/api/v1/body") as one, following(at, "/api/v1/body/x") as other:
            await one.next()
            await other.next()
            response, error = await at.ask("GET", "/api/v1/body", headers=FOLLOW)
            assert (response.status, response.headers["Retry-After"]) == (503, "10")
            assert error["error"]["message"].startswith("2 pages are looking at live bodies")
            assert await at.status("GET", "/api/v1/body") == 200
        await until(lambda: at.server.live.streams == 0)
        async with following(at, "/api/v1/body") as stream:
            await stream.next()


async def test_one_user_cannot_have_all_the_streams(tmp_path: Path) -> None:
    body = Body()
    roles = {OPERATOR_TOKEN: "operator", VIEWER_TOKEN: "viewer"}
    viewer, operator = ({"Authorization": f"Bearer {token}"} for token in (VIEWER_TOKEN, OPERATOR_TOKEN))
    live = quick(max_streams=3, max_of_user=1)
    async with house(tmp_path, roles=roles, routes=body.routes, live=live) as at:
        async with following(at, "/api/v1/body", **viewer) as stream:
            await stream.next()
            response, error = await at.ask("GET", "/api/v1/body", headers={**FOLLOW, **viewer})
            assert (response.status, response.headers["Retry-After"]) == (503, "10")
            assert error["error"]["message"].startswith("You look at 1 live bodies")
            async with following(at, "/api/v1/body", **operator) as other:
                await other.next()
        await until(lambda: at.server.live.streams == 0)
        async with following(at, "/api/v1/body", **viewer) as stream:
            await stream.next()


async def test_a_slow_reader_skips_bodies_and_is_cut_off_at_last() -> None:
    body = Body()
    body.size_bytes, body.counts = 300_000, True
    async with house(routes=body.routes, live=quick(stuck_s=0.5)) as at:
        address = at.server.address
        # Reads nothing: what the kernel takes fills up, and then what the server holds would grow.
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /api/v1/body HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        async with following(at, "/api/v1/body") as quick_one:
            first = (await quick_one.next())[1]["value"]
            while at.server.live.streams == 2:
                server = at.server._entrance.connections
                assert server is not None
                held = [
                    connection.transport.get_write_buffer_size()
                    for connection in server.connections
                    if connection.transport is not None
                ]
                assert max(held, default=0) < 3 * body.size_bytes
                name, data = await quick_one.next()  # who reads gets what there is meanwhile
                assert name == "body"
            assert data["value"] > first + 10
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_everything_ends_at_once_when_the_server_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SHUTDOWN_S", 60.0)  # so nothing but their own end is in time
    body = Body()
    async with house(routes=body.routes, live=quick(tick_s=60.0, ping_s=60.0)) as at:
        async with following(at, "/api/v1/body") as one, following(at, "/api/v1/body/x") as other:
            await one.next()
            await other.next()
            async with asyncio.timeout(TIMEOUT_S):
                await at.server.close()
                await one.ended()
                await other.ended()
        assert at.server.live.streams == 0


# ---- Who looks --------------------------------------------------------------------------------------------------


async def test_a_stream_ends_when_its_session_does(tmp_path: Path) -> None:
    body = Body()
    async with house(tmp_path, users=PASSWORDS, routes=body.routes, live=quick()) as at:
        assert (await at.ask("GET", "/api/v1/body", headers=FOLLOW))[0].status == 401
        session = await at.session_of("otto")
        async with following(at, "/api/v1/body", **session) as stream:
            await stream.next()
            assert await at.status("DELETE", "/api/v1/session", headers=session) == 204
            await stream.ended()


async def test_a_stream_ends_when_its_token_is_taken_out_of_the_file(tmp_path: Path) -> None:
    body = Body()
    roles = {VIEWER_TOKEN: "viewer", OPERATOR_TOKEN: "operator"}
    async with house(tmp_path, roles=roles, routes=body.routes, live=quick()) as at:
        looks = following(at, "/api/v1/body", Authorization=f"Bearer {VIEWER_TOKEN}")
        async with looks as stream:
            await stream.next()
            write_tokens(tmp_path / "tokens", {OPERATOR_TOKEN: "operator"})
            assert await at.reload() == []
            await stream.ended()


# ---- Events of one's own ----------------------------------------------------------------------------------------


class Tail:
    """A stream of events that the test feeds."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, Any] | Exception | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def _events(self) -> AsyncIterator[tuple[str, Any]]:
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.set()

    async def tail(self, _call: Call) -> Any:
        return EventStream(events=self._events())

    @property
    def routes(self) -> tuple[Route, ...]:
        return (Route(method="GET", path="/api/v1/tail", handler=self.tail),)


async def test_events_come_as_they_are_made_until_they_end() -> None:
    tail = Tail()
    async with house(routes=tail.routes, live=quick()) as at, following(at, "/api/v1/tail") as stream:
        for number in range(3):
            tail.queue.put_nowait(("record", {"n": number, "text": "a\nb"}))
            assert await stream.next() == ("record", {"n": number, "text": "a\nb"})
        tail.queue.put_nowait(None)
        await stream.ended()
        await asyncio.wait_for(tail.closed.wait(), TIMEOUT_S)


async def test_when_the_caller_leaves_his_events_are_closed() -> None:
    tail = Tail()
    async with house(routes=tail.routes, live=quick(ping_s=0.02)) as at:
        async with following(at, "/api/v1/tail") as stream:
            tail.queue.put_nowait(("record", 1))
            await stream.next()
            await until(lambda: at.server.live.streams == 1)
        await asyncio.wait_for(tail.closed.wait(), TIMEOUT_S)
        await until(lambda: at.server.live.streams == 0)


async def test_a_head_of_events_opens_no_stream() -> None:
    tail = Tail()
    async with house(routes=tail.routes, live=quick()) as at:
        response, _ = await at.ask("HEAD", "/api/v1/tail")
        assert (response.status, response.content_type, at.server.live.streams) == (200, "text/event-stream", 0)


async def test_events_that_break_cut_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    tail = Tail()
    async with house(routes=tail.routes, live=quick()) as at, following(at, "/api/v1/tail") as stream:
        tail.queue.put_nowait(("record", 1))
        await stream.next()
        tail.queue.put_nowait(RuntimeError("a secret"))
        await stream.ended()
        await until(lambda: at.server.live.streams == 0)
    assert "a secret" in caplog.text
    assert tail.closed.is_set()


async def test_events_end_at_once_when_the_server_closes_and_none_begin_then() -> None:
    tail = Tail()
    async with house(routes=tail.routes, live=quick(tick_s=60.0, ping_s=60.0)) as at:
        async with following(at, "/api/v1/tail") as stream:
            async with asyncio.timeout(30.0):
                at.server.live.close()
                await stream.ended()
        assert tail.closed.is_set()
        assert await at.status("GET", "/api/v1/tail") == 503
