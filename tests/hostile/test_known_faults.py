"""What brokers have fallen over before, one test for each class of it, over the socket against the real process.

What is the codec's alone (lengths, identifiers, text) stands as tables in tests/unit/gateway/mqtt.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.conftest import Victim
from tests.support import wire
from tests.support.hammer import Hammer
from tests.support.honest import prove_alive
from tests.support.mutation import Session
from tests.support.passwords import write_lines, write_users
from tests.support.raw_client import RawClient
from tests.support.site import until
from tests.support.vitals import MB
from tests.support.wire import V5, V31, V311, websocket_frame

pytestmark = pytest.mark.slow

QUOTA_EXCEEDED = 0x97
NOT_AUTHORIZED = 0x87


async def sent_by_many(victim: Victim, datas: list[bytes], *, at_once: int = 100) -> None:
    """Each on a connection of its own; whatever is answered."""
    sessions = (Session(number=n, chunks=(data,), mutated=1, resets=False) for n, data in enumerate(datas))
    hammer = Hammer(victim.port)
    try:
        await asyncio.to_thread(hammer.run, sessions, mutated=len(datas), at_once=at_once)
    finally:
        hammer.close()


async def answered_soon(victim: Victim, within_s: float = 10.0) -> None:
    """An honest client gets what it wants while the other things go on."""
    async with asyncio.timeout(within_s):
        await prove_alive(victim.port)


# ---- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["before CONNECT", "PUBLISH", "SUBSCRIBE"])
async def test_a_declared_length_takes_no_memory_before_the_body_came(victim: Victim, kind: str) -> None:
    huge = b"\xff\xff\xff\x7f"
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(victim.port)) for _ in range(200)]
        for number, client in enumerate(clients):
            if kind == "before CONNECT":
                client.send(b"\x10" + huge + b"\x00\x04MQTT")
                continue
            assert await client.connect(f"huge-{number}") == 0
            client.send({"PUBLISH": b"\x30" + huge + b"\x00\x01a", "SUBSCRIBE": b"\x82" + huge + b"\x00\x01"}[kind])
        await asyncio.gather(*(client.closed() for client in clients))
        assert victim.grown <= 15 * MB
    await victim.unharmed(room=15 * MB)


async def test_packets_that_never_become_whole_are_bounded_for_all_together(victim: Victim) -> None:
    head = wire.publish("a", bytes(2_000_000))[:1_500_000]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(victim.port)) for _ in range(200)]
        for number, client in enumerate(clients):
            with contextlib.suppress(ConnectionError):
                assert await client.connect(f"part-{number}") == 0
                client.send(head)
                await client.flush()
        await answered_soon(victim)
        assert victim.grown <= 130 * MB  # 300 MB were sent
    await victim.unharmed(room=130 * MB)


@pytest.mark.parametrize("version", [V31, V311, V5])
async def test_ten_thousand_failing_connects_with_large_wills_leave_nothing(
    make_victim: Callable[..., Any], tmp_path: Path, version: int
) -> None:
    users = write_users(tmp_path / "users", {"alice": "secret"})
    victim = await make_victim(access=[{"name": "default", "password_file": str(users)}])
    will = bytes(50_000)
    wrong = [
        wire.connect(f"will-{n}", version=version, will=("wills/x", will), **more)
        for n, more in enumerate(
            [{}, {"username": "nobody"}, {"username": "bob", "password": b"x" * 1000}, {"clean": False}] * 500
        )
    ]
    broken = [
        # The will is read before what is wrong behind it.
        wire.packet(0x10, data[2 if data[1] < 128 else 3 if data[2] < 128 else 4 :], b"\x00")
        for data in wrong[:1000]
    ]
    invalid = [wire.connect(f"w-{n}", version=version, will=("wills/#", will)) for n in range(1000)]
    await sent_by_many(victim, wrong[:400] + broken[:200] + invalid[:200])
    await victim.until_empty()
    victim.note()
    await sent_by_many(victim, (wrong + broken + invalid) * 2 + wrong)
    await victim.unharmed(room=10 * MB, name="nobody is let in here without a password")


async def test_qos_2_publishes_that_are_never_released_are_bounded(victim: Victim) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            client = await stack.enter_async_context(RawClient(victim.port))
            assert await client.connect(f"unreleased-{number}") == 0
            for first in range(1, 60_001, 5000):
                ids = range(first, first + 5000)
                client.send(b"".join(wire.publish("unreleased", b"", qos=2, packet_id=n) for n in ids))
                with contextlib.suppress(ConnectionError):
                    await client.flush()
        await until(lambda: victim.gateway.stream()["records"] >= 20 * 1024, "they are taken, as many as may be")
        await answered_soon(victim, 20.0)
        assert victim.grown <= 150 * MB  # 1.2 million were sent
    await victim.unharmed(room=150 * MB)


async def test_a_client_of_mqtt_5_that_publishes_past_its_receive_maximum_is_told_so(victim: Victim) -> None:
    async with RawClient(victim.port, version=V5) as client:
        assert await client.connect("greedy") == 0
        ids = range(1, 1200)
        client.send(b"".join(wire.publish("unreleased", b"", version=V5, qos=2, packet_id=n) for n in ids))
        packets = await client.closed()
        assert (packets[-1].kind, packets[-1].body[:1]) == (14, b"\x93")
    await victim.unharmed(room=20 * MB)


async def test_a_flood_of_retained_topics_stays_within_its_bound(make_victim: Callable[..., Any]) -> None:
    victim = await make_victim(retained={"max_messages": 5000, "max_bytes": "4MiB"})
    async with RawClient(victim.port, version=V5) as client:
        assert await client.connect("collector") == 0
        for first in range(0, 100_000, 1000):
            client.send(
                b"".join(
                    wire.publish(f"flood/{n}", bytes(100), version=V5, qos=1, packet_id=n % 1000 + 1, retain=True)
                    for n in range(first, first + 1000)
                )
            )
            for _ in range(1000):
                await client.until(4)
    assert victim.gateway.status()["broker"]["retained_messages"] <= 5000
    async with RawClient(victim.port) as client:
        assert await client.connect("reader") == 0
        assert await client.subscribe(("flood/#", 0)) == [0]
        assert (await client.until(3)).payload == bytes(100)
    await victim.unharmed(room=60 * MB)


async def test_a_flood_of_subscriptions_stays_within_its_bound(victim: Victim) -> None:
    granted = 0
    async with contextlib.AsyncExitStack() as stack:
        for number in range(5):
            client = await stack.enter_async_context(RawClient(victim.port, version=V5))
            assert await client.connect(f"flood-{number}") == 0
            for first in range(0, 20_000, 2000):
                codes = await client.subscribe(*((f"+/{number}/{n}/#", 1) for n in range(first, first + 2000)))
                granted += sum(code < 0x80 for code in codes)
                assert set(codes) <= {1, QUOTA_EXCEEDED}
        assert granted <= 5 * 10_000
        await answered_soon(victim)
        assert victim.grown <= 120 * MB
    await victim.unharmed(room=120 * MB)


# ---- packets that were too much -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V31, V311, V5])
async def test_a_first_packet_that_is_no_connect_ends_the_connection_without_an_effect(
    victim: Victim, version: int
) -> None:
    first = [
        wire.publish("ghost/x", b"boo", version=version, retain=True),
        wire.publish("ghost/x", b"boo", version=version, qos=2),
        *(wire.answer(head, 1, version=version) for head in (0x40, 0x50, 0x62, 0x70)),
        wire.subscribe(("#", 0), version=version),
        wire.unsubscribe("#", version=version),
        wire.PINGREQ,
        wire.DISCONNECT,
        wire.auth(),
        b"\x20\x02\x00\x00",
        b"\x90\x03\x00\x01\x00",
        b"\x00\x00",
    ]
    for data in first:
        async with RawClient(victim.port) as client:
            client.send(data + wire.connect("ghost", version=version))
            assert await client.closed() == [], data
    assert victim.gateway.stream()["accepted"] == 0
    await victim.unharmed(room=10 * MB)


@pytest.mark.parametrize("version", [V311, V5])
async def test_sixty_five_thousand_slashes_cost_nobody_anything(victim: Victim, version: int) -> None:
    slashes, levels = "/" * 65_000, "+/" * 32_000 + "#"
    hello = wire.connect("slashes", version=version)
    datas = [
        hello + wire.subscribe((slashes, 1), version=version),
        hello + wire.subscribe((levels, 1), version=version),
        hello + wire.unsubscribe(slashes, levels, version=version),
        hello + wire.publish(slashes, version=version, qos=1),
        hello + wire.publish(slashes, version=version, retain=True),
        wire.connect("slashes", version=version, will=("/" * 60_000, b"x")),
        hello + wire.subscribe((f"$share/g/{slashes}"[:65_535], 1), version=version),
    ]
    many = asyncio.create_task(sent_by_many(victim, datas * 30, at_once=20))
    while not many.done():
        await answered_soon(victim)
        await asyncio.wait([many], timeout=0.2)
    await many
    await victim.unharmed(room=30 * MB)


async def test_thousands_of_user_properties_cost_nobody_anything(victim: Victim) -> None:
    pairs = [(0x26, (b"k", b"v"))] * 10_000
    hello = wire.connect("properties", version=V5)
    datas = [
        wire.connect("properties", version=V5, items=pairs[:9000]),
        wire.connect("properties", version=V5, will=("wills/x", b"x"), will_items=pairs[:9000]),
        hello + wire.publish("a", version=V5, qos=1, items=pairs),
        hello + wire.publish("a", version=V5, qos=1, items=pairs * 25),
        hello + wire.subscribe(("a", 1), version=V5, items=pairs),
        hello + wire.unsubscribe("a", version=V5, items=pairs),
        hello + wire.answer(0x40, 1, version=V5, code=0, items=pairs),
        hello + wire.disconnect(0, pairs),
    ]
    many = asyncio.create_task(sent_by_many(victim, datas * 25, at_once=20))
    while not many.done():
        await answered_soon(victim)
        await asyncio.wait([many], timeout=0.2)
    await many
    await victim.unharmed(room=40 * MB)


# ---- sessions -------------------------------------------------------------------------------------------------------


async def test_take_overs_that_race_their_subscriptions_leave_one_session_and_the_last_word(victim: Victim) -> None:
    def visit(number: int) -> bytes:
        version = (V311, V5)[number % 2]
        items = [(0x11, 60)] if version == V5 else ()
        return (
            wire.connect("racer", version=version, clean=number % 3 == 0, items=items, will=("wills/racer", b"x"))
            + wire.subscribe((f"race/{number % 5}", 1), ("race/all", 2), version=version)
            + wire.publish(f"race/{number % 5}", b"x", version=version, qos=1)
            + wire.unsubscribe(f"race/{(number + 1) % 5}", version=version)
            + wire.publish("race/all", b"x", version=version, qos=2, packet_id=3)
        )

    await sent_by_many(victim, [visit(number) for number in range(5000)], at_once=100)
    await victim.until_empty()
    broker = victim.gateway.status()["broker"]
    assert broker["connected"] == 0
    assert broker["absent"] <= 1
    assert broker["subscriptions"] <= 6
    async with RawClient(victim.port, version=V5) as client:
        assert await client.connect("racer", clean=True) == 0
        assert not client.session_present
        assert await client.subscribe(("race/#", 1)) == [1]
        assert await client.publish("race/x", b"mine") == 0
        assert client.payload(await client.until(3)) == b"mine"
        assert victim.gateway.status()["broker"]["subscriptions"] == 1
    await victim.unharmed(room=40 * MB)


async def test_a_will_delayed_beyond_its_session_comes_when_the_session_ends(victim: Victim) -> None:
    loop = asyncio.get_running_loop()
    async with RawClient(victim.port) as observer, RawClient(victim.port, version=V5) as mortal:
        assert await observer.connect("observer") == 0
        assert await observer.subscribe(("wills/#", 1)) == [1]
        will = {"will": ("wills/mortal", b"gone"), "will_qos": 1, "will_items": [(0x18, 3600)]}
        assert await mortal.connect("mortal", items=[(0x11, 2)], **will) == 0
        mortal.abort()
        left_s = loop.time()
        assert (await observer.until(3)).payload == b"gone"
        assert 1.0 <= loop.time() - left_s <= 20.0  # two seconds, not the hour of the delay
    await victim.unharmed(room=10 * MB)


# ---- WebSocket ------------------------------------------------------------------------------------------------------


def websocket_request(path: str = "/mqtt") -> bytes:
    """The client's handshake (RFC 6455 §4.1)."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    ).encode()


