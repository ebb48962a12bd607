"""POST /api/v1/configuration/reload at a receiver: who may, what is told of it, and what is written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.receiver.state import State
from bridge.web.audit import Audit
from bridge.web.gate import Gate
from config.errors import Problem as Mistake
from config.report import Applies, Change, Report
from config.settings import Api as Settings
from gateway.access.hashing import HashingPool
from gateway.access.web_users import web_users
from tests.support.receiver_api import ANY_PORT, make_api, opened, serving
from tests.support.web_house import OPERATOR_TOKEN, PASSWORDS, VIEWER_TOKEN, write_passwords, write_tokens


class View:
    """A receiver of which nothing is shown here."""

    def status(self) -> dict[str, Any]:
        return {}

    def problems(self) -> list[str]:
        return []


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with opened(tmp_path) as state:
        yield state


async def test_an_operator_has_the_file_read_again_and_is_told_what_came_of_it(state: State, tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens", {OPERATOR_TOKEN: "operator", VIEWER_TOKEN: "viewer"})
    settings = Settings(bind=ANY_PORT, token_file=tmp_path / "tokens")
    mistake = Mistake(file="receiver.yaml", line=7, column=3, key="log.level", message="expected debug")
    change = Change(key="log.level", before="info", after="debug", effect=Applies.LIVE)
    waits = Change(key="receiver.id", before="a", after="b", effect=Applies.RESTART, reason="it is made at the start")
    reports = [
        Report(
            changes=[change, waits], applied=["log.level"], waiting_for_restart=["receiver.id"], message="Reloaded."
        ),
        Report(problems=[mistake], message="Nothing was changed."),
    ]
    asked: list[str] = []
    audits: list[Audit] = []

    async def reload(by: str) -> Report:
        asked.append(by)
        return reports.pop(0)

    api = make_api(state, View(), settings=settings, reload=reload, on_audit=audits.append)
    async with serving(api) as client:

        async def posted(token: str | None, **headers: str) -> tuple[int, Any]:
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            async with client.post("/api/v1/configuration/reload", json={}, headers=headers) as answer:
                return answer.status, await answer.json()

        assert [(await posted(token))[0] for token in (None, VIEWER_TOKEN)] == [401, 403]
        assert (await posted(OPERATOR_TOKEN, Origin="https://elsewhere.example"))[0] == 403
        assert asked == []
        assert await posted(OPERATOR_TOKEN) == (
            200,
            {
                "is_valid": True,
                "problems": [],
                "changes": [
                    {"key": "log.level", "before": "info", "after": "debug", "effect": "live", "reason": ""},
                    {
                        "key": "receiver.id",
                        "before": "a",
                        "after": "b",
                        "effect": "restart",
                        "reason": "it is made at the start",
                    },
                ],
                "advice": [],
                "applied": ["log.level"],
                "waiting_for_restart": ["receiver.id"],
                "message": "Reloaded.",
            },
        )
        status, refused = await posted(OPERATOR_TOKEN)
    assert (status, refused["error"]["message"]) == (422, "Nothing was changed.")
    assert refused["error"]["problems"] == [
        {"file": "receiver.yaml", "line": 7, "key": "log.level", "message": "expected debug"}
    ]
    assert asked == ["operator", "operator"]
    assert [(audit.user, audit.action, audit.outcome) for audit in audits] == [
        ("viewer", "reload the configuration", "refused"),
        ("operator", "reload the configuration", "done"),
        ("operator", "reload the configuration", "refused"),
    ]


async def test_a_browser_needs_the_token_of_its_session_to_reload(state: State, tmp_path: Path) -> None:
    write_passwords(tmp_path / "passwords", {"anna": PASSWORDS["anna"]})
    settings = Settings(bind=ANY_PORT, password_file=tmp_path / "passwords", operators=("anna",))
    pool = HashingPool()
    try:
        gate = Gate.open(settings, open_verifier=web_users(pool))
        async with serving(make_api(state, View(), settings=settings, gate=gate)) as client:
            login = {"user": "anna", "password": PASSWORDS["anna"]}
            async with client.post("/api/v1/session", json=login) as answer:
                csrf = (await answer.json())["csrf_token"]
                name, morsel = next(iter(answer.cookies.items()))
            cookie = {"Cookie": f"{name}={morsel.value}"}
            for headers, status in ((cookie, 403), ({**cookie, "X-CSRF-Token": csrf}, 200)):
                async with client.post("/api/v1/configuration/reload", json={}, headers=headers) as answer:
                    assert answer.status == status
                    said = await answer.json()
            assert said["message"] == "anna had nothing read."
    finally:
        pool.close()
