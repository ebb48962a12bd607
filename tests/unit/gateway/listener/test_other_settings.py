"""A listener is given other settings while somebody is on his way in, or is in: they hold for those who come."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as websocket

from config.settings import Address, ClientCertificate, ListenerTls, Transport
from tests.support.certificates import Authority
from tests.support.doors import (
    ACCEPTED,
    CONNECT_5,
    CONNECT_311,
    PUBACK,
    WITHIN_S,
    Door,
    exactly,
    hang_up,
    opened,
    rest,
    until,
)


def change(door: Door, **settings: Any) -> None:
    """As a reload of the configuration does it."""
    after = replace(door.listener.settings, **settings)
    door.listener.adopt(after, door.listener.prepare(after))


async def test_connack_tells_the_limits_that_the_connection_was_begun_with() -> None:
    async with opened(max_packet_size_bytes=1000, topic_alias_maximum=0) as door:
        reader, writer = await door.knock()
        await until(lambda: door.listener.connections == 1)
        change(door, max_packet_size_bytes=200_000, topic_alias_maximum=9)
        for packet_size_bytes, aliases in ((1000, b""), (200_000, b"\x22\x00\x09")):
            writer.write(CONNECT_5)
            head = await exactly(reader, 2)
            connack = await exactly(reader, head[1])
            assert b"\x27" + packet_size_bytes.to_bytes(4, "big") + aliases in connack
            assert (b"\x22" in connack) == bool(aliases)
            await hang_up(writer)
            reader, writer = await door.knock()
        await hang_up(writer)


async def test_a_lower_limit_for_packets_leaves_a_websocket_client_what_it_was_told() -> None:
    async with opened(transport=Transport.WS) as door:
        url = f"ws://127.0.0.1:{door.port}/mqtt"
        async with websocket(url, subprotocols=["mqtt"]) as client:  # type: ignore[list-item]
            await client.send(CONNECT_311)
            assert await client.recv() == ACCEPTED
            change(door, max_packet_size_bytes=1000)
            await client.send(b"\x32\xc6\x8d\x06\x00\x01t\x00\x01" + bytes(100_033))
            async with asyncio.timeout(WITHIN_S):
                assert await client.recv() == PUBACK


async def test_a_certificate_that_is_revoked_while_its_handshake_is_under_way_lets_nobody_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, pair = authority.server("server"), authority.client("client")
    tls = ListenerTls(
        cert_file=server.cert_file,
        key_file=server.key_file,
        ca_file=authority.ca_file,
        crl_file=authority.revoke(),
        client_certificate=ClientCertificate.REQUIRED,
    )
    async with opened(transport=Transport.TLS, tls=tls) as door:
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client_context(pair).wrap_bio(received, sent, server_hostname="localhost")
        reader, writer = await door.knock()
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(sent.read())
                async with asyncio.timeout(WITHIN_S):
                    received.write(await reader.read(65536))
        authority.revoke(pair)
        change(door)
        client.write(CONNECT_5)
        writer.write(sent.read())  # its last flight: the certificate, and CONNECT behind it
        await rest(reader)
        assert door.refused == {"certificate_revoked": 1}
        assert not door.entry.asked
        await hang_up(writer)


async def test_a_name_to_listen_on_that_takes_long_to_find_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, went_on = socket.getaddrinfo, threading.Event()

    def slow(host: Any, *args: Any, **more: Any) -> Any:
        if host == "localhost" and not went_on.wait(WITHIN_S):
            raise socket.gaierror(socket.EAI_AGAIN, "the event loop stood still")
        return found(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    opening = asyncio.create_task(_opened(Address(host="localhost", port=0)))
    await asyncio.sleep(0)
    went_on.set()
    assert await opening


async def _opened(bind: Address) -> bool:
    async with opened(bind=bind) as door:
        return door.listener.is_listening
