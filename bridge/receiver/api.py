"""The receiver's HTTP interface: its pages, health, metrics, status, what it has set aside, and a reload."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from bridge.json_lines import rfc3339
from bridge.ports import Clock
from bridge.receiver import descriptions
from bridge.receiver.aside_table import StoredAside
from bridge.receiver.errors import AddressTaken, ReceiverError, StateUnusable
from bridge.receiver.metrics import registry_of
from bridge.receiver.overview import overview
from bridge.receiver.rates import Rates
from bridge.web.audit import OnAudit
from bridge.web.entrance import Prepared
from bridge.web.errors import CannotServe, CannotUseCertificate
from bridge.web.gate import Gate
from bridge.web.meter import Meter
from bridge.web.metrics import exposition
from bridge.web.reports import Reload, reload_route
from bridge.web.routes import Answer, Call, Problem, Route
from bridge.web.server import WebServer
from config.settings import Address
from config.settings import Api as Settings

FEED_S: Final = 1.0
HEAD_BYTES: Final = 256
PAGES: Final = ("/", "/set-aside", "/login")


class View(Protocol):
    """What is shown; from memory."""

    def status(self) -> dict[str, Any]:
        """Everything."""

    def problems(self) -> list[str]:
        """Why it is not ready, as sentences."""


class Asides(Protocol):
    """What was set aside, and the file that it is in. Everything raises StateUnusable when that can't be read."""

    set_aside: int

    async def check(self) -> None:
        """Read something."""

    async def asides(self, *, before: int | None = None, limit: int) -> list[StoredAside]:
        """The newest first; those below the id `before` where one is given."""

    async def aside(self, number: int) -> StoredAside | None:
        """The one with this id."""

    async def aside_bytes(self, number: int, *, max_bytes: int | None = None) -> bytes | None:
        """What came, or its first bytes."""

    async def discard_asides(self, numbers: Sequence[int] | None) -> int:
        """Delete those with these ids; None: all."""


