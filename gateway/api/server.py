"""The gateway's HTTP interface: the dashboard's pages, /api/v1, health and metrics, in the house of `bridge.web`."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.version import VERSION
from bridge.web.audit import OnAudit
from bridge.web.entrance import Prepared
from bridge.web.errors import CannotServe, CannotUseCertificate
from bridge.web.gate import Gate
from bridge.web.meter import Meter
from bridge.web.routes import Route
from bridge.web.server import WebServer
from config.settings import Address, Api
from gateway.api import health
from gateway.api.heartbeat import Heartbeat
from gateway.api.schemas import COMPONENTS
from gateway.api.view import GatewayView
from gateway.errors import CannotListen, CannotStart
from gateway.spool.errors import SpoolError


class ApiServer:
    """Serves one gateway at `api.bind`. `start` once, `close` any number of times."""

    def __init__(
        self,
        api: Api,
        view: GatewayView,
        *,
        name: str,
        gate: Gate | None = None,
        routes: Sequence[Route] = (),
        pages: Sequence[str] = (),
        on_audit: OnAudit | None = None,
        max_lag_s: float = health.MAX_LAG_S,
    ) -> None:
        """`name`: the gateway's id. Without a gate one is made from the settings, for those without passwords."""
        self._bind = api.bind
        self._heartbeat = Heartbeat()
        meter = Meter()
        self._web = WebServer(
            api,
            program="gateway",
            name=name,
            version=VERSION,
            routes=[*health.routes(view, self._heartbeat, http=meter, max_lag_s=max_lag_s), *routes],
            pages=pages,
            gate=gate or Gate.open(api),
            on_audit=on_audit,
            schemas=COMPONENTS,
            errors={SpoolError: 503},
            meter=meter,
        )

    @property
    def address(self) -> Address:
        """Where it really listens (port 0 became a free one). Only between `start` and `close`."""
        return self._web.address

    @property
    def web(self) -> WebServer:
        """The server behind it."""
        return self._web

    @property
    def worst_lag_s(self) -> float:
        """How late the event loop was at worst in the last 30 seconds."""
        return self._heartbeat.worst_lag_s

    async def start(self) -> None:
        """Listen. Raises CannotListen when the address can't be had, CannotStart for a bad certificate."""
        try:
            await self._web.start()
        except CannotUseCertificate as error:
            raise CannotStart(str(error)) from error
        except CannotServe as error:
            raise CannotListen("api.bind", self._bind, error.error) from error
        self._heartbeat.start()

    async def prepare(self, api: Api) -> Prepared:
        """Do all of a change that can fail: read passwords, tokens and the certificate, take a new address.

        Raises ConfigError for the files, CannotStart for the certificate, CannotListen for the address.
        """
        try:
            return await self._web.prepare(api)
        except CannotUseCertificate as error:
            raise CannotStart(str(error)) from error
        except CannotServe as error:
            raise CannotListen("api.bind", api.bind, error.error) from error

    def adopt(self, prepared: Prepared) -> None:
        """Have it hold."""
        self._web.adopt(prepared)

    async def close(self) -> None:
        """Stop listening, end streams and open requests; idempotent."""
        self._heartbeat.close()
        await self._web.close()
