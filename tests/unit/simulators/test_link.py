"""The link between real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from simulators.link import LinkOptions, LinkProxy
from simulators.link_model import LinkState
from simulators.link_wire import Line
from simulators.units import Endpoint, Window

ANYWHERE = Endpoint(host="127.0.0.1", port=0)


class Far:
    """A server that sends back what it gets and remembers who is there."""

    def __init__(self) -> None:
        self.connected = 0
        self.closed = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self.closed.set()


@contextlib.asynccontextmanager
async def linked(**options: object) -> AsyncIterator[tuple[LinkProxy, Far]]:
    far = Far()
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    to = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    proxy = LinkProxy(LinkOptions(listen=ANYWHERE, to=to, **options))  # type: ignore[arg-type]
    await proxy.start()
    try:
        yield proxy, far
    finally:
        await proxy.stop()
        server.close()
        for writer in far.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def connect(proxy: LinkProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(proxy.address.host, proxy.address.port)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- the counters have no event
            await asyncio.sleep(0.001)


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


@pytest.mark.parametrize("delay_s", [0.0, 0.001])
async def test_bytes_come_through_both_ways_whole_and_are_counted(delay_s: float) -> None:
    async with linked(delay_s=delay_s, jitter_s=delay_s) as (proxy, _):
        reader, writer = await connect(proxy)
        data = bytes(range(256)) * 4096
        assert await echoed(reader, writer, data) == data
        assert (proxy.counters.connections, proxy.counters.bytes_up, proxy.counters.bytes_down) == (1, 2**20, 2**20)
        await close(writer)


async def test_a_round_trip_takes_twice_the_delay() -> None:
    async with linked(delay_s=0.05) as (proxy, _):
        reader, writer = await connect(proxy)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await echoed(reader, writer, b"x")
        assert loop.time() - began_s >= 0.098
        await close(writer)


async def test_the_rate_bounds_each_direction() -> None:
    async with linked(rate_bits_per_s=8e6) as (proxy, _):
        reader, writer = await connect(proxy)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await echoed(reader, writer, bytes(300_000))
        assert loop.time() - began_s >= 0.27  # 300 kB at 1 MB/s, less a burst of 5 ms; the echo overlaps
        await close(writer)


async def test_the_end_of_one_side_comes_after_its_data_and_ends_the_other() -> None:
    async with linked(delay_s=0.01) as (proxy, far):
        _, writer = await connect(proxy)
        writer.write(b"last words")
        await close(writer)
        await asyncio.wait_for(far.closed.wait(), 5)
        assert proxy.counters.bytes_up == 10


async def test_the_far_side_may_speak_first_and_close() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    to = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    proxy = LinkProxy(LinkOptions(listen=ANYWHERE, to=to))
    await proxy.start()
    reader, writer = await connect(proxy)
    assert await asyncio.wait_for(reader.read(), 5) == b"hello"
    await close(writer)
    await proxy.stop()
    server.close()


async def test_a_cut_resets_connections_refuses_new_ones_and_can_be_mended_on_the_same_port() -> None:
    async with linked() as (proxy, far):
        port = proxy.address.port
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        await asyncio.wait_for(far.closed.wait(), 5)
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        proxy.restore()
        assert proxy.address.port == port
        again = await connect(proxy)
        assert await echoed(*again, b"back") == b"back"
        await close(writer)
        await close(again[1])


async def test_in_a_black_hole_bytes_vanish_and_nobody_is_told() -> None:
    async with linked() as (proxy, far):
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.blackhole()
        meanwhile = await connect(proxy)
        for _, some_writer in ((reader, writer), meanwhile):
            some_writer.write(b"is anyone there?")
        await until(lambda: proxy.counters.bytes_vanished >= 32)
        assert far.connected == 1
        proxy.restore()
        later = await connect(proxy)
        assert await echoed(*later, b"back") == b"back"
        writer.write(b"still nobody")  # the link forgot this connection, as a NAT would
        await asyncio.wait_for(writer.drain(), 5)
        await until(lambda: proxy.counters.bytes_vanished >= 44)
        assert not reader.at_eof()
        assert not far.closed.is_set()
        for some_writer in (writer, meanwhile[1], later[1]):
            await close(some_writer)


async def test_what_is_under_way_when_the_link_breaks_never_arrives() -> None:
    async with linked(delay_s=0.3) as (proxy, _):
        _, writer = await connect(proxy)
        writer.write(b"lost")
        await until(lambda: proxy.counters.bytes_up >= 4)
        proxy.blackhole()
        assert proxy.counters.bytes_vanished == 4
        await close(writer)


async def test_a_schedule_cuts_and_mends_by_itself() -> None:
    seen: asyncio.Queue[LinkState] = asyncio.Queue()
    far = await asyncio.start_server(Far().serve, "127.0.0.1", 0)
    to = Endpoint(host="127.0.0.1", port=far.sockets[0].getsockname()[1])
    options = LinkOptions(
        listen=ANYWHERE,
        to=to,
        cuts=(Window(start_s=0.01, duration_s=0.02),),
        black_holes=(Window(start_s=0.05, duration_s=0.01),),
    )
    proxy = LinkProxy(options, on_change=seen.put_nowait)
    await proxy.start()
    states = [await asyncio.wait_for(seen.get(), 5) for _ in range(4)]
    assert states == [LinkState.CUT, LinkState.UP, LinkState.BLACK_HOLE, LinkState.UP]
    await proxy.stop()
    far.close()


async def test_a_far_side_that_is_not_there_is_a_reset_for_the_near_one() -> None:
    async with linked() as (there, _):
        to = there.address
    proxy = LinkProxy(LinkOptions(listen=ANYWHERE, to=to))
    await proxy.start()
    reader, writer = await connect(proxy)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    assert (proxy.counters.connections, proxy.counters.refused, proxy.open_connections) == (1, 1, 0)
    await close(writer)
    await proxy.stop()


async def test_a_port_that_is_taken_is_an_error_also_when_another_link_has_it() -> None:
    async with linked() as (proxy, _):
        second = LinkProxy(LinkOptions(listen=proxy.address, to=Endpoint(host="127.0.0.1", port=1)))
        with pytest.raises(OSError, match="in use"):
            await second.start()


async def pour(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // 2**20):
        writer.write(bytes(2**20))
        await writer.drain()


async def test_a_reader_that_does_not_read_holds_its_sender_up() -> None:
    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung.append(writer)
        await released.wait()
        reader.feed_eof()
        writer.transport.abort()

    released = asyncio.Event()
    hung: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(never_read, "127.0.0.1", 0)
    to = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    for delay_s in (0.0, 0.001):
        proxy = LinkProxy(LinkOptions(listen=ANYWHERE, to=to, delay_s=delay_s))
        await proxy.start()
        _, writer = await connect(proxy)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pour(writer, 400 * 2**20), 0.5)  # more than all buffers hold
        assert proxy.counters.bytes_up < 100 * 2**20
        writer.transport.abort()
        await proxy.stop()
    released.set()
    server.close()


async def test_the_weather_changes_and_what_is_under_way_is_not_overtaken() -> None:
    async with linked(delay_s=0.15) as (proxy, _):
        reader, writer = await connect(proxy)
        began = asyncio.get_running_loop().time()
        writer.write(b"first ")
        await until(lambda: proxy.counters.bytes_up == 6)
        proxy.change(Line(delay_s=0.0, jitter_s=0.0, rate_bits_per_s=None))
        writer.write(b"second")
        assert await asyncio.wait_for(reader.readexactly(12), 10) == b"first second"
        assert asyncio.get_running_loop().time() - began > 0.14
        began = asyncio.get_running_loop().time()
        assert await echoed(reader, writer, b"third") == b"third"
        assert asyncio.get_running_loop().time() - began < 0.14
        proxy.change(Line(delay_s=0.0, jitter_s=0.0, rate_bits_per_s=800_000))
        began = asyncio.get_running_loop().time()
        await echoed(reader, writer, bytes(20_000))
        assert asyncio.get_running_loop().time() - began > 0.15, "20 000 bytes at 100 kB/s"
        await close(writer)


async def test_lost_segments_come_late_and_whole() -> None:
    async with linked(loss=0.2, seed=5) as (proxy, _):
        reader, writer = await connect(proxy)
        data = bytes(range(256)) * 40
        began = asyncio.get_running_loop().time()
        assert await echoed(reader, writer, data) == data
        assert asyncio.get_running_loop().time() - began > 0.19, "at least one retransmission"
        await close(writer)


async def test_an_impossible_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        LinkOptions(listen=ANYWHERE, to=Endpoint(host="127.0.0.1", port=1), loss=1.0)