async def test_websocket_frames_cut_anywhere_are_the_same_stream_of_packets(make_victim: Callable[..., Any]) -> None:
    victim = await make_victim(listener={"transport": "ws"})
    mqtt = wire.connect("cut") + wire.publish("cut/x", bytes(300), qos=1)
    expected = b"\x20\x02\x00\x00\x40\x02\x00\x01"
    for step in (1, 2, 3, 7, 11, 50, 200, len(mqtt)):
        frames = b""
        for at in range(0, len(mqtt), step):
            first, last = at == 0, at + step >= len(mqtt)
            if step % 2:  # one message in fragments, with a ping between them; else a message each
                frames += websocket_frame(mqtt[at : at + step], opcode=2 if first else 0, fin=last)
                frames += websocket_frame(b"", opcode=9)
            else:
                frames += websocket_frame(mqtt[at : at + step])
        for cut in (1, 3, 1000):
            data = websocket_request() + frames
            async with RawClient(victim.port) as client:
                for at in range(0, len(data), cut):
                    client.send(data[at : at + cut])
                    if cut < 10 and at % 64 == 0:
                        await client.flush()
                        await asyncio.sleep(0)
                assert await _mqtt_of(client, len(expected)) == expected, (step, cut)
    await victim.until_empty()
    assert victim.gateway.stream()["accepted"] == 8 * 3


