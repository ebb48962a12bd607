"""The HTTP server that the gateway and the receiver share: what every request goes through, and who ends it.

In this order, and what fails says so as a JSON sentence: the Host header is ours (421); no page elsewhere asks, and no
proxy where nobody is asked who he is (403); the path leads somewhere (404, 405); the caller is known, and may (401,
403); a browser that acts shows that a page of ours asks (403); the query and the body have the shape that the route
declares (400, 408, 413, 415). Then the handler.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from bridge.web import audit as audits
from bridge.web.admission import SAFE, check_host, check_nearness, check_rights
from bridge.web.answers import EVENT_STREAM, event_stream, problem_response
from bridge.web.audit import OnAudit
from bridge.web.bodies import MAX_BODY_BYTES, MAX_STRANGERS_BYTES, read_body
from bridge.web.callers import Caller, caller_of
from bridge.web.entrance import Entrance, Prepared
from bridge.web.errors import Problem
from bridge.web.gate import Gate, Identity
from bridge.web.headers import standing_headers
from bridge.web.live import IsStillKnown, Live
from bridge.web.meter import NOTHING_KNOWN, Asked, Meter
from bridge.web.pages import SHELL, STATIC_FOLDER
from bridge.web.results import Results
from bridge.web.router import Found
from bridge.web.routes import Call, Role, Route, is_enough
from bridge.web.serving import is_retired
from bridge.web.session import SessionRoutes
from bridge.web.shape import check_body, read_query
from bridge.web.site import Leads, Site
from config.settings import Address, Api

log = logging.getLogger(__name__)

MAX_QUERY_FIELDS: Final = 1000
STATIC: Final = "/static/"


class WebServer:
    """Serves routes and pages at `api.bind`. `start` once, `close` any number of times."""

    def __init__(
        self,
        api: Api,
        *,
        program: str,
        name: str,
        version: str,
        routes: Sequence[Route],
        pages: Sequence[str],
        gate: Gate,
        on_ready: Callable[[Address], None] | None = None,
        on_audit: OnAudit | None = None,
        schemas: Mapping[str, Any] | None = None,
        static: Path = STATIC_FOLDER,
        live: Live | None = None,
        now_s: Callable[[], float] = time.monotonic,
        errors: Mapping[type[Exception], int] | None = None,
        meter: Meter | None = None,
    ) -> None:
        """`program`: "gateway" or "receiver"; `name`: its id. `schemas`: those that operations refer to.

        `errors`: what handlers may raise whose text is a sentence for the caller, and the status it comes with.
        """
        self._entrance = Entrance(api, gate=gate, on_ready=on_ready)
        self._gate = gate
        self._on_audit = on_audit
        self._viewers = audits.Viewers()
        self._errors = errors or {}
        self._now_s = now_s
        self._live = live or Live()
        self.meter = meter or Meter()
        """What was asked, and how it was answered."""
        self._results = Results(self._live)
        # Cookies do not tell ports apart: without names of their own, a gateway and a receiver on one machine would
        # log each other's users out.
        self._cookie = "fieldgate_session" if program == "gateway" else f"fieldgate_{program}_session"
        session = SessionRoutes(gate, program=program, name=name, version=version, cookie=self._cookie, now_s=now_s)
        self._site = Site(
            session.routes(),
            routes,
            pages,
            program=program,
            version=version,
            cookie=self._cookie,
            schemas=schemas,
            static=static,
        )

    @property
    def address(self) -> Address:
        """Where it really listens (port 0 became a free one). Only between `start` and `close`."""
        return self._entrance.address

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return self._entrance.url

    @property
    def routes(self) -> tuple[Route, ...]:
        """All of them, its own too."""
        return self._site.routes

    @property
    def description(self) -> dict[str, Any]:
        """The OpenAPI document, as it is served."""
        return self._site.description

    @property
    def live(self) -> Live:
        """The streams."""
        return self._live

    async def start(self) -> None:
        """Listen. Raises CannotServe with the half of a sentence for the address, and CannotUseCertificate."""
        await self._entrance.open(self._handle)

    async def prepare(self, api: Api) -> Prepared:
        """Do all of a change to these settings that can fail; nothing has changed then.

        Raises ConfigError with all that is wrong in the files, CannotUseCertificate, and CannotServe for the address.
        """
        return await self._entrance.prepare(api)

    def adopt(self, prepared: Prepared) -> None:
        """Have it hold: for the next request of everybody, and for connections to come."""
        self._entrance.adopt(prepared)

    async def close(self) -> None:
        """Stop listening, end streams and open requests; idempotent."""
        self._entrance.leave()
        self._live.close()
        self._results.close()
        await self._entrance.close()

    # ---- What every request goes through --------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began_s = self._now_s()
        caller = caller_of(request.remote or "", request.headers, self._entrance.api.trusted_proxies)
        asked = NOTHING_KNOWN
        try:
            self._check_host(request, caller)
            found = self._site.find(request.method, request.raw_path.partition("?")[0])
            if found is not None and found.value is not None:
                asked = Asked(found.value.template, request.method)
            elif request.method in SAFE and request.raw_path.startswith(STATIC):
                asked = Asked(STATIC, request.method)
            response = await self._answer(request, found, caller)
        except Problem as problem:
            response = problem_response(problem)
            if problem.status in {408, 413}:
                response.force_close()  # what is left of the body is not worth the reading
        except Exception as error:  # whatever broke, the caller gets a sentence and the log gets the rest
            if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
                raise  # the caller has gone
            log.exception("The request for %s failed.", audits.printable(request.raw_path))
            response = problem_response(Problem(500, "The request could not be answered; the log says why."))
        if not response.prepared:
            response.headers.update(standing_headers(is_tls=request.secure))
        is_stream = response.content_type == EVENT_STREAM
        self.meter.note(asked, response.status, None if is_stream else self._now_s() - began_s)
        return response

    def _check_host(self, request: web.BaseRequest, caller: Caller) -> None:
        try:
            check_host(request, self._gate.hosts, behind=caller.host)
            check_nearness(request, self._gate)
        except Problem as problem:
            self._note_refused(request, problem, caller)
            raise

    async def _answer(self, request: web.BaseRequest, found: Found[Leads] | None, caller: Caller) -> web.StreamResponse:
        raw_path, _, query = request.raw_path.partition("?")
        if raw_path.startswith(STATIC) and request.method in SAFE:
            return self._site.asset(request, raw_path.removeprefix(STATIC))
        if found is None:
            raise Problem(404, f"There is nothing at {audits.printable(raw_path)}.")
        if found.value is None:
            raise Problem(
                405,
                f"{audits.printable(request.method)} is not possible here; {' and '.join(found.allowed)} "
                f"{'is' if len(found.allowed) == 1 else 'are'}.",
                headers={"Allow": ", ".join(found.allowed)},
            )
        if found.value.route is None:
            return self._site.asset(request, SHELL)
        return await self._call(request, found.value.route, found.path, raw_path, query, caller)

    def _note_refused(self, request: web.BaseRequest, problem: Problem, caller: Caller) -> None:
        """An action that a page elsewhere tried belongs into the audit log, whoever's browser it was."""
        raw_path = request.raw_path.partition("?")[0]
        found = self._site.find(request.method, raw_path)
        route = found.value.route if found is not None and found.value is not None else None
        if found is not None and route is not None and route.audit is not None:
            target = ", ".join(found.path.values()) or None
            call = Call(method=request.method, url_path=raw_path, address=caller.address, target=target)
            self._audit(route, call, problem)

    def _identify(self, request: web.BaseRequest) -> Identity | None:
        return self._gate.identify(
            session_id=request.cookies.get(self._cookie),
            authorization=request.headers.get("Authorization"),
            now_s=self._now_s(),
        )

    async def _call(
        self,
        request: web.BaseRequest,
        route: Route,
        path: Mapping[str, str],
        raw_path: str,
        query: str,
        caller: Caller,
    ) -> web.StreamResponse:
        identity = self._identify(request)
        call = Call(
            method=request.method,
            url_path=raw_path,
            path=path,
            headers=request.headers,
            user=identity.user if identity is not None else None,
            role=identity.role if identity is not None else None,
            session_id=identity.session_id if identity is not None else None,
            address=caller.address,
            is_https=request.secure or caller.is_https,
            target=", ".join(path.values()) or None,
        )
        if route.audit is None:
            return await self._pass(request, route, call, identity, query)
        try:
            response = await self._pass(request, route, call, identity, query)
        except Problem as problem:
            self._audit(route, call, problem)
            raise
        except asyncio.CancelledError:
            self._audit(route, call, Problem(503, "The program stopped meanwhile."))
            raise
        except Exception:  # raised again at once: an action that broke is in the audit, too
            self._audit(route, call, Problem(500, "It broke; the log says why."))
            raise
        self._audit(route, call, None)
        return response

    async def _pass(
        self, request: web.BaseRequest, route: Route, call: Call, identity: Identity | None, query: str
    ) -> web.StreamResponse:
        check_rights(request, route, identity, self._gate)
        try:
            given = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
        except ValueError as error:
            raise Problem(400, "The query of the address is not UTF-8, or too long.") from error
        operation = route.operation
        call.query = read_query(operation.query, given) if operation is not None else dict(given)
        if route.method != "GET":
            call.body = await read_body(request, max_bytes=MAX_BODY_BYTES if identity else MAX_STRANGERS_BYTES)
            if operation is not None and operation.body is not None:
                check_body(call.body, operation.body)
            # The body took its time, and whoever asks may have lost his right meanwhile.
            check_rights(request, route, self._identify(request), self._gate)
        if route.is_live and request.method == "GET" and "text/event-stream" in request.headers.get("Accept", ""):
            return await self._follow(request, route, call, given)
        user = self._counted(call)
        if route.is_live:
            call.user = call.role = call.session_id = None
        if route.method == "GET" and route.role != "open":
            async with self._live.pace.body():
                result = await self._made(route, call)
        else:
            result = await self._made(route, call)
        return await self._results.respond(request, result, self._is_still_known(request, route), user=user)

    async def _made(self, route: Route, call: Call) -> Any:
        """What the handler returns. What it raises of `errors` is told with its own sentence."""
        try:
            return await route.handler(call)
        except Exception as error:  # only to look whether it is one of those that people are told of
            status = next((status for kind, status in self._errors.items() if isinstance(error, kind)), None)
            if status is None:
                raise
            raise Problem(status, str(error)) from error

    async def _follow(
        self, request: web.BaseRequest, route: Route, call: Call, given: list[tuple[str, str]]
    ) -> web.StreamResponse:
        shared = Call(method="GET", url_path=call.url_path, path=call.path, query=call.query, headers={}, address="")
        return await self._live.follow(
            request,
            f"{call.url_path}?{urlencode(sorted(given))}",
            lambda: self._made(route, shared),
            self._is_still_known(request, route),
            event_stream(standing_headers(is_tls=request.secure)),
            user=self._counted(call),
        )

    def _counted(self, call: Call) -> str | None:
        """Whose streams are counted together; nobody's where all are the local operator."""
        return call.user if self._gate.asks_who else None

    def _is_still_known(self, request: web.BaseRequest, route: Route) -> IsStillKnown:
        return lambda: not is_retired(request) and is_enough(_role(self._identify(request)), route.role)

    def _audit(self, route: Route, call: Call, problem: Problem | None) -> None:
        audit = audits.of(route, call, problem)
        # A stranger must not fill the list of events, and who may only look not the whole of it.
        is_told = audit.user is not None and (
            audit.role == "operator" or self._viewers.admit(audit.user, self._now_s())
        )
        audits.write(audit, always=is_told)
        if self._on_audit is not None and is_told:
            self._on_audit(audit)


def _role(identity: Identity | None) -> Role | None:
    return identity.role if identity is not None else None
