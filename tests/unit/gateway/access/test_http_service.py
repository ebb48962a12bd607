"""The HTTP service that is asked, with a real one on the other side."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from config.settings import HttpAuthentication
from gateway.access import http_service
from gateway.access.http_service import Answer, HttpService, ServiceBusy, ServiceUnavailable
from gateway.access.ports import Credentials
from tests.support.auth_service import AuthService, serving
from tests.support.tokens import ec_pair

WHO = Credentials(client_id="c1", username="sensor-1", password=b"geheim-1", address="10.0.0.7")


@pytest.fixture
async def service() -> AsyncIterator[AuthService]:
    async with serving() as service:
        yield service


@pytest.fixture
async def client(service: AuthService) -> AsyncIterator[HttpService]:
    client = make(service.url)
    yield client
    service.may_answer.set()
    await client.close()


def make(url: str, **more: Any) -> HttpService:
    return HttpService(HttpAuthentication(url=url, **more), key=bytes(32))


async def test_it_is_asked_in_json_and_believed(service: AuthService, client: HttpService) -> None:
    assert await client.ask(WHO, now_s=0.0) == Answer(allows=True)
    assert service.questions == [
        {"client_id": "c1", "username": "sensor-1", "password": "geheim-1", "address": "10.0.0.7"}
    ]
    assert service.headers[0]["Content-Type"] == "application/json"


async def test_what_is_not_given_is_null(service: AuthService, client: HttpService) -> None:
    await client.ask(Credentials(client_id="", username="u"), now_s=0.0)
    assert service.questions == [{"client_id": "", "username": "u", "password": None, "address": ""}]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"result": "allow"}, Answer(allows=True)),
        ({"result": "deny"}, Answer(allows=False)),
        ({"result": "allow", "expires_in": 30}, Answer(allows=True, valid_for_s=30.0)),
        ({"result": "allow", "expires_in": 0.5, "more": [1]}, Answer(allows=True, valid_for_s=0.5)),
        ({"result": "allow", "expires_in": None}, Answer(allows=True)),
    ],
)
async def test_an_answer_that_can_be_understood(
    service: AuthService, client: HttpService, said: dict[str, Any], answer: Answer
) -> None:
    service.answer = said
    assert await client.ask(WHO, now_s=0.0) == answer


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (200, b""),
        (200, b"allow"),
        (200, b"[]"),
        (200, b'"allow"'),
        (200, b'{"result": true}'),
        (200, b'{"result": ["allow"]}'),
        (200, b'{"result": "ALLOW"}'),
        (200, b'{"result": "allow", "expires_in": "soon"}'),
        (200, b'{"result": "allow", "expires_in": -1}'),
        (200, b'{"result": "allow", "expires_in": true}'),
        (200, b'{"result": "allow", "expires_in": 1e400}'),
        (200, b'{"result": "allow", "x": "' + b"x" * http_service.MAX_ANSWER_BYTES + b'"}'),
        (200, b"\x1f\x8b\x08\x00"),
        (201, b'{"result": "allow"}'),
        (204, b""),
        (401, b'{"result": "allow"}'),
        (500, b'{"result": "allow"}'),
    ],
)
async def test_any_other_answer_is_none(service: AuthService, client: HttpService, status: int, raw: bytes) -> None:
    service.status, service.raw = status, raw
    with pytest.raises(ServiceUnavailable):
        await client.ask(WHO, now_s=0.0)
    assert client.remembered(WHO, now_s=0.0) is None


async def test_a_redirect_is_not_followed(service: AuthService, client: HttpService) -> None:
    async with serving() as other:
        service.status, service.response_headers = 307, {"Location": other.url}
        with pytest.raises(ServiceUnavailable, match="status 307"):
            await client.ask(WHO, now_s=0.0)
        assert other.questions == []


async def test_a_compressed_answer_is_not_unpacked(service: AuthService, client: HttpService) -> None:
    service.response_headers = {"Content-Encoding": "deflate"}
    service.raw = b"\x78\x9c\x00"
    with pytest.raises(ServiceUnavailable):
        await client.ask(WHO, now_s=0.0)


async def test_a_service_that_does_not_answer_in_time_is_not_there(service: AuthService) -> None:
    client = make(service.url, timeout_s=0.05)
    service.may_answer.clear()
    with pytest.raises(ServiceUnavailable, match=r"no answer within 0\.05 s"):
        await client.ask(WHO, now_s=0.0)
    await client.close()


async def test_a_service_that_is_away_is_not_there_and_its_secret_is_not_told() -> None:
    client = make("http://user:pa55@127.0.0.1:1/auth?key=pa55#pa55")
    with pytest.raises(ServiceUnavailable) as caught:
        await client.ask(WHO, now_s=0.0)
    assert "http://127.0.0.1:1/auth can't be reached" in str(caught.value)
    assert "pa55" not in str(caught.value)
    await client.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with serving(tls=self_signed(tmp_path)) as service:
        client = make(service.url)
        with pytest.raises(ServiceUnavailable, match=r"(?i)certificate"):
            await client.ask(WHO, now_s=0.0)
        assert service.questions == []
        await client.close()


def self_signed(folder: Path) -> ssl.SSLContext:
    private = load_pem_private_key(ec_pair()[0], None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(private, hashes.SHA256())  # type: ignore[arg-type]
    )
    path = folder / "both.pem"
    path.write_bytes(ec_pair()[0] + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_password_that_is_no_text_is_denied_without_asking(service: AuthService, client: HttpService) -> None:
    assert await client.ask(dataclasses.replace(WHO, password=b"\xff"), now_s=0.0) == Answer(allows=False)
    assert service.questions == []


async def test_an_answer_is_kept_for_its_time(service: AuthService) -> None:
    client = make(service.url, cache_s=60.0)
    await client.ask(WHO, now_s=1000.0)
    assert client.remembered(WHO, now_s=1059.9) == Answer(allows=True)
    assert client.remembered(WHO, now_s=1060.0) is None
    await client.close()


async def test_an_answer_is_not_kept_longer_than_it_is_valid(service: AuthService, client: HttpService) -> None:
    service.answer = {"result": "allow", "expires_in": 10}
    await client.ask(WHO, now_s=1000.0)
    assert client.remembered(WHO, now_s=1004.0) == Answer(allows=True, valid_for_s=6.0)
    assert client.remembered(WHO, now_s=1010.0) is None


async def test_a_refusal_is_kept_for_a_short_time(service: AuthService, client: HttpService) -> None:
    service.answer = {"result": "deny"}
    await client.ask(WHO, now_s=1000.0)
    assert client.remembered(WHO, now_s=1000.0 + http_service.DENY_CACHE_S - 0.1) == Answer(allows=False)
    assert client.remembered(WHO, now_s=1000.0 + http_service.DENY_CACHE_S) is None


async def test_nothing_is_kept_where_the_cache_is_off(service: AuthService) -> None:
    client = make(service.url, cache_s=0.0)
    await client.ask(WHO, now_s=0.0)
    assert client.remembered(WHO, now_s=0.0) is None
    await client.close()


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "c2"},
        {"username": "sensor-2"},
        {"username": None},
        {"username": ""},
        {"password": b"geheim-2"},
        {"password": None},
        {"password": b""},
        {"address": "10.0.0.8"},
        {"client_id": "c", "username": "1sensor-1"},
    ],
)
async def test_an_answer_is_for_one_question_only(
    service: AuthService, client: HttpService, other: dict[str, Any]
) -> None:
    await client.ask(WHO, now_s=0.0)
    assert client.remembered(dataclasses.replace(WHO, **other), now_s=0.0) is None


async def test_a_question_may_hold_any_text_that_a_packet_may(service: AuthService, client: HttpService) -> None:
    who = Credentials(client_id="ü\u2028\U0001f600", username='"\\', password="\x01é".encode(), address="::1")
    assert await client.ask(who, now_s=0.0) == Answer(allows=True)
    assert service.questions[0]["client_id"] == who.client_id
    assert service.questions[0]["password"] == "\x01é"


async def test_what_is_kept_is_bounded(
    service: AuthService, client: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_service, "MAX_CACHED", 2)
    for number in range(3):
        await client.ask(dataclasses.replace(WHO, client_id=f"c{number}"), now_s=0.0)
    found = [client.remembered(dataclasses.replace(WHO, client_id=f"c{number}"), now_s=0.0) for number in range(3)]
    assert found == [None, Answer(allows=True), Answer(allows=True)]


async def test_only_so_many_are_asked_at_once_and_so_many_wait(
    service: AuthService, client: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_service, "MAX_WAITING", http_service.MAX_REQUESTS + 20)
    service.may_answer.clear()
    tasks = [
        asyncio.create_task(client.ask(dataclasses.replace(WHO, client_id=f"c{number}"), now_s=0.0))
        for number in range(http_service.MAX_REQUESTS + 20)
    ]
    await asyncio.wait_for(service.asked.wait(), 10)
    with pytest.raises(ServiceBusy):
        await client.ask(WHO, now_s=0.0)
    service.may_answer.set()
    assert await asyncio.gather(*tasks) == [Answer(allows=True)] * len(tasks)
    assert 1 <= service.most_at_once <= http_service.MAX_REQUESTS
    assert await client.ask(WHO, now_s=0.0) == Answer(allows=True)


async def test_no_password_is_logged(
    service: AuthService, client: HttpService, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await client.ask(WHO, now_s=0.0)
        service.status = 500
        with pytest.raises(ServiceUnavailable) as caught:
            await client.ask(WHO, now_s=0.0)
    assert "geheim" not in caplog.text
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(WHO)


async def test_closing_twice_is_harmless_and_nothing_is_asked_afterwards(
    service: AuthService, client: HttpService
) -> None:
    await client.ask(WHO, now_s=0.0)
    await client.close()
    await client.close()
    with pytest.raises(ServiceUnavailable, match="is not asked any more"):
        await client.ask(dataclasses.replace(WHO, client_id="c2"), now_s=0.0)
    assert len(service.questions) == 1


async def test_those_who_wait_for_their_turn_while_it_is_closed_open_nothing_anew(
    service: AuthService, client: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_service, "MAX_REQUESTS", 1)
    client = make(service.url)
    service.may_answer.clear()
    asking = [
        asyncio.create_task(client.ask(dataclasses.replace(WHO, client_id=name), now_s=0.0)) for name in ("a", "b")
    ]
    await service.asked.wait()
    await client.close()
    service.may_answer.set()
    results = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)
    assert [type(result) for result in results] == [ServiceUnavailable, ServiceUnavailable]
    assert len(service.questions) == 1
    assert client._session is None
