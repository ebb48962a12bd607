"""The receiver's HTTP interface, asked over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.receiver.aside_table import Aside
from bridge.receiver.errors import AddressTaken, StateUnusable
from bridge.receiver.state import State
from bridge.web.gate import Gate, Lists
from bridge.web.tokens import Token, Tokens, digest
from config.settings import Api as Settings
from tests.support.receiver_api import ANY_PORT, make_api, opened, serving


class View:
    """A status with one of everything."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def problems(self) -> list[str]:
        return self.found

    def status(self) -> dict[str, Any]:
        lane = {"gateway": "edge-01", "stream": "telemetry", "epoch": "e1"}
        return {
            "uptime_s": 1.5,
            "frames": 3,
            "records": 30,
            "duplicates": 2,
            "wire_bytes": 99,
            "epoch_changes": 0,
            "missing": 4,
            "dropped": 8,
            "link": {
                "url": "mqtt://cloud",
                "state": "online",
                "since": "2026-01-01T00:00:00.000000Z",
                "connections": 1,
                "sessions_lost": 0,
                "dropped": 0,
                "last_error": None,
            },
            "waiting": {"frames": 1, "bytes": 10},
            "set_aside": {"count": 1, "by_reason": {"bad_magic": 1}},
            "gaps": [
                {
                    **lane,
                    "records": 8,
                    "reasons": {"full": 6, "a stranger's": 2},
                    "ranges": [{"first_seq": 1, "count": 8, "reason": "full"}],
                }
            ],
            "holes": [{**lane, "records": 4, "ranges": [{"first_seq": 20, "count": 4}]}],
            "streams": [
                {**lane, "epoch": "e0", "current": False, "records": 5, "next_seq": 6, "duplicates": 0},
                {**lane, "current": True, "records": 25, "next_seq": 34, "duplicates": 2},
            ],
            "gateways": {
                "edge-01": {
                    "frames": 3,
                    "records": 32,
                    "last_frame_at": "2026-01-01T00:00:02.500000Z",
                    "last_sent_at": "2026-01-01T00:00:02.000000Z",
                }
            },
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
                    "last_error": None,
                    "last_write_at": None,
                }
            ],
        }


class BrokenState(State):
    """One whose disk is gone."""

    def __init__(self) -> None: ...

    async def check(self) -> None:
        raise StateUnusable("The disk is gone.")


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with opened(tmp_path) as state:
        yield state


async def test_every_path_answers(state: State) -> None:
    view = View()
    async with serving(make_api(state, view)) as client:
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
        for page in ("/", "/set-aside", "/login"):
            async with client.get(page) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")
    assert "fieldgate_receiver_records_total 30.0" in text
    assert 'fieldgate_receiver_gap_records{reason="full"} 6.0' in text
    assert 'fieldgate_receiver_gap_records{reason="other"} 2.0' in text
    assert 'fieldgate_receiver_sink_lag_seconds{sink="s"} 0.5' in text
    assert 'fieldgate_receiver_set_aside_total{reason="bad_magic"} 1.0' in text


async def test_a_state_file_that_cannot_be_read_makes_health_fail() -> None:
    async with serving(make_api(BrokenState(), View())) as client, client.get("/healthz") as answer:
        assert (answer.status, (await answer.json())["problems"]) == (503, ["The disk is gone."])


async def test_a_stranger_is_told_the_word_and_no_details() -> None:
    settings = Settings(bind=ANY_PORT, token_file=Path("tokens"))
    gate = Gate(Lists(api=settings, tokens=Tokens([Token(name="scrape", role="viewer", digest=digest("secret"))])))
    view = View()
    view.found.append("The link is offline.")
    async with serving(make_api(BrokenState(), view, settings=settings, gate=gate)) as client:
        for path, word in (("/healthz", "failing"), ("/readyz", "not ready")):
            async with client.get(path) as answer:
                assert (answer.status, await answer.json()) == (503, {"status": word})
        async with client.get("/metrics") as answer:
            assert answer.status == 401
        async with client.get("/readyz", headers={"Authorization": "Bearer secret"}) as answer:
            assert (await answer.json())["problems"] == ["The link is offline."]