async def _mqtt_of(client: RawClient, size: int) -> bytes:
    """The first `size` bytes of MQTT that a server sends in binary frames, after its answer to the handshake."""
    reader = client._reader
    async with asyncio.timeout(30.0):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        found = b""
        while len(found) < size:
            opcode, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            data = await reader.readexactly(length)
            found += data if opcode & 0x0F == 2 else b""
        return found


async def test_websocket_handshakes_and_frames_that_break_the_rules_leave_nothing(
    make_victim: Callable[..., Any],
) -> None:
    victim = await make_victim(listener={"transport": "ws"})
    request, hello = websocket_request(), websocket_frame(wire.connect("ws"))
    bad_frames = [
        websocket_frame(wire.connect("ws"), masked=False),
        websocket_frame(wire.connect("ws"), opcode=1),
        websocket_frame(b"\xff" * 200, opcode=9),
        websocket_frame(b"x", opcode=0),
        websocket_frame(b"", opcode=3),
        websocket_frame(b"\x03", opcode=8),
        websocket_frame(b"\x03\xe8" + b"\xff" * 10, opcode=8),
        b"\xf2\x80\x00\x00\x00\x00",
        b"\x82\xff" + b"\xff" * 8 + b"\0" * 100,
        b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0" * 100,
        b"\x02\xfe\x00",
        hello[:-1],
        hello + b"\x82",
        hello + websocket_frame(b"\x30\xff\xff\xff\x7f"),
    ]
    requests = [
        b"GET /mqtt HTTP/1.1\r\n\r\n",
        b"POST /mqtt HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        request.replace(b"13", b"12"),
        request.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
        request.replace(b"mqtt\r\n\r\n", b"chat\r\n\r\n"),
        request.replace(b"/mqtt", b"/" + b"a" * 20_000),
        request.replace(b"Upgrade: websocket", b"X: " + b"b" * 100_000),
        request.replace(b"\r\n", b"\n"),
        b"\0" * 30_000,
        wire.connect("plain"),
        *(request[:at] for at in range(0, len(request), 7)),
    ]
    datas = [request + frame for frame in bad_frames] + requests
    datas += [request + hello + frame for frame in bad_frames]
    await sent_by_many(victim, datas)
    victim.note()
    await sent_by_many(victim, datas * 40)
    await victim.unharmed(room=10 * MB, name="a door for WebSocket alone")


