"""Every way in, over real sockets: IPv4, IPv6, Unix, TLS, WebSocket, behind a load balancer; on both event loops."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import stat
from collections.abc import Callable, Coroutine
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect as websocket

from config.settings import Address, ClientCertificate, ListenerTls, ProxyProtocol, Transport, UnixPath, UsernameFrom
from gateway.access.ports import Credentials
from gateway.listener.errors import ListenerError
from gateway.listener.partials import Partials
from gateway.listener.tls import HANDSHAKE_BYTES
from tests.support.certificates import Authority
from tests.support.doors import (
    ACCEPTED,
    CONNECT_5,
    CONNECT_311,
    PING,
    PONG,
    PUBACK,
    PUBLISH,
    Door,
    exactly,
    hang_up,
    opened,
    rest,
    until,
)

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
HEADER = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f"
    + bytes([198, 51, 100, 7, 127, 0, 0, 1])
    + (50000).to_bytes(2, "big")
    + (1883).to_bytes(2, "big")
    + b"\x04\x00\x00"
)


def on(new_loop: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def server_tls(authority: Authority, **more: Any) -> ListenerTls:
    pair = authority.server("server")
    return ListenerTls(cert_file=pair.cert_file, key_file=pair.key_file, **more)


async def _conversation(door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """CONNECT, SUBSCRIBE, a large publish and its copy, DISCONNECT; sent in pieces that end anywhere."""
    big = b"\x32\xc6\x8d\x06\x00\x01t\x00\x01" + bytes(100_033)
    sent = CONNECT_311 + b"\x82\x06\x00\x05\x00\x01t\x01"
    for at in range(0, len(sent), 3):
        writer.write(sent[at : at + 3])
        await writer.drain()
    assert await exactly(reader, 9) == ACCEPTED + b"\x90\x03\x00\x05\x01"
    writer.write(big)
    received = await exactly(reader, len(big) + 4)
    assert received in {PUBACK + big, big + PUBACK}
    assert len(door.store.stored) == 1
    assert door.listener.connections == 1
    writer.write(PUBACK + b"\xe0\x00")
    assert await rest(reader) == b""
    await hang_up(writer)
    await until(lambda: door.listener.connections == 0)


# ---- sockets ------------------------------------------------------------------------------------------------------


async def _both_versions() -> None:
    async with opened(bind=Address(host="::", port=0)) as door:
        for host in ("127.0.0.1", "::1"):
            await _conversation(door, *await door.knock(host=host))
            door.store.stored.clear()
        assert [shown.address for shown in door.entry.asked] == ["127.0.0.1", "::1"]
        assert not door.entry.asked[0].is_local


@pytest.mark.parametrize("new_loop", LOOPS)
def test_the_address_of_everywhere_takes_ip_4_and_ip_6(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    on(new_loop, _both_versions())


async def test_a_name_is_bound_on_all_its_addresses_with_one_port() -> None:
    async with opened(bind=Address(host="localhost", port=0)) as door:
        _, writer = await door.connected(host="127.0.0.1")
        assert door.entry.asked[0].is_local
        await hang_up(writer)


async def _unix(path: Path) -> None:
    async with opened(bind=UnixPath(path=path)) as door:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660  # noqa: PTH116 - a moment, in a test
        await _conversation(door, *await door.knock())
        assert door.entry.asked == [Credentials(client_id="a", is_local=True)]
        assert str(door.listener.address) == f"unix:{path}"


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_unix_socket_is_for_its_owner_and_group_and_gone_afterwards(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    old = os.umask(0)
    try:
        on(new_loop, _unix(tmp_path / "mqtt.sock"))
        assert not (tmp_path / "mqtt.sock").exists()
    finally:
        os.umask(old)


async def test_the_socket_file_of_a_dead_process_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with opened(bind=UnixPath(path=path)) as door:
        other = Door(name="second", bind=UnixPath(path=path))
        with pytest.raises(
            ListenerError, match="another process listens there already; stop it, or choose another path"
        ):
            await other.listener.start()
        await other.listener.close()
        _, writer = await door.connected()
        await hang_up(writer)


async def test_at_the_end_only_the_listeners_own_socket_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    async with opened(bind=UnixPath(path=path)):
        path.rename(tmp_path / "moved")
        path.touch()
    assert path.exists()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda folder: folder.joinpath("mqtt.sock").touch(), "a file that is no socket"),
        (lambda folder: folder.rmdir(), "its folder is not there"),
    ],
)
async def test_a_path_that_cannot_be_a_socket_is_told_in_a_sentence(
    made: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    made(folder)
    door = Door(bind=UnixPath(path=folder / "mqtt.sock"))
    with pytest.raises(ListenerError, match=words):
        await door.listener.start()


async def test_a_path_that_is_too_long_is_told_in_a_sentence(tmp_path: Path) -> None:
    door = Door(bind=UnixPath(path=tmp_path / ("x" * 120)))
    with pytest.raises(ListenerError, match="too long for a socket"):
        await door.listener.start()


# ---- TLS ----------------------------------------------------------------------------------------------------------


async def _over_tls(authority: Authority) -> None:
    async with opened(transport=Transport.TLS, tls=server_tls(authority)) as door:
        await _conversation(door, *await door.knock(tls=authority.client_context()))
        expires_at = door.listener.certificate_expires_at
        assert expires_at is not None


@pytest.mark.parametrize("new_loop", LOOPS)
def test_mqtt_goes_over_tls(new_loop: Callable[[], asyncio.AbstractEventLoop], authority: Authority) -> None:
    on(new_loop, _over_tls(authority))


async def _behind_a_balancer(authority: Authority) -> None:
    async with opened(transport=Transport.TLS, tls=server_tls(authority), proxy_protocol=ProxyProtocol.V2) as door:
        reader, writer = await door.knock()
        writer.write(HEADER)
        await writer.start_tls(authority.client_context(), server_hostname="localhost")
        await _conversation(door, reader, writer)
        assert door.entry.asked[0].address == "198.51.100.7"
        assert not door.entry.asked[0].is_local


@pytest.mark.parametrize("new_loop", LOOPS)
def test_behind_a_load_balancer_the_header_comes_before_tls(
    new_loop: Callable[[], asyncio.AbstractEventLoop], authority: Authority
) -> None:
    on(new_loop, _behind_a_balancer(authority))


@pytest.mark.parametrize("username_from", [UsernameFrom.COMMON_NAME, UsernameFrom.SUBJECT_ALT_NAME])
async def test_a_client_is_known_by_its_certificate(username_from: UsernameFrom, authority: Authority) -> None:
    tls = server_tls(
        authority,
        ca_file=authority.ca_file,
        client_certificate=ClientCertificate.REQUIRED,
        username_from=username_from,
    )
    async with opened(transport=Transport.TLS, tls=tls) as door:
        _, writer = await door.connected(tls=authority.client_context(authority.client("pump-7")))
        names = {UsernameFrom.COMMON_NAME: "pump-7", UsernameFrom.SUBJECT_ALT_NAME: "pump-7"}
        assert door.entry.asked[0].certificate_username == names[username_from]
        await hang_up(writer)


async def test_a_client_without_a_certificate_comes_in_only_where_it_is_optional(authority: Authority) -> None:
    for kind, refused in ((ClientCertificate.OPTIONAL, {}), (ClientCertificate.REQUIRED, {"tls_handshake": 1})):
        tls = server_tls(
            authority, ca_file=authority.ca_file, client_certificate=kind, username_from=UsernameFrom.COMMON_NAME
        )
        async with opened(transport=Transport.TLS, tls=tls) as door:
            reader, writer = await door.knock(tls=authority.client_context())
            writer.write(CONNECT_311)
            if refused:
                with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
                    await exactly(reader, 4)
            else:
                assert await exactly(reader, 4) == ACCEPTED
                assert door.entry.asked[0].certificate_username is None
            await hang_up(writer)
            assert door.refused == refused


async def test_a_revoked_certificate_and_one_of_a_stranger_are_refused(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    good, revoked = authority.client("good"), authority.client("revoked")
    stranger = Authority(tmp_path, "stranger").client("good")
    tls = server_tls(
        authority,
        ca_file=authority.ca_file,
        crl_file=authority.revoke(revoked),
        client_certificate=ClientCertificate.REQUIRED,
    )
    async with opened(transport=Transport.TLS, tls=tls) as door:
        _, writer = await door.connected(tls=authority.client_context(good))
        await hang_up(writer)
        for number, bad in enumerate((revoked, stranger), 1):
            reader, writer = await door.knock(tls=authority.client_context(bad))
            with pytest.raises(ssl.SSLError):
                await exactly(reader, 1)
            await hang_up(writer)
            assert door.refused == {"tls_handshake": number}
    assert "certificate is not believed (certificate revoked)" in caplog.text
    assert "Traceback" not in caplog.text


async def test_what_is_no_tls_is_refused_in_one_line_and_counted(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with opened(transport=Transport.TLS, tls=server_tls(authority)) as door:
        for words in (b"GET / HTTP/1.1\r\n\r\n", CONNECT_311, b"\x16\x03\x01\x02\x00" + bytes(512)):
            reader, writer = await door.knock()
            writer.write(words)
            await rest(reader)
            await hang_up(writer)
        assert door.refused == {"tls_handshake": 3}
        assert door.entry.asked == []
    assert "TLS could not be agreed upon: http request." in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_time_for_connect_is_that_for_the_handshake_too(authority: Authority) -> None:
    async with opened(transport=Transport.TLS, tls=server_tls(authority), connect_timeout_s=1.0) as door:
        reader, writer = await door.knock()
        writer.write(b"\x16\x03\x01")
        assert await rest(reader) == b""
        assert door.refused == {"connect_timeout": 1}
        await hang_up(writer)
        reader, writer = await door.knock(tls=authority.client_context())
        assert await rest(reader) == b""
        assert door.refused == {"connect_timeout": 2}
        await hang_up(writer)


@pytest.mark.parametrize(
    ("settings", "beginning", "more"),
    [
        ({"transport": Transport.TLS}, b"\x16\x03\x01", b"\x02\x00" + bytes(512)),
        ({"transport": Transport.WS}, b"GET /mqtt", b" nonsense\r\n\r\n"),
        ({"proxy_protocol": ProxyProtocol.V2}, HEADER[:12], b"nonsense" * 10),
        ({"proxy_protocol": ProxyProtocol.V2}, HEADER[:20], HEADER[20:] + CONNECT_311),
    ],
)
async def test_what_comes_after_the_time_for_connect_is_neither_done_nor_counted(
    settings: dict[str, Any], beginning: bytes, more: bytes, authority: Authority
) -> None:
    async with opened(tls=server_tls(authority), connect_timeout_s=0.1, **settings) as door:
        reader, writer = await door.knock()
        writer.write(beginning)
        assert await rest(reader) == b""
        writer.write(more)
        await hang_up(writer)
        await until(lambda: door.listener.connections == 0)
        assert door.refused == {"connect_timeout": 1}
        assert door.entry.asked == []


async def test_a_clienthello_that_says_it_is_huge_takes_no_memory(authority: Authority) -> None:
    async with opened(transport=Transport.TLS, tls=server_tls(authority)) as door:
        reader, writer = await door.knock()
        writer.write(b"\x16\x03\x01\x00\x20\x01\x01\xff\xf0\x03\x03" + bytes(26))
        assert await rest(reader) == b""
        assert door.refused == {"tls_handshake": 1}
        await hang_up(writer)


async def test_handshakes_that_are_under_way_count_among_half_received_packets(authority: Authority) -> None:
    """Over the bound those that began first are closed."""
    partials = Partials(3 * HANDSHAKE_BYTES)
    async with opened(transport=Transport.TLS, tls=server_tls(authority), partials=partials) as door:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        waiting = []
        for number in range(1, 5):
            reader, writer = await door.knock()
            waiting.append((reader, writer))
            writer.write(hello)
            assert await exactly(reader, 1)
            assert partials.total_bytes == min(number, 3) * HANDSHAKE_BYTES
        await rest(waiting[0][0])
        assert door.refused == {"quota_exceeded": 1}
        _, writer = await door.connected(tls=authority.client_context())
        assert partials.total_bytes == 2 * HANDSHAKE_BYTES
        for _, each in (*waiting, (None, writer)):
            await hang_up(each)
        await until(lambda: door.listener.connections == 0)
        assert partials.total_bytes == 0


async def test_bytes_that_are_cut_anywhere_are_put_together_before_and_after_the_handshake(
    authority: Authority,
) -> None:
    async with opened(transport=Transport.TLS, tls=server_tls(authority)) as door:
        reader, writer = await door.knock()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")

        async def send() -> None:
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await writer.drain()

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await send()
                incoming.write(await asyncio.wait_for(reader.read(100), 5))
        tls.write(CONNECT_311)
        tls.write(PUBLISH + PING)
        await send()
        received = b""
        while len(received) < 10:
            try:
                received += tls.read(100)
            except ssl.SSLWantReadError:
                incoming.write(await asyncio.wait_for(reader.read(7), 5))
        assert received in {ACCEPTED + PUBACK + PONG, ACCEPTED + PONG + PUBACK}
        writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that nobody can have encrypted
        await rest(reader)
        assert dict(door.broker.counters.disconnects) == {"tls": 1}
        await hang_up(writer)


# ---- PROXY ----------------------------------------------------------------------------------------------------------


async def _cut_anywhere() -> None:
    async with opened(proxy_protocol=ProxyProtocol.V2) as door:
        sent = HEADER + CONNECT_311 + PUBLISH + PING
        for step in (1, 7, len(HEADER), len(HEADER) + 3, len(sent)):
            reader, writer = await door.knock()
            for at in range(0, len(sent), step):
                writer.write(sent[at : at + step])
                await writer.drain()
                await asyncio.sleep(0)
            received = await exactly(reader, 10)
            assert received in {ACCEPTED + PUBACK + PONG, ACCEPTED + PONG + PUBACK}
            await hang_up(writer)
        assert {(shown.address, shown.is_local) for shown in door.entry.asked} == {("198.51.100.7", False)}


@pytest.mark.parametrize("new_loop", LOOPS)
def test_the_peer_is_the_one_behind_the_balancer_however_the_header_is_cut(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    on(new_loop, _cut_anywhere())


async def test_a_connection_without_the_header_is_closed() -> None:
    async with opened(proxy_protocol=ProxyProtocol.V2, connect_timeout_s=0.1) as door:
        reader, writer = await door.knock()
        writer.write(CONNECT_311)
        assert await rest(reader) == b""
        assert door.refused == {"proxy_header": 1}
        await hang_up(writer)
        reader, writer = await door.knock()
        writer.write(HEADER[:20])
        assert await rest(reader) == b""
        assert door.refused == {"proxy_header": 1, "connect_timeout": 1}
        await hang_up(writer)


async def test_connections_are_counted_for_the_address_behind_the_balancer() -> None:
    async with opened(proxy_protocol=ProxyProtocol.V2, max_connections_per_address=1) as door:
        _, first = await door.knock()
        first.write(HEADER + CONNECT_311)
        await until(lambda: len(door.entry.asked) == 1)
        reader, second = await door.knock()
        second.write(HEADER + CONNECT_311)
        assert await rest(reader) == b""
        assert door.refused == {"max_connections_per_address": 1}
        other, third = await door.knock()
        third.write(HEADER.replace(bytes([198, 51, 100, 7]), bytes([198, 51, 100, 8])) + CONNECT_5)
        assert (await exactly(other, 2))[0] == 0x20
        for writer in (first, second, third):
            await hang_up(writer)
        await until(lambda: door.listener.connections == 0)
        assert not door.listener._guests._at_address


# ---- secure WebSocket -----------------------------------------------------------------------------------------------


async def _secure_websocket(authority: Authority) -> None:
    async with opened(transport=Transport.WSS, tls=server_tls(authority), proxy_protocol=ProxyProtocol.V2) as door:
        sock = socket.create_connection(("127.0.0.1", door.port))
        sock.sendall(HEADER)
        async with websocket(
            "wss://localhost/mqtt",
            sock=sock,
            ssl=authority.client_context(),
            subprotocols=["mqtt"],  # type: ignore[list-item]
        ) as client:
            await client.send(CONNECT_311 + PING)
            assert await client.recv() == ACCEPTED
            assert await client.recv() == PONG
            assert door.entry.asked[0].address == "198.51.100.7"


@pytest.mark.parametrize("new_loop", LOOPS)
def test_websocket_in_tls_behind_a_load_balancer(
    new_loop: Callable[[], asyncio.AbstractEventLoop], authority: Authority
) -> None:
    on(new_loop, _secure_websocket(authority))


async def test_only_the_named_load_balancers_may_connect(caplog: pytest.LogCaptureFixture) -> None:
    others = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    async with opened(proxy_protocol=ProxyProtocol.V2, proxy_addresses=others) as door:
        reader, writer = await door.knock()
        assert await rest(reader) == b""
        await hang_up(writer)
        assert door.refused == {"proxy_address": 1}
        assert "not one of those that `proxy_addresses` names" in caplog.text
        assert door.listener.connections == 0
    async with opened(proxy_protocol=ProxyProtocol.V2, proxy_addresses=(*others, ip_network("127.0.0.1"))) as door:
        reader, writer = await door.knock()
        writer.write(HEADER + CONNECT_311)
        assert await exactly(reader, 4) == ACCEPTED
        await hang_up(writer)
