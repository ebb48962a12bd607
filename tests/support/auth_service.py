"""A real HTTP service that says who may come in, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


class AuthService:
    """Answers with `answer`, or what `handler` makes of a request; `questions` are what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.questions: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Any = {"result": "allow"}
        self.status = 200
        self.response_headers: dict[str, str] = {}
        self.raw: bytes | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.questions.append(await request.json())
            self.headers.append(dict(request.headers))
            self.asked.set()
            await self.may_answer.wait()
            if self.raw is not None:
                return web.Response(body=self.raw, status=self.status, headers=self.response_headers)
            return web.json_response(self.answer, status=self.status, headers=self.response_headers)
        finally:
            self.at_once -= 1


@contextlib.asynccontextmanager
async def serving(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[AuthService]:
    """The service on a free port of this machine."""
    service = AuthService()
    app = web.Application()
    app.router.add_post("/auth", service.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        service.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/auth"
        yield service
    finally:
        service.may_answer.set()
        await runner.cleanup()
