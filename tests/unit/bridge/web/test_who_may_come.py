"""The rules of who may ask what, each over a real socket: without the rule its test fails."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.web.audit import MAX_VIEWERS, TOLD_OF_VIEWER, TOLD_WITHIN_S, Viewers
from bridge.web.gate import Gate
from bridge.web.logins import IDLE_S, LIFE_S
from bridge.web.routes import Call, Route
from bridge.web.tries import FREE_OF_BOTH
from config.settings import Api
from tests.support.web_house import (
    OPERATOR_TOKEN,
    PASSWORDS,
    VIEWER_TOKEN,
    house,
    write_passwords,
    write_tokens,
)

ACT = "/api/v1/thing/pump/act"
TOKENS = {OPERATOR_TOKEN: "operator", VIEWER_TOKEN: "viewer"}


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# ---- Nobody is asked who he is ------------------------------------------------------------------------------------


async def test_without_files_everybody_is_the_local_operator() -> None:
    async with house() as at:
        _, session = await at.ask("GET", "/api/v1/session")
        assert (session["user"], session["role"], session["is_login_needed"]) == ("local", "operator", False)
        _, body = await at.ask("POST", ACT, json={"a": 1})
        assert body == {"user": "local", "body": {"a": 1}, "path": {"name": "pump"}}
        assert await at.status("POST", "/api/v1/session", json={"user": "anna", "password": "x"}) == 409


# ---- Pages of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", ""])
@pytest.mark.parametrize("path", ["/", "/static/index.html", "/api/v1/thing", "/healthz"])
async def test_a_name_that_was_rebound_to_this_machine_is_not_answered(host: str, path: str) -> None:
    async with house() as at:
        response, body = await at.ask("GET", path, headers={"Host": host})
        assert response.status == 421
        assert "api.hosts" in body["error"]["message"]


async def test_names_of_the_settings_are_answered_and_new_ones_after_a_reload() -> None:
    async with house(hosts=("gateway.example",)) as at:
        assert await at.status("GET", "/api/v1/thing", headers={"Host": "gateway.example:8080"}) == 200
        assert await at.status("GET", "/api/v1/thing", headers={"Host": "new.example"}) == 421
        assert await at.reload(hosts=("new.example",)) == []
        assert await at.status("GET", "/api/v1/thing", headers={"Host": "new.example"}) == 200


async def test_the_hosts_own_name_is_answered() -> None:
    short = socket.gethostname().partition(".")[0]
    async with house() as at:
        for name in (socket.gethostname(), short, f"{short}.local:8080"):
            assert await at.status("GET", "/api/v1/thing", headers={"Host": name}) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize(("method", "path"), [("POST", ACT), ("GET", "/api/v1/thing"), ("DELETE", "/api/v1/session")])
async def test_a_page_of_another_origin_is_not_answered(origin: str, method: str, path: str) -> None:
    async with house() as at:
        headers = {"Origin": origin, "X-CSRF-Token": await at.csrf()}
        response, body = await at.ask(method, path, headers=headers, json={} if method == "POST" else None)
        assert (response.status, "another origin" in body["error"]["message"]) == (403, True)
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_browser_that_asks_for_a_page_elsewhere_is_not_answered_but_a_link_may_lead_here() -> None:
    async with house() as at:
        foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert await at.status("GET", "/api/v1/thing", headers=foreign) == 403
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert await at.status("GET", "/devices", headers=link) == 200


@pytest.mark.parametrize("name", ["Cookie", "Origin", "Sec-Fetch-Site"])
async def test_a_browser_that_acts_must_show_the_token_of_its_session(name: str) -> None:
    async with house() as at:
        browser = {name: {"Cookie": "a=b", "Origin": at.url, "Sec-Fetch-Site": "same-origin"}[name]}
        assert await at.status("POST", ACT, json={}, headers=browser) == 403
        assert await at.status("POST", ACT, json={}, headers={**browser, "X-CSRF-Token": "x"}) == 403
        assert await at.status("POST", ACT, json={}, headers={**browser, "X-CSRF-Token": "é"}) == 403
        right = {**browser, "X-CSRF-Token": await at.csrf()}
        assert await at.status("POST", ACT, json={}, headers=right) == 200


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json+x", ""],
)
async def test_what_a_form_elsewhere_can_send_is_refused(content_type: str) -> None:
    async with house() as at:
        response, body = await at.ask("POST", ACT, data=b'{"a": 1}', headers={"Content-Type": content_type})
        assert (response.status, "application/json" in body["error"]["message"]) == (415, True)


# ---- Who is it? ---------------------------------------------------------------------------------------------------


async def test_strangers_get_the_pages_and_the_open_routes_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, roles=TOKENS) as at:
        for path in ("/", "/login", "/devices/pump%2F1", "/static/index.html", "/healthz", "/api/v1/session"):
            assert await at.status("GET", path) == 200, path
        for path in ("/api/v1/thing", "/api/v1/thing/x", "/api/v1/openapi.json"):
            response, body = await at.ask("GET", path)
            assert response.status == 401, path
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert body["error"]["message"].startswith("Log in first")
        assert await at.status("POST", ACT, json={}) == 401


async def test_a_stranger_is_told_that_he_has_to_log_in_and_no_version(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        _, session = await at.ask("GET", "/api/v1/session")
        assert session.pop("csrf_token")
        assert session == {
            "user": None,
            "role": None,
            "is_login_needed": True,
            "program": "gateway",
            "name": "edge-01",
            "version": None,
        }


async def test_a_token_has_its_role(tmp_path: Path) -> None:
    async with house(tmp_path, roles=TOKENS) as at:
        _, body = await at.ask("GET", "/api/v1/thing", headers=bearer(VIEWER_TOKEN))
        assert (body["user"], body["role"]) == ("viewer", "viewer")
        assert await at.status("POST", ACT, json={}, headers=bearer(OPERATOR_TOKEN)) == 200
        response, body = await at.ask("POST", ACT, json={}, headers=bearer(VIEWER_TOKEN))
        assert (response.status, body["error"]["message"]) == (
            403,
            "viewer may look, and not act: that needs an operator.",
        )


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", f"Bearer {VIEWER_TOKEN}x", f"Basic {VIEWER_TOKEN}", "", "é"])
async def test_a_token_that_is_not_in_the_file_is_nobody(tmp_path: Path, header: str) -> None:
    async with house(tmp_path, roles=TOKENS) as at:
        assert await at.status("GET", "/api/v1/thing", headers={"Authorization": header}) == 401


async def test_a_wrong_token_is_not_saved_by_a_cookie_and_a_proxys_password_does_not_harm_it(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, roles=TOKENS) as at:
        session = await at.session_of("anna")
        assert await at.status("GET", "/api/v1/thing", headers={**session, **bearer("wrong")}) == 401
        assert await at.status("GET", "/api/v1/thing", headers={**session, "Authorization": "Basic eDp5"}) == 200


async def test_a_viewer_looks_and_an_operator_acts(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        viewer, operator = await at.session_of("otto"), await at.session_of("anna")
        _, body = await at.ask("GET", "/api/v1/thing", headers=viewer)
        assert (body["user"], body["role"]) == ("otto", "viewer")
        assert await at.status("POST", ACT, json={}, headers=viewer) == 403
        _, body = await at.ask("POST", ACT, json={}, headers=operator)
        assert body["user"] == "anna"


async def test_a_user_becomes_an_operator_at_a_reload_of_the_settings(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        session = await at.session_of("otto")
        assert await at.reload(operators=("otto",)) == []
        assert await at.status("POST", ACT, json={}, headers=session) == 200


# ---- The session --------------------------------------------------------------------------------------------------


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        response, body = await at.log_in("anna")
    (header,) = response.headers.getall("Set-Cookie")
    name, *attributes = [part.strip() for part in header.split(";")]
    assert name.startswith("fieldgate_session=")
    assert len(name.partition("=")[2]) == 64
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={LIFE_S:.0f}"}
    assert (body["user"], body["role"], body["is_login_needed"], body["version"]) == (
        "anna",
        "operator",
        False,
        "1.2.3",
    )
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("user", "password"), [("anna", "wrong"), ("nobody", "wrong"), ("otto", PASSWORDS["anna"])])
async def test_a_wrong_password_and_an_unknown_user_are_one_sentence(tmp_path: Path, user: str, password: str) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        response, body = await at.log_in(user, password)
        assert (response.status, body["error"]["message"]) == (401, "The user name or the password is wrong.")
        assert "Set-Cookie" not in response.headers
        assert at.gate.sessions == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "anna"},
        {"user": "anna", "password": 1},
        {"user": "", "password": "x"},
        {"user": "a" * 300, "password": "x"},
        {"user": "anna", "password": "x" * 5000},
        {"user": "anna", "password": "x", "role": "operator"},
    ],
)
async def test_a_login_of_another_shape_is_refused_before_it_is_a_try(tmp_path: Path, body: dict[str, Any]) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        for _ in range(FREE_OF_BOTH + 1):
            assert await at.status("POST", "/api/v1/session", json=body) == 400
        assert (await at.log_in("anna"))[0].status == 200


async def test_a_login_form_elsewhere_cannot_log_its_visitor_in(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        login = {"user": "anna", "password": PASSWORDS["anna"]}
        own = {"Origin": at.url}
        assert await at.status("POST", "/api/v1/session", json=login, headers=own) == 403
        foreign = {"Origin": "http://evil.example", "X-CSRF-Token": await at.csrf()}
        assert await at.status("POST", "/api/v1/session", json=login, headers=foreign) == 403
        right = {**own, "X-CSRF-Token": await at.csrf()}
        assert await at.status("POST", "/api/v1/session", json=login, headers=right) == 200


async def test_wrong_passwords_are_limited_and_then_not_even_looked_at(tmp_path: Path) -> None:
    clock = Clock()
    async with house(tmp_path, users=PASSWORDS, now_s=clock) as at:
        for _ in range(FREE_OF_BOTH):
            assert (await at.log_in("anna", "wrong"))[0].status == 401
        response, body = await at.log_in("anna")
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
        assert body["error"]["message"] == "Too many wrong passwords. Try again in 2 s."
        assert (await at.log_in("otto"))[0].status == 200
        clock.now_s += 2
        assert (await at.log_in("anna"))[0].status == 200


async def test_a_session_ends_at_logout_and_its_csrf_token_with_it(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        session = await at.session_of("anna")
        response, _ = await at.ask("DELETE", "/api/v1/session", headers=session)
        assert response.status == 204
        assert "Max-Age=0" in response.headers["Set-Cookie"]
        assert await at.status("GET", "/api/v1/thing", headers=session) == 401
        assert at.gate.sessions == 0
        assert await at.status("DELETE", "/api/v1/session") == 204


async def test_a_session_has_a_csrf_token_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        one, other = await at.session_of("anna"), await at.session_of("anna")
        mixed = {**one, "X-CSRF-Token": other["X-CSRF-Token"]}
        assert await at.status("POST", ACT, json={}, headers=mixed) == 403
        assert await at.status("POST", ACT, json={}, headers={**one, "X-CSRF-Token": await at.csrf()}) == 403
        assert await at.status("POST", ACT, json={}, headers=one) == 200


async def test_a_new_login_ends_the_session_that_was_there(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        session = await at.session_of("otto")
        login = {"user": "anna", "password": PASSWORDS["anna"]}
        assert await at.status("POST", "/api/v1/session", json=login, headers=session) == 200
        assert await at.status("GET", "/api/v1/thing", headers=session) == 401


@pytest.mark.parametrize("step_s", [IDLE_S, IDLE_S - 60])
async def test_a_session_expires(tmp_path: Path, step_s: float) -> None:
    clock = Clock()
    async with house(tmp_path, users=PASSWORDS, now_s=clock) as at:
        session = await at.session_of("anna")
        assert await at.status("GET", "/api/v1/thing", headers=session) == 200
        began_s = clock.now_s
        while clock.now_s - began_s <= LIFE_S:
            clock.now_s += step_s
            if await at.status("GET", "/api/v1/thing", headers=session) == 401:
                break
        else:
            pytest.fail("The session goes on for ever.")
        assert (clock.now_s - began_s == IDLE_S) is (step_s == IDLE_S)
        assert clock.now_s - began_s < LIFE_S + step_s


async def test_a_session_ends_when_the_user_leaves_the_file_or_has_another_password(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        anna, otto = await at.session_of("anna"), await at.session_of("otto")
        write_passwords(tmp_path / "passwords", {"otto": PASSWORDS["otto"]})
        assert await at.reload() == []
        assert await at.status("GET", "/api/v1/thing", headers=anna) == 401
        assert await at.status("GET", "/api/v1/thing", headers=otto) == 200
        write_passwords(tmp_path / "passwords", {"otto": "another", "anna": PASSWORDS["anna"]})
        assert await at.reload() == []
        assert await at.status("GET", "/api/v1/thing", headers=otto) == 401
        assert await at.status("GET", "/api/v1/thing", headers=anna) == 401
        assert at.gate.sessions == 0


async def test_broken_files_leave_the_old_in_force_and_are_named(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, roles=TOKENS) as at:
        session = await at.session_of("anna")
        (tmp_path / "passwords").write_text("anna\n")
        (tmp_path / "tokens").write_text("\nx:y\n")
        password_problem, token_problem = await at.reload()
        assert password_problem.startswith(f"{tmp_path / 'passwords'}:1: a line is a user name")
        assert token_problem.startswith(f"{tmp_path / 'tokens'}:2: a line is a name, a role")
        assert await at.status("GET", "/api/v1/thing", headers=session) == 200
        assert await at.status("GET", "/api/v1/thing", headers=bearer(VIEWER_TOKEN)) == 200
        write_tokens(tmp_path / "tokens", {VIEWER_TOKEN: "operator"})
        (problem,) = await at.reload()
        assert "passwords:1" in problem
        assert await at.status("POST", ACT, json={}, headers=bearer(VIEWER_TOKEN)) == 403  # all or nothing
        write_passwords(tmp_path / "passwords", PASSWORDS)
        assert await at.reload() == []
        assert await at.status("POST", ACT, json={}, headers=bearer(VIEWER_TOKEN)) == 200


def test_a_gate_needs_who_checks_the_passwords() -> None:
    with pytest.raises(ValueError, match="Passwords are checked where"):
        Gate.open(Api(password_file=Path("passwords")))


# ---- The audit ----------------------------------------------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    return [
        tuple(getattr(record, name) for name in ("user", "role", "address", "action", "target", "outcome"))
        for record in caplog.records
        if record.name == "fieldgate.audit"
    ]


async def test_every_action_is_in_the_audit_done_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fieldgate.audit")
    async with house(tmp_path, users=PASSWORDS, roles=TOKENS) as at:
        anna, otto = await at.session_of("anna"), await at.session_of("otto")
        await at.ask("POST", ACT, json={}, headers=anna)
        await at.ask("POST", ACT, json={}, headers=otto)
        await at.ask("POST", ACT, json={}, headers={**anna, "X-CSRF-Token": "x"})
        await at.ask("POST", ACT, json={})
        await at.log_in("anna", "wrong")
        await at.ask("DELETE", "/api/v1/session", headers=anna)
        await at.ask("GET", "/api/v1/thing", headers=otto)
        noted = at.audits
    here = "127.0.0.1"
    assert lines(caplog) == [
        ("anna", "operator", here, "log in", "anna", "done"),
        ("otto", "viewer", here, "log in", "otto", "done"),
        ("anna", "operator", here, "do the thing", "pump", "done"),
        ("otto", "viewer", here, "do the thing", "pump", "refused"),
        ("anna", "operator", here, "do the thing", "pump", "refused"),
        (None, None, here, "do the thing", "pump", "refused"),
        (None, None, here, "log in", "anna", "refused"),
        ("anna", "operator", here, "log out", "", "done"),
    ]
    # What strangers do is in the log, whose lines are limited, and not in the list of events, which they could fill.
    assert [audit.outcome for audit in noted] == ["done", "done", "done", "refused", "refused", "done"]
    assert noted[3].sentence.startswith("otto: do the thing: pump: refused: otto may look")
    assert "password" not in caplog.text.replace("The user name or the password is wrong", "")


async def test_who_may_only_look_cannot_push_what_operators_did_out_of_the_list_of_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fieldgate.audit")
    clock = Clock()
    async with house(tmp_path, users=PASSWORDS, roles=TOKENS, now_s=clock) as at:
        for number in range(3 * TOLD_OF_VIEWER):
            clock.now_s += 1
            assert await at.status("POST", ACT, json={}, headers=bearer(VIEWER_TOKEN)) == 403
            assert await at.status("DELETE", "/api/v1/session", headers=bearer(VIEWER_TOKEN)) == 204
            if number % TOLD_OF_VIEWER == 0:
                assert await at.status("POST", ACT, json={}, headers=bearer(OPERATOR_TOKEN)) == 200
        told = [audit.user for audit in at.audits]
        assert (told.count("viewer"), told.count("operator")) == (TOLD_OF_VIEWER, 3)
        clock.now_s += TOLD_WITHIN_S
        assert await at.status("POST", ACT, json={}, headers=bearer(VIEWER_TOKEN)) == 403
        assert len(at.audits) == len(told) + 1
    logged = [record for record in caplog.records if record.name == "fieldgate.audit"]
    assert len(logged) == 6 * TOLD_OF_VIEWER + 3 + 1
    # The others may be left out of the log, where there are too many of a kind; the next one says how many.
    assert sum(record.__dict__["always"] for record in logged) == len(told) + 1


def test_of_how_many_viewers_is_known_what_was_told_is_bounded() -> None:
    viewers = Viewers()
    assert all(viewers.admit(f"user {number}", 0.0) for number in range(2 * MAX_VIEWERS))
    assert len(viewers._told) == MAX_VIEWERS


async def test_an_action_that_a_page_elsewhere_tried_is_in_the_log_and_not_among_the_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house() as at:
        with caplog.at_level(logging.WARNING, "fieldgate.audit"):
            elsewhere = {"Origin": "http://evil.example"}
            assert await at.status("POST", "/api/v1/thing/pump/act", json={}, headers=elsewhere) == 403
            assert await at.status("POST", "/api/v1/thing/pump/act", json={}, headers={"Host": "evil.example"}) == 421
            assert await at.status("GET", "/api/v1/thing", headers=elsewhere) == 403
        assert at.audits == []
    found = [record.__dict__ for record in caplog.records if record.name == "fieldgate.audit"]
    assert [(one["user"], one["action"], one["target"], one["outcome"]) for one in found] == [
        (None, "do the thing", "pump", "refused")
    ] * 2


async def test_what_a_caller_wrote_cannot_break_a_line_of_the_audit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fieldgate.audit")
    async with house() as at:
        await at.ask("POST", "/api/v1/thing/" + "%1B%5B31m%0Aline" + "x" * 1000 + "/act", json={})
    (line,) = lines(caplog)
    assert line[4].startswith("\\x1b[31m\\nline")
    assert len(line[4]) < 250


async def test_an_action_that_the_programs_end_cut_off_is_in_the_audit() -> None:
    begun = asyncio.Event()

    async def slow(_call: Call) -> Any:
        begun.set()
        await asyncio.Event().wait()

    route = Route(method="POST", path="/api/v1/slow", handler=slow, role="operator", audit="be slow")
    async with house(routes=(route,)) as at:
        asking = asyncio.create_task(at.status("POST", "/api/v1/slow", json={}))
        await begun.wait()
        await at.server.close()
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert [(audit.action, audit.outcome) for audit in at.audits] == [("be slow", "failed")]