# ---- who may do what ------------------------------------------------------------------------------------------------


async def test_an_empty_acl_file_allows_nothing(make_victim: Callable[..., Any], tmp_path: Path) -> None:
    acl = write_lines(tmp_path / "acl")
    victim = await make_victim(access=[{"name": "default", "anonymous": "allow", "acl_file": str(acl)}])
    async with RawClient(victim.port, version=V5) as client:
        assert await client.connect("nobody") == 0
        assert set(await client.subscribe(("#", 1), ("a", 0))) <= {0x80, NOT_AUTHORIZED}
        assert await client.publish("a") == NOT_AUTHORIZED
        client.send(wire.publish("a", version=V5))
    async with RawClient(victim.port, version=V5) as client:
        assert await client.connect("nobody", will=("wills/x", b"x")) == NOT_AUTHORIZED
    assert victim.gateway.stream()["accepted"] == 0


@pytest.mark.parametrize("line", ["alice", "alice:", ":x", "alice:plain", "alice:$9$1$2", "alice:$7$x$y$z", "\0:\0"])
async def test_a_bad_line_in_a_password_file_stops_the_start_and_lets_nobody_in_at_a_reload(
    make_victim: Callable[..., Any], tmp_path: Path, line: str
) -> None:
    users = write_users(tmp_path / "users", {"alice": "secret"})
    victim = await make_victim(access=[{"name": "default", "password_file": str(users)}])
    write_lines(users, line, "mallory:")
    assert victim.gateway.process is not None
    victim.gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: "What held before stays in force" in victim.gateway.log, "the reload is refused")
    for name, password, code in [("alice", b"secret", 0), ("alice", b"", 5), ("mallory", b"", 5), ("", b"", 5)]:
        async with RawClient(victim.port) as client:
            found = await client.connect("x", username=name, password=password)
            assert found in ({0} if not code else {4, 5}), (name, password)
    assert await victim.gateway.stop() == 0
    victim.gateway.launch()
    assert await victim.gateway.ended() == 78


