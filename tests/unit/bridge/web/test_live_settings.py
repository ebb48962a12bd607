"""What a running HTTP interface follows: other files of who may come, another certificate, another address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.web import serving
from bridge.web.routes import Answer, Call, Route
from config.settings import Address, ApiTls
from tests.support.certificates import Authority, Pair
from tests.support.web_house import (
    ANY_PORT,
    OPERATOR_TOKEN,
    PASSWORDS,
    VIEWER_TOKEN,
    House,
    house,
    show,
    write_passwords,
    write_tokens,
)

TIMEOUT_S = 30
THING = "/api/v1/thing"
ACT = "/api/v1/thing/pump/act"
LIVE = Route(method="GET", path="/api/v1/live", handler=show, is_live=True)
STREAM = {"Accept": "text/event-stream"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def tls_of(pair: Pair) -> ApiTls:
    return ApiTls(cert_file=pair.cert_file, key_file=pair.key_file)


@contextlib.asynccontextmanager
async def looking(at: House, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A stream of which the first body has come."""
    async with asyncio.timeout(TIMEOUT_S), at.client.get(at.url + LIVE.path, headers={**STREAM, **headers}) as response:
        assert response.status == 200
        while b"event: body" not in await response.content.readline():
            pass
        yield response


async def ended(response: aiohttp.ClientResponse) -> None:
    with contextlib.suppress(aiohttp.ClientPayloadError):
        await response.content.read()


# ---- Who may come -------------------------------------------------------------------------------------------------


async def test_who_may_come_is_asked_from_the_moment_that_a_password_file_is_named(tmp_path: Path) -> None:
    write_passwords(tmp_path / "people", PASSWORDS)
    async with house(routes=(LIVE,)) as at:
        local = await at.csrf()
        async with looking(at) as stream:
            assert await at.reload(password_file=tmp_path / "people", operators=("anna",)) == []
            await ended(stream)
        assert await at.status("GET", LIVE.path) == 401
        assert await at.status("GET", LIVE.path, headers={"X-CSRF-Token": local}) == 401
        assert await at.status("GET", LIVE.path, headers=await at.session_of("anna")) == 200


async def test_without_the_file_nobody_has_to_log_in_and_old_sessions_are_gone_for_good(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS) as at:
        session = await at.session_of("anna")
        assert await at.reload(password_file=None, operators=()) == []
        assert await at.status("GET", THING) == 200
        assert at.gate.sessions == 0
        assert await at.reload(password_file=tmp_path / "passwords", operators=("anna",)) == []
        assert await at.status("GET", THING, headers=session) == 401


async def test_another_password_file_keeps_the_sessions_of_those_who_stand_in_it_unchanged(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, routes=(LIVE,)) as at:
        anna, otto = await at.session_of("anna"), await at.session_of("otto")
        write_passwords(tmp_path / "people", {"otto": PASSWORDS["otto"], "anna": "another"})
        async with looking(at, Cookie=anna["Cookie"]) as stream:
            assert await at.reload(password_file=tmp_path / "people") == []
            await ended(stream)
        assert await at.status("GET", LIVE.path, headers=otto) == 200
        assert await at.status("GET", LIVE.path, headers=anna) == 401


async def test_tokens_of_another_file_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    write_tokens(tmp_path / "more", {OPERATOR_TOKEN: "operator"})
    async with house(tmp_path, roles={VIEWER_TOKEN: "viewer"}, routes=(LIVE,)) as at:
        async with looking(at, **bearer(VIEWER_TOKEN)) as stream:
            assert await at.reload(token_file=tmp_path / "more") == []
            await ended(stream)
        assert await at.status("GET", LIVE.path, headers=bearer(VIEWER_TOKEN)) == 401
        assert await at.status("GET", LIVE.path, headers=bearer(OPERATOR_TOKEN)) == 200


async def test_a_file_that_is_bad_leaves_all_as_it_was(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, roles={VIEWER_TOKEN: "viewer"}) as at:
        session = await at.session_of("anna")
        (tmp_path / "bad").write_text("nonsense\n")
        (problem,) = await at.reload(password_file=tmp_path / "bad", hosts=("new.example",))
        assert problem.startswith(f"{tmp_path / 'bad'}:1: ")
        (problem,) = await at.reload(token_file=tmp_path / "none")
        assert "can't be read" in problem
        assert await at.status("GET", THING, headers=session) == 200
        assert await at.status("GET", THING, headers=bearer(VIEWER_TOKEN)) == 200
        assert await at.status("GET", THING, headers={**session, "Host": "new.example"}) == 421


async def test_who_loses_his_right_while_he_sends_does_not_act(tmp_path: Path) -> None:
    async with house(tmp_path, roles={OPERATOR_TOKEN: "operator"}) as at, asyncio.TaskGroup() as tasks:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            begun.set()
            await go_on.wait()
            yield b"}"

        headers = {**bearer(OPERATOR_TOKEN), "Content-Type": "application/json"}
        acting = tasks.create_task(at.status("POST", ACT, data=body(), headers=headers))
        await begun.wait()
        write_tokens(tmp_path / "tokens", {VIEWER_TOKEN: "viewer"})
        assert await at.reload() == []
        go_on.set()
        assert await acting == 401
        assert [audit.outcome for audit in at.audits] == ["refused"]


