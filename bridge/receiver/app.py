"""The receiver put together: what `fieldgate receive` runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bridge import otel
from bridge.clock import SystemClock
from bridge.flow.backoff import Backoff
from bridge.link import MqttLink
from bridge.link_settings import LinkSettings
from bridge.memory import return_freed_memory
from bridge.notify import Notifier, keep_telling
from bridge.ports import Link, LinkEvents
from bridge.receiver.api import Api
from bridge.receiver.configuration import Configuration
from bridge.receiver.decoder import Decoder
from bridge.receiver.errors import ReceiverError
from bridge.receiver.export import Export
from bridge.receiver.held import Held
from bridge.receiver.receiver import RECEIVE_MAXIMUM, Receiver
from bridge.receiver.reloading import Reloading
from bridge.receiver.settler import Settler
from bridge.receiver.sinks.jsonl import JsonLines
from bridge.receiver.sinks.mqtt import Mqtt
from bridge.receiver.sinks.port import Sink
from bridge.receiver.sinks.sqlite import Sqlite
from bridge.receiver.state import State
from bridge.receiver.status import StatusView
from bridge.receiver.writer import SinkWriter
from bridge.stepping_link import Links
from bridge.version import VERSION
from bridge.web.gate import Gate, OpenVerifier
from config.loader import Loaded
from config.settings import Address, JsonLinesSink, Log, MqttSink, ReceiverSettings, SqliteSink

log = logging.getLogger(__name__)

CHANGE_S: Final = 5.0
"""So long a stop waits for a change of the configuration that is under way."""


async def run_receiver(
    source: Configuration | ReceiverSettings,
    *,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[Address], None] | None = None,
    set_up_log: Callable[[Log], None] = lambda _: None,
    open_verifier: OpenVerifier | None = None,
) -> None:
    """Receive until SIGTERM or SIGINT, or until `stop` is set; a second signal ends the process at once.

    SIGHUP has the configuration read again (`bridge.receiver.configuration`), and the parts follow it
    (`bridge.receiver.reloading`). `on_ready` is told where it listens; `open_verifier` reads `api.password_file`.

    Raises ConfigError for a file of passwords or tokens and for an extra that is not installed, and BridgeError with a
    sentence when it cannot start: a ReceiverError for the state file and the address, SinkRefused for a sink that
    cannot be used as it is configured.
    """
    configuration = source if isinstance(source, Configuration) else Configuration(Loaded(settings=source, origins={}))
    settings = configuration.settings
    if settings.telemetry.url is not None:
        otel.require(configuration.problem)
    return_freed_memory()
    stop = stop or asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        reload = asyncio.Event()
        stack.enter_context(_signals(stop, reload))
        gate = Gate.open(settings.api, open_verifier=open_verifier)
        state = await State.open(settings.receiver.state)
        stack.push_async_callback(state.close)
        clock = SystemClock()
        started_ns = clock.now_us() * 1000
        held = Held()
        progress = asyncio.Event()
        writers = [
            SinkWriter(sink, held, clock=clock, backoff=_backoff(settings), on_progress=progress.set)
            for sink in _sinks(settings, state, clock)
        ]
        for writer in writers:
            await writer.start()
            stack.push_async_callback(writer.sink.close)
        decoder = Decoder(settings.receiver.max_frame_size_bytes)
        stack.callback(decoder.close)
        settler = await Settler.open(state, clock)
        receiver = Receiver(
            topic=settings.receiver.topic,
            connect=_connector(settings),
            decoder=decoder,
            held=held,
            writers=writers,
            settler=settler,
            clock=clock,
            backoff=_backoff(settings),
            progress=progress,
        )
        view = StatusView(
            version=VERSION,
            receiver_id=settings.receiver.id,
            url=str(settings.receiver.url),
            started_s=clock.monotonic_s(),
            clock=clock,
            receiver=receiver,
            settler=settler,
            held=held,
            writers=writers,
        )
        api = Api(
            settings.api,
            receiver_id=settings.receiver.id,
            version=VERSION,
            view=view,
            asides=state,
            gate=gate,
            clock=clock,
            reload=configuration.reload,
        )
        await api.start()
        stack.push_async_callback(api.close)
        notifier = Notifier.of(os.environ)
        notifier.ready(view.sentence())
        if on_ready is not None:
            on_ready(api.address)
        try:
            async with asyncio.TaskGroup() as tasks:
                export = Export(tasks, api.registry, receiver_id=settings.receiver.id, started_ns=started_ns)
                export.adopt(settings.telemetry)
                configuration.serve(Reloading(api=api, export=export, set_up_log=set_up_log))
                beside = [
                    tasks.create_task(api.feed(), name="rates"),
                    tasks.create_task(_reload_at(reload, configuration, notifier), name="reload"),
                    tasks.create_task(keep_telling(notifier, probe=state.check, status=view.sentence), name="notify"),
                    tasks.create_task(_tell_of_stop(stop, notifier), name="notify of the stop"),
                ]
                try:
                    await receiver.run(stop)
                finally:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(CHANGE_S):
                            await configuration.close()
                    export.close()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group:  # raised again at once, as the one error in it that a person can act on
            raise _first(group) from group
    log.info("Stopped in order.")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stands for all: the receiver's own tasks are a group within the group."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _sinks(settings: ReceiverSettings, state: State, clock: SystemClock) -> Sequence[Sink]:
    sinks: list[Sink] = []
    for number, item in enumerate(settings.sinks):
        match item:
            case JsonLinesSink():
                sinks.append(JsonLines(item.path, state))
            case SqliteSink():
                sinks.append(Sqlite(item.path))
            case MqttSink():
                link = LinkSettings(
                    url=item.url,
                    client_id=f"{settings.receiver.id}-sink-{number}",
                    protocol=item.protocol,
                    username=item.username,
                    password=item.password,
                    tls=item.tls,
                    keep_alive_s=settings.receiver.keep_alive_s,
                )
                sinks.append(
                    Mqtt(
                        address=str(item.url),
                        state=state,
                        clock=clock,
                        connect=lambda events, link=link: MqttLink(link, events),  # type: ignore[misc]
                        window=item.window,
                    )
                )
    names = [sink.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise ReceiverError(f"Two sinks write to {name}. Give each a place of its own (sinks).")
    return sinks


def _connector(settings: ReceiverSettings) -> Callable[[LinkEvents], Link]:
    receiver = settings.receiver
    link = LinkSettings(
        url=receiver.url,
        client_id=receiver.id,
        protocol=receiver.protocol,
        username=receiver.username,
        password=receiver.password,
        tls=receiver.tls,
        keep_alive_s=receiver.keep_alive_s,
        clean_start=False,
        session_expiry_s=receiver.session_expiry_s,
        receive_maximum=RECEIVE_MAXIMUM,
    )
    return Links(link, lost="session_expiry cannot be told to it: it keeps frames for an absent receiver as it likes.")


def _backoff(settings: ReceiverSettings) -> Backoff:
    return Backoff(settings.receiver.retry, random.random)


async def _tell_of_stop(stop: asyncio.Event, notifier: Notifier) -> None:
    await stop.wait()
    notifier.stopping()


async def _reload_at(reload: asyncio.Event, configuration: Configuration, notifier: Notifier) -> None:
    while True:
        await reload.wait()
        reload.clear()
        notifier.reloading()
        try:
            await configuration.reload("SIGHUP")
        finally:
            notifier.ready()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, reload: asyncio.Event) -> Iterator[None]:
    """The first SIGTERM or SIGINT sets `stop`; the second kills, as if nobody had listened. SIGHUP sets `reload`."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        log.info("%s: stopping. Again to end at once.", number.name)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        yield
    finally:
        for number in (*numbers, signal.SIGHUP):
            loop.remove_signal_handler(number)
