"""The receiver put together: how it starts, and how it does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bridge.errors import BridgeError, SinkRefused
from bridge.link import LinkSettings, MqttLink
from bridge.ports import Publish
from bridge.receiver.app import run_receiver
from bridge.receiver.configuration import Configuration
from bridge.receiver.errors import AddressTaken, ReceiverError, StateLocked
from bridge.receiver.state import State
from bridge.web.errors import TokenFileError
from config.errors import ConfigError, Problem
from config.loader import Loaded
from config.settings import (
    Address,
    Api,
    BrokerUrl,
    JsonLinesSink,
    Log,
    MqttSink,
    ReceiverIdentity,
    ReceiverSettings,
    Retry,
    SinkSettings,
    SqliteSink,
)
from tests.support.mosquitto import Mosquitto
from tests.support.receiver_frames import frame
from tests.support.receiver_process import ReceiverProcess
from tests.support.web_house import OPERATOR_TOKEN, VIEWER_TOKEN, write_tokens

ANY_PORT = Address(host="127.0.0.1", port=0)


class Ears:
    """Hears the events of a publishing link."""

    def __init__(self) -> None:
        self.acknowledged: asyncio.Queue[int] = asyncio.Queue()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        self.acknowledged.put_nowait(reason_code)

    def on_delivery(self, delivery: object) -> None: ...

    def on_lost(self, error: Exception) -> None: ...


def settings(folder: Path, port: int, *sinks: SinkSettings, bind: Address = ANY_PORT) -> ReceiverSettings:
    return ReceiverSettings(
        receiver=ReceiverIdentity(
            url=BrokerUrl(port=port), state=folder / "receiver.db", retry=Retry(first_s=0.01, max_s=0.05)
        ),
        api=Api(bind=bind),
        sinks=sinks,
    )


async def test_frames_that_a_real_broker_kept_reach_all_three_kinds_of_sinks(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as cloud, Mosquitto(tmp_path) as far, asyncio.timeout(20):
        given = settings(
            tmp_path,
            cloud.port,
            JsonLinesSink(path=tmp_path / "received.jsonl"),
            SqliteSink(path=tmp_path / "received.db"),
            MqttSink(url=BrokerUrl(port=far.port)),
        )
        ears = Ears()
        reasons = []
        for life in range(2):
            stop = asyncio.Event()
            ready = asyncio.get_running_loop().create_future()
            running = asyncio.create_task(run_receiver(given, stop=stop, on_ready=ready.set_result))
            await ready
            if life == 0:  # until somebody subscribes the broker answers 0x10, and the gateway would keep the frame
                link = MqttLink(LinkSettings(url=BrokerUrl(port=cloud.port), client_id="gateway"), ears)
                await link.connect()
                while not reasons or reasons[-1]:
                    link.publish(Publish(topic="fieldgate/v1/edge-01/telemetry", payload=frame(1, 10)))
                    reasons.append(await ears.acknowledged.get())
            else:
                while lines(tmp_path) < 30:  # noqa: ASYNC110 - the broker brings what it kept; nobody tells us when
                    await asyncio.sleep(0.01)
            stop.set()
            await running
            if life == 0:  # the receiver is away: its session keeps the frame
                link.publish(Publish(topic="fieldgate/v1/edge-01/telemetry", payload=frame(11, 20)))
                assert await ears.acknowledged.get() == 0
                await link.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "received.db")) as connection:
        assert connection.execute("SELECT count(*), min(seq), max(seq) FROM record").fetchone() == (30, 1, 30)
    assert lines(tmp_path) == 30


def lines(folder: Path) -> int:
    return (folder / "received.jsonl").read_bytes().count(b"\n")


async def test_a_second_receiver_on_the_same_state_gets_a_sentence(tmp_path: Path) -> None:
    state = await State.open(tmp_path / "receiver.db")
    with pytest.raises(StateLocked, match="Another receiver is running"):
        await run_receiver(settings(tmp_path, 1))
    await state.close()


async def test_an_address_that_is_taken_is_a_sentence_and_all_is_closed_again(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with server:
        taken = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        with pytest.raises(AddressTaken, match=r"api\.bind"):
            await run_receiver(settings(tmp_path, 1, SqliteSink(path=tmp_path / "received.db"), bind=taken))
    await (await State.open(tmp_path / "receiver.db")).close()  # the lock is free


async def test_two_sinks_in_one_place_are_refused(tmp_path: Path) -> None:
    sink = JsonLinesSink(path=tmp_path / "received.jsonl")
    with pytest.raises(ReceiverError, match="Two sinks write to"):
        await run_receiver(settings(tmp_path, 1, sink, sink))


async def test_a_sink_that_cannot_be_used_is_an_error_with_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "received.db").write_bytes(b"a letter, no database " * 100)
    with pytest.raises(SinkRefused, match="is not a database") as caught:
        await run_receiver(settings(tmp_path, 1, SqliteSink(path=tmp_path / "received.db")))
    assert isinstance(caught.value, BridgeError)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order_even_when_the_broker_is_away(tmp_path: Path, number: signal.Signals) -> None:
    with ReceiverProcess(tmp_path, 1) as process:
        assert process.wait_ready()
        assert process.send_signal(number) == 0
    assert b"Stopped in order" in (tmp_path / "receiver.log").read_bytes()


SLOW_TO_STOP = """
import asyncio
from bridge.receiver.app import _signals