async def test_an_export_ends_when_its_reader_may_not_see_it_any_more(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await more.wait()
        yield b"second"

    async def export(_call: Call) -> Any:
        return Answer(body=chunks(), content_type="text/plain")

    route = Route(method="GET", path="/api/v1/export", handler=export)
    async with (
        house(tmp_path, roles={VIEWER_TOKEN: "viewer"}, routes=(route,)) as at,
        at.client.get(at.url + route.path, headers=bearer(VIEWER_TOKEN)) as response,
    ):
        assert await response.content.readany() == b"first"
        write_tokens(tmp_path / "tokens", {OPERATOR_TOKEN: "operator"})
        assert await at.reload() == []
        more.set()
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()


# ---- Certificates -------------------------------------------------------------------------------------------------


async def serial(at: House, authority: Authority) -> int:
    """That of the certificate which a handshake shows."""
    address = at.server.address
    _, writer = await asyncio.open_connection(
        address.host, address.port, ssl=authority.client_context(), server_hostname="localhost"
    )
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    await writer.wait_closed()
    return int(certificate["serialNumber"], 16)


async def test_tls_begins_at_the_same_address_and_who_came_in_the_clear_has_his_answer_and_goes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with house(routes=(LIVE,)) as at:
        before = at.server.address
        reader, writer = await asyncio.open_connection(before.host, before.port)
        async with looking(at) as stream:
            assert await at.reload(tls=tls_of(pair := authority.server())) == []
            await ended(stream)
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert at.server.address == before
        assert at.url.startswith("https://")
        assert await serial(at, authority) == pair.certificate.serial_number
        context = authority.client_context()
        response, _ = await at.ask("GET", "/api/v1/session", ssl=context)
        assert response.headers["Strict-Transport-Security"]
        assert await at.reload(tls=ApiTls()) == []
        assert await at.status("GET", LIVE.path) == 200


async def test_a_certificate_that_is_renewed_in_place_is_shown_to_the_next_and_nobody_is_cut_off(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    async with house(tls=tls_of(pair), connector=aiohttp.TCPConnector(ssl=authority.client_context())) as at:
        assert await at.status("GET", THING) == 200
        new = authority.server()  # of the same name: it replaces the files
        assert await at.reload() == []
        assert await serial(at, authority) == new.certificate.serial_number
        other = authority.server("other")
        new.key_file.write_bytes(other.key_file.read_bytes())  # half of a renewal
        (problem,) = await at.reload()
        assert "can't be used" in problem
        assert await serial(at, authority) == new.certificate.serial_number
        assert await at.reload(tls=tls_of(other)) == []
        assert await serial(at, authority) == other.certificate.serial_number


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_does_not_end_his_handshake_has_a_place_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.setattr(serving, "MAX_OF_ADDRESS", 2)
    authority = Authority(tmp_path)

    async def knock() -> None:
        async with house(tls=tls_of(authority.server())) as at:
            address = at.server.address
            silent = [await asyncio.open_connection(address.host, address.port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(address.host, address.port)
            async with asyncio.timeout(TIMEOUT_S):
                assert await reader.read() == b""
            for one in (writer, *(writer for _, writer in silent)):
                one.close()
                await one.wait_closed()
            async with asyncio.timeout(TIMEOUT_S):
                while True:  # who has gone counts no more
                    with contextlib.suppress(OSError):
                        assert await serial(at, authority)
                        break

    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(knock())


# ---- The address --------------------------------------------------------------------------------------------------


async def test_another_address_is_taken_and_the_old_one_left() -> None:
    release, begun = asyncio.Event(), asyncio.Event()

    async def slow(_call: Call) -> Any:
        begun.set()
        await release.wait()
        return {"is": "answered"}

    routes = (LIVE, Route(method="GET", path="/api/v1/slow", handler=slow, role="open"))
    # A group: a question that outlived its client would leave a socket to whatever runs next.
    async with house(routes=routes) as at, asyncio.TaskGroup() as tasks:
        old = at.server.address
        asking = tasks.create_task(at.ask("GET", "/api/v1/slow"))
        await begun.wait()
        async with looking(at) as stream:
            assert await at.reload(bind=Address(host="127.0.0.2", port=0)) == []
            release.set()
            assert (await asking)[1] == {"is": "answered"}
            await ended(stream)
        assert at.server.address.host == "127.0.0.2"
        assert await at.status("GET", LIVE.path) == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(old.host, old.port)


async def test_an_address_that_cannot_be_had_leaves_the_old_one_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with house() as at:
            bind = Address(host="127.0.0.1", port=taken.getsockname()[1])
            (problem,) = await at.reload(bind=bind)
            assert "in use" in problem
            (problem,) = await at.reload(bind=bind, token_file=tmp_path / "none")
            assert "can't be read" in problem
            assert await at.status("GET", THING) == 200


async def test_a_change_that_is_not_made_gives_its_address_back() -> None:
    async with house() as at:
        prepared = await at.server.prepare(at.api.__class__(bind=Address(host="127.0.0.2", port=0)))
        assert prepared.door is not None
        address = prepared.door.address
        prepared.discard()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address.host, address.port)
        await at.server.close()
        with pytest.raises(RuntimeError, match="is closed"):
            at.server.adopt(prepared)
    assert at.api.bind == ANY_PORT