async def test_a_port_that_is_taken_is_a_sentence(state: State) -> None:
    first = make_api(state, View())
    await first.start()
    try:
        with pytest.raises(AddressTaken, match=r"cannot listen on 127\.0\.0\.1:\d+: .* choose another address"):
            await make_api(state, View(), settings=Settings(bind=first.address)).start()
    finally:
        await first.close()


async def test_the_overview_has_gateways_with_their_streams_gaps_and_holes(state: State) -> None:
    async with serving(make_api(state, View())) as client, client.get("/api/v1/receiver") as answer:
        body = await answer.json()
    (gateway,) = body["gateways"]
    assert (gateway["gateway"], gateway["records"], gateway["duplicates"], gateway["missing"]) == ("edge-01", 30, 2, 4)
    assert gateway["lag_s"] == 0.5
    current, ended = gateway["streams"]
    assert (current["epoch"], current["is_current"], ended["epoch"]) == ("e1", True, "e0")
    assert current["holes"] == [{"first_seq": 20, "count": 4}]
    assert current["gaps"] == [{"first_seq": 1, "count": 8, "reason": "full"}]
    assert body["sinks"][0]["per_s"] == 0.0
    assert (body["set_aside"], body["link"]["state"]) == (0, "online")


async def test_frames_set_aside_are_listed_shown_exported_and_discarded(state: State) -> None:
    for number in range(3):
        aside = Aside(
            received_at_us=number, code="bad_magic", reason="No frame.", topic="t/<b>", data=b"\xff%d" % number
        )
        await state.settle([], [aside], {})
    async with serving(make_api(state, View())) as client:
        async with client.get("/api/v1/set-aside", params={"limit": "2"}) as answer:
            page = await answer.json()
        assert ([item["id"] for item in page["frames"]], page["total"], page["next_before"]) == ([3, 2], 3, 2)
        async with client.get("/api/v1/set-aside", params={"before": "2"}) as answer:
            assert [item["id"] for item in (await answer.json())["frames"]] == [1]
        async with client.get("/api/v1/set-aside/2") as answer:
            shown = await answer.json()
        assert (shown["head"], shown["explanation"], shown["topic"]) == ("ff31", "No frame.", "t/<b>")
        async with client.get("/api/v1/set-aside/2/export") as answer:
            assert (answer.content_type, await answer.read()) == ("application/octet-stream", b"\xff1")
            assert answer.headers["Content-Disposition"] == 'attachment; filename="set-aside-2.bin"'
        for path in ("/api/v1/set-aside/9", "/api/v1/set-aside/x", "/api/v1/set-aside/9/export"):
            async with client.get(path) as answer:
                assert answer.status == 404
        for body in ({}, {"ids": [1], "all": True}, {"ids": []}, {"ids": ["1"]}, {"all": False}):
            async with client.post("/api/v1/set-aside/discard", json=body) as answer:
                assert answer.status == 400, body
        async with client.post("/api/v1/set-aside/discard", json={"ids": [2]}) as answer:
            assert await answer.json() == {"frames": 1, "message": "1 was discarded."}
        async with client.post("/api/v1/set-aside/discard", json={"all": True}) as answer:
            assert (await answer.json())["frames"] == 2
        async with client.get("/api/v1/set-aside") as answer:
            assert (await answer.json())["total"] == 0


async def test_bytes_for_which_there_was_no_room_cannot_be_exported(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.receiver.aside_table.MAX_SET_ASIDE_BYTES", 1)
    await state.settle([], [Aside(received_at_us=1, code="c", reason="r", topic="t", data=b"long")], {})
    async with serving(make_api(state, View())) as client:
        async with client.get("/api/v1/set-aside/1") as answer:
            assert ((await answer.json())["is_kept"], answer.status) == (False, 200)
        async with client.get("/api/v1/set-aside/1/export") as answer:
            assert answer.status == 409
