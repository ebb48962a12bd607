"""What stands where: routes, pages, files, and the description of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from bridge.web.answers import asset_response
from bridge.web.audit import printable
from bridge.web.errors import Problem
from bridge.web.openapi import document
from bridge.web.operation import Operation
from bridge.web.pages import load_assets
from bridge.web.router import Found, Router
from bridge.web.routes import Call, Route

DESCRIPTION: Final = "/api/v1/openapi.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Where a path leads: to a route, or to a page. `template` is its path."""

    template: str
    route: Route | None = None


class Site:
    """That of one server; it never changes."""

    def __init__(
        self,
        session: Sequence[Route],
        routes: Sequence[Route],
        pages: Sequence[str],
        *,
        program: str,
        version: str,
        cookie: str,
        schemas: Mapping[str, Any] | None,
        static: Path,
    ) -> None:
        """`session`: the server's own; `schemas`: those that operations refer to; `static`: the folder of the files."""
        own = Route(
            method="GET",
            path=DESCRIPTION,
            handler=self._describe,
            operation=Operation(summary="This description", tag="session", answer={"type": "object"}),
        )
        self.routes = (*session, own, *routes)
        """All of them, its own too."""
        self.description: dict[str, Any] = document(
            self.routes, title=f"Fieldgate {program}", version=version, cookie=cookie, schemas=schemas
        )
        """The OpenAPI document, as it is served."""
        self._assets = load_assets(static)
        self._router: Router[Leads] = Router(
            [
                *((route.method, route.path, Leads(template=route.path, route=route)) for route in self.routes),
                *(("GET", page, Leads(template=page)) for page in pages),
            ]
        )

    def find(self, method: str, raw_path: str) -> Found[Leads] | None:
        """Where it leads; None: nowhere."""
        return self._router.find(method, raw_path)

    def asset(self, request: web.BaseRequest, name: str) -> web.Response:
        """A file, as who asks can take it. Raises Problem 404."""
        asset = self._assets.get(name)
        if asset is None:
            raise Problem(404, f"There is nothing at {printable(request.raw_path)}.")
        return asset_response(
            asset,
            accept_encoding=request.headers.get("Accept-Encoding"),
            if_none_match=request.headers.get("If-None-Match"),
        )

    async def _describe(self, _call: Call) -> Any:
        return self.description