async def main():
    stop = asyncio.Event()
    with _signals(stop, asyncio.Event()):
        print("running", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_second_signal_ends_it_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_TO_STOP], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for expected in ("running", "stopping"):
            assert process.stdout.readline().strip() == expected
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


async def test_at_sighup_the_tokens_are_read_again(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    write_tokens(tokens, {OPERATOR_TOKEN: "operator"})
    async with Mosquitto(tmp_path) as cloud, asyncio.timeout(20):
        given = settings(tmp_path, cloud.port, JsonLinesSink(path=tmp_path / "received.jsonl"))
        given = replace(given, api=Api(bind=ANY_PORT, token_file=tokens))
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(run_receiver(given, stop=stop, on_ready=ready.set_result))
        headers = {"Authorization": f"Bearer {VIEWER_TOKEN}"}
        async with aiohttp.ClientSession(f"http://{await ready}", headers=headers) as client:

            async def status() -> int:
                async with client.get("/api/v1/receiver") as answer:
                    return answer.status

            assert await status() == 401
            write_tokens(tokens, {VIEWER_TOKEN: "viewer"})
            os.kill(os.getpid(), signal.SIGHUP)
            while await status() != 200:  # noqa: ASYNC110 - another process would see it no other way
                await asyncio.sleep(0.01)
        stop.set()
        await running


async def test_at_sighup_its_file_is_read_again_and_what_waits_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bridge.receiver.configuration")
    write_tokens(tmp_path / "tokens", {VIEWER_TOKEN: "viewer"})
    logs: list[Log] = []
    async with Mosquitto(tmp_path) as cloud, asyncio.timeout(20):
        given = settings(tmp_path, cloud.port, JsonLinesSink(path=tmp_path / "received.jsonl"))
        wanted: list[ReceiverSettings | ConfigError] = []

        def reread() -> Loaded[ReceiverSettings]:
            if isinstance(wanted[-1], ConfigError):
                raise wanted[-1]
            return Loaded(settings=wanted[-1], origins={})

        async def told(sentence: str) -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            while not any(sentence in record.getMessage() for record in caplog.records):  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.01)

        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            run_receiver(
                Configuration(Loaded(settings=given, origins={}), reread=reread),
                stop=stop,
                on_ready=ready.set_result,
                set_up_log=logs.append,
            )
        )
        async with aiohttp.ClientSession(f"http://{await ready}") as client:

            async def status(**headers: str) -> int:
                async with client.get("/api/v1/receiver", headers=headers) as answer:
                    return answer.status

            assert await status() == 200
            wanted.append(ConfigError([Problem(file="receiver.yaml", line=1, column=1, key="x", message="it is bad")]))
            await told("Nothing was changed (SIGHUP): 1 problem in the new configuration. What held before stays in")
            api = replace(given.api, token_file=tmp_path / "tokens")
            identity = replace(given.receiver, topic="other/#")
            wanted.append(replace(given, api=api, receiver=identity, log=Log(level="error")))
            await told(
                "Reloaded (SIGHUP): api.token_file, log.level changed; passwords, tokens and the certificate were read "
                "again. Waiting for a restart: receiver.topic (the link and the sinks are made at the start)."
            )
            assert logs == [Log(level="error")]
            assert await status() == 401
            assert await status(Authorization=f"Bearer {VIEWER_TOKEN}") == 200
            wanted.append(replace(given, api=replace(api, token_file=tmp_path / "none", hosts=("new.example",))))
            caplog.clear()
            await told("Nothing was changed (SIGHUP): 1 problem in the new configuration. What held before stays in")
            assert await status(Host="new.example", Authorization=f"Bearer {VIEWER_TOKEN}") == 421
        stop.set()
        await running


async def test_a_token_file_that_means_nothing_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("what\n")
    given = replace(settings(tmp_path, 1), api=Api(bind=ANY_PORT, token_file=tmp_path / "tokens"))
    with pytest.raises(TokenFileError, match=r"tokens:1: a line is a name, a role and a SHA-256"):
        await run_receiver(given)
