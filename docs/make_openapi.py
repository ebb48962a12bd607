"""Writes docs/openapi.json and docs/openapi-receiver.json: what /api/v1/openapi.json serves, for those who have no
gateway at hand. A test holds the files against the code.

    make openapi
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import orjson

from bridge.clock import SystemClock
from bridge.receiver.api import Api as ReceiverApi
from bridge.receiver.state import State
from bridge.version import VERSION
from bridge.web.gate import Gate
from config.report import Report
from config.settings import Api, GatewayIdentity, GatewaySettings
from gateway.app import Gateway

DOCS = Path(__file__).resolve().parent


class _Nothing:
    """A receiver that nobody asks: only its routes are described."""

    def status(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def problems(self) -> list[str]:
        """None."""
        return []


async def _reload(_by: str) -> Report:
    """Nothing was read."""
    return Report(message="")


async def descriptions() -> dict[str, bytes]:
    """The files' contents by name."""
    with tempfile.TemporaryDirectory() as folder:
        identity = GatewayIdentity(id="edge", data_dir=Path(folder) / "data")
        gateway = await Gateway.open(GatewaySettings(gateway=identity, uplinks=()))
        try:
            of_gateway = gateway.api.web.description
        finally:
            await gateway.accesses.close()
            await gateway.spool.close()
        state = await State.open(Path(folder) / "receiver.db")
        try:
            receiver = ReceiverApi(
                Api(),
                receiver_id="receiver",
                version=VERSION,
                view=_Nothing(),
                asides=state,
                gate=Gate.open(Api()),
                clock=SystemClock(),
                reload=_reload,
            )
            of_receiver = receiver.web.description
        finally:
            await state.close()
    return {
        name: orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        for name, content in (("openapi.json", of_gateway), ("openapi-receiver.json", of_receiver))
    }


def main() -> None:
    """Write them."""
    for name, content in asyncio.run(descriptions()).items():
        (DOCS / name).write_bytes(content)


if __name__ == "__main__":
    main()
