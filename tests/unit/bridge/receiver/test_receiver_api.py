"""The receiver's HTTP interface, asked over a real socket."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from bridge.receiver.api import Api
from bridge.receiver.errors import AddressTaken, StateUnusable
from config.settings import Address

ANY_PORT = Address(host="127.0.0.1", port=0)


class View:
    """A status with one of everything."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def problems(self) -> list[str]:
        return self.found

    def status(self) -> dict[str, Any]:
        return {
            "uptime_s": 1.5,
            "frames": 3,
            "records": 30,
            "duplicates": 2,
            "wire_bytes": 99,
            "epoch_changes": 0,
            "missing": 4,
            "link": {"state": "online", "connections": 1, "sessions_lost": 0},
            "waiting": {"frames": 1, "bytes": 10},
            "set_aside": {"count": 1, "by_reason": {"bad_magic": 1}},
            "gaps": [{"reasons": {"full": 5}}, {"reasons": {"full": 1, "a stranger's": 2}}],
            "sinks": [
                {
                    "name": "s",
                    "state": "ready",
                    "lag_frames": 1,
                    "lag_records": 10,
                    "lag_s": 0.5,
                    "records": 30,
                    "writes": 3,
                    "errors": 0,
                    "refused": 0,
                }
            ],
        }


async def healthy() -> None:
    return None


async def unhealthy() -> None:
    raise StateUnusable("The disk is gone.")


async def test_every_path_answers() -> None:
    view = View()
    api = Api(ANY_PORT, view, healthy)
    await api.start()
    try:
        async with aiohttp.ClientSession(f"http://{api.address}") as client:
            async with client.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok"})
            async with client.get("/readyz") as answer:
                assert answer.status == 200
            view.found.append("The link is offline.")
            async with client.get("/readyz") as answer:
                assert (answer.status, (await answer.json())["problems"]) == (503, ["The link is offline."])
            async with client.get("/api/v1/status") as answer:
                assert await answer.json() == view.status()
            async with client.get("/metrics") as answer:
                text = await answer.text()
    finally:
        await api.close()
    assert "fieldgate_receiver_records_total 30.0" in text
    assert 'fieldgate_receiver_gap_records{reason="full"} 6.0' in text
    assert 'fieldgate_receiver_gap_records{reason="other"} 2.0' in text
    assert 'fieldgate_receiver_sink_lag_seconds{sink="s"} 0.5' in text
    assert 'fieldgate_receiver_set_aside_total{reason="bad_magic"} 1.0' in text


async def test_a_state_file_that_cannot_be_read_makes_health_fail() -> None:
    api = Api(ANY_PORT, View(), unhealthy)
    await api.start()
    try:
        async with aiohttp.ClientSession() as client, client.get(f"http://{api.address}/healthz") as answer:
            assert (answer.status, (await answer.json())["problems"]) == (503, ["The disk is gone."])
    finally:
        await api.close()


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    first = Api(ANY_PORT, View(), healthy)
    await first.start()
    try:
        with pytest.raises(AddressTaken, match=r"cannot listen on 127\.0\.0\.1:\d+: .* choose another address"):
            await Api(first.address, View(), healthy).start()
    finally:
        await first.close()