class Api:
    """Serves one receiver. `start` once, `close` any number of times."""

    def __init__(
        self,
        settings: Settings,
        *,
        receiver_id: str,
        version: str,
        view: View,
        asides: Asides,
        gate: Gate,
        clock: Clock,
        reload: Reload,
        on_audit: OnAudit | None = None,
    ) -> None:
        self._bind = settings.bind
        self._view = view
        self._asides = asides
        self._clock = clock
        self._rates = Rates()
        meter = Meter()
        self.registry: CollectorRegistry = registry_of(view.status, meter)
        self._server = WebServer(
            settings,
            program="receiver",
            name=receiver_id,
            version=version,
            routes=(*self._routes(), reload_route(reload)),
            pages=PAGES,
            gate=gate,
            on_audit=on_audit,
            schemas=descriptions.SCHEMAS,
            errors={StateUnusable: 503},
            meter=meter,
        )

    def _routes(self) -> tuple[Route, ...]:
        return (
            Route(method="GET", path="/healthz", handler=self._health, role="open", operation=descriptions.HEALTH),
            Route(method="GET", path="/readyz", handler=self._ready, role="open", operation=descriptions.READINESS),
            Route(method="GET", path="/metrics", handler=self._metrics, operation=descriptions.METRICS),
            Route(
                method="GET",
                path="/api/v1/status",
                handler=self._status,
                is_live=True,
                operation=descriptions.STATUS,
            ),
            Route(
                method="GET",
                path="/api/v1/receiver",
                handler=self._overview,
                is_live=True,
                operation=descriptions.RECEIVER,
            ),
            Route(method="GET", path="/api/v1/set-aside", handler=self._list, operation=descriptions.LIST),
            Route(method="GET", path="/api/v1/set-aside/{id}", handler=self._show, operation=descriptions.SHOW),
            Route(
                method="GET", path="/api/v1/set-aside/{id}/export", handler=self._export, operation=descriptions.EXPORT
            ),
            Route(
                method="POST",
                path="/api/v1/set-aside/discard",
                handler=self._discard,
                role="operator",
                audit="discard what was set aside",
                operation=descriptions.DISCARD,
            ),
        )

    @property
    def address(self) -> Address:
        """Where it really listens. Only between `start` and `close`."""
        return self._server.address

    @property
    def web(self) -> WebServer:
        """The server behind it."""
        return self._server

    async def start(self) -> None:
        """Listen. Raises AddressTaken, and ReceiverError for a certificate that can't be used."""
        with _told(self._bind):
            await self._server.start()

    async def close(self) -> None:
        """Stop listening; idempotent."""
        await self._server.close()

    async def prepare(self, settings: Settings) -> Prepared:
        """Do all of a change that can fail: read passwords, tokens and the certificate, take a new address.

        Raises ConfigError for the files, ReceiverError for the certificate, AddressTaken for the address.
        """
        with _told(settings.bind):
            return await self._server.prepare(settings)

    def adopt(self, prepared: Prepared) -> None:
        """Have it hold."""
        self._server.adopt(prepared)

    async def feed(self) -> None:
        """Take the counters once a second, for the rates; until it is cancelled."""
        while True:
            status = self._view.status()
            self._rates.feed(
                self._clock.monotonic_s(),
                records=status["records"],
                gateways={name: item["records"] for name, item in status["gateways"].items()},
                sinks={item["name"]: item["records"] for item in status["sinks"]},
            )
            await asyncio.sleep(FEED_S)

    async def _health(self, call: Call) -> Any:
        try:
            await self._asides.check()
        except StateUnusable as error:
            return _verdict("failing", [str(error)], call)
        return {"status": "ok"}

    async def _ready(self, call: Call) -> Any:
        problems = self._view.problems()
        return _verdict("not ready", problems, call) if problems else {"status": "ready"}

    async def _metrics(self, call: Call) -> Any:
        return exposition(self.registry, call.headers.get("Accept", ""))

    async def _status(self, _call: Call) -> Any:
        return self._view.status()

    async def _overview(self, _call: Call) -> Any:
        return overview(
            self._view.status(),
            self._rates,
            now_s=self._clock.monotonic_s(),
            now_us=self._clock.now_us(),
            set_aside=self._asides.set_aside,
        )

    async def _list(self, call: Call) -> Any:
        limit = call.query["limit"]
        found = await self._asides.asides(before=call.query["before"], limit=limit + 1)
        shown = found[:limit]
        return {
            "total": self._asides.set_aside,
            "frames": [_aside(item) for item in shown],
            "next_before": shown[-1].id if len(found) > limit else None,
        }

    async def _show(self, call: Call) -> Any:
        item = await self._one(call)
        head = await self._asides.aside_bytes(item.id, max_bytes=HEAD_BYTES) or b""
        return {**_aside(item), "head": head.hex()}

    async def _export(self, call: Call) -> Any:
        item = await self._one(call)
        content = await self._asides.aside_bytes(item.id)
        if content is None:
            raise Problem(409, f"There was no room for the bytes of number {item.id}; only its reason was kept.")
        name = f'attachment; filename="set-aside-{item.id}.bin"'
        return Answer(body=content, content_type="application/octet-stream", headers={"Content-Disposition": name})

    async def _discard(self, call: Call) -> Any:
        numbers, is_all = call.body.get("ids"), call.body.get("all", False)
        if is_all == (numbers is not None):
            raise Problem(400, "Give either the ids of those to discard, or all: true.")
        call.target = "all" if is_all else ", ".join(map(str, numbers or ()))
        gone = await self._asides.discard_asides(None if is_all else numbers)
        return {"frames": gone, "message": f"{gone} {'was' if gone == 1 else 'were'} discarded."}

    async def _one(self, call: Call) -> StoredAside:
        written = call.path["id"]
        if written.isascii() and written.isdigit() and len(written) <= 18:
            found = await self._asides.aside(int(written))
            if found is not None:
                return found
        raise Problem(404, "There is nothing set aside under this number; it may have been discarded.")


@contextlib.contextmanager
def _told(bind: Address) -> Iterator[None]:
    """What the server can't do, as a sentence about the receiver."""
    try:
        yield
    except CannotUseCertificate as error:
        raise ReceiverError(str(error)) from error
    except CannotServe as error:
        raise AddressTaken(
            f"The receiver's HTTP interface cannot listen on {bind}: {error}. Is another receiver running? "
            "Stop it, or choose another address (api.bind)."
        ) from error


def _verdict(word: str, problems: list[str], call: Call) -> Answer:
    """A stranger gets the word alone."""
    return Answer(status=503, body={"status": word, "problems": problems} if call.is_known else {"status": word})


def _aside(item: StoredAside) -> dict[str, Any]:
    return {
        "id": item.id,
        "at": rfc3339(item.received_at_us),
        "reason": item.code,
        "explanation": item.reason,
        "topic": item.topic,
        "size_bytes": item.size_bytes,
        "is_kept": item.has_bytes,
    }