async def test_a_right_withdrawn_while_connected_holds_at_once_for_publishing_and_for_delivery(
    make_victim: Callable[..., Any], tmp_path: Path
) -> None:
    acl = write_lines(tmp_path / "acl", "topic readwrite a/#")
    victim = await make_victim(access=[{"name": "default", "anonymous": "allow", "acl_file": str(acl)}])
    async with RawClient(victim.port, version=V5) as reader, RawClient(victim.port, version=V5) as writer:
        assert await reader.connect("reader") == 0
        assert await writer.connect("writer") == 0
        assert await reader.subscribe(("a/#", 1)) == [1]
        assert await writer.publish("a/secret", b"before") == 0
        assert reader.payload(await reader.until(3)) == b"before"
        write_lines(acl, "topic readwrite a/public")
        assert victim.gateway.process is not None
        victim.gateway.process.send_signal(signal.SIGHUP)

        async def is_denied() -> bool:
            return await writer.publish("a/secret", b"after", packet_id=2) == NOT_AUTHORIZED

        async with asyncio.timeout(30.0):
            while not await is_denied():
                pass
        assert await writer.publish("a/public", b"last", packet_id=3) == 0
        seen = [reader.payload(await reader.until(3))]
        while seen[-1] != b"last":
            seen.append(reader.payload(await reader.until(3)))
        allowed = victim.gateway.stream()["accepted"] - 2
        assert seen[:-1].count(b"after") <= allowed  # those that were still accepted before the reload, and no other
