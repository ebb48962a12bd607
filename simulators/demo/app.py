"""`fieldgate demo`: everything on this machine, with an outage and a crash, and a ledger at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from simulators.demo.child import Child
from simulators.demo.errors import DemoFailed
from simulators.demo.options import DemoOptions
from simulators.demo.scene import Scene
from simulators.demo.site import HOST, Site, held_ports, make_site
from simulators.demo.story import Story
from simulators.demo.verdict import Verdict
from simulators.demo.view import View, make_view, show_verdict
from simulators.demo.watch import EVERY_S, Watch
from simulators.devices import FleetOptions, run_devices
from simulators.link import LinkOptions, LinkProxy
from simulators.units import Endpoint

OK, FAILED = 0, 1
KEEPING_EVERY_S = 60.0


def run_demo(options: DemoOptions, *, console: Console | None = None) -> int:
    """Run the demo; 0 when nothing acknowledged is missing, 1 when something is, it failed, or it was interrupted."""
    console = console or Console()
    try:
        return asyncio.run(_run(options, console))
    except DemoFailed as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return FAILED


async def _run(options: DemoOptions, console: Console) -> int:
    try:
        site = make_site(options.folder)
    except OSError as error:
        raise DemoFailed(f"No folder can be made in {options.folder}: {error.strerror or error}.") from error
    with _interruption() as interrupted:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(held_ports(site))
            stage = _Stage(options, site, console, interrupted)
            stage.say(f"Everything of this run is in {_shown(site.folder)}.")
            await stage.set_up(stack)
            return await stage.perform()


class _Stage:
    """What runs: the cloud, the link, the receiver, the gateway, and the view of them."""

    def __init__(self, options: DemoOptions, site: Site, console: Console, interrupted: asyncio.Event) -> None:
        self._options = options
        self._site = site
        self._console = console
        self._interrupted = interrupted
        self._scene = Scene(duration_s=options.duration_s)
        self._view: View = make_view(self._scene, console)
        self._death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._guards: set[asyncio.Task[None]] = set()
        self._cloud = self._child("cloud", "simulate", "cloud", "--bind", str(site.cloud))
        self._gateway = self._child("gateway", "run", "-c", str(site.gateway_yaml))
        self._receiver = self._child("receiver", "receive", "-c", str(site.receiver_yaml))
        self._link = LinkProxy(
            LinkOptions(listen=Endpoint(host=HOST, port=0), to=site.cloud), on_change=self._scene.saw_link
        )
        self._watch = Watch(site, self._scene)

    def _child(self, name: str, *arguments: str) -> Child:
        return Child(name, self._site.log(name), *arguments)

    async def set_up(self, stack: contextlib.AsyncExitStack) -> None:
        """Everything that needs an end; the processes are not started yet. Raises DemoFailed."""
        stack.push_async_callback(self._strike)
        try:
            await self._link.start()
            self._site.write_configurations(uplink=self._link.address)
        except OSError as error:
            raise DemoFailed(f"The demo can't be set up in {self._site.folder}: {error.strerror or error}.") from error
        await stack.enter_async_context(self._watch)
        stack.callback(self._close_view)
        self._view.open()
        self._guard(self._refresh())

    def _close_view(self) -> None:
        self._view.close()  # the one there is then: with `keep` it is a second one

    async def perform(self) -> int:
        """The story, the ledger, and with `keep` the time after it. Raises DemoFailed."""
        verdict = await self._unless_interrupted(self._show())
        self._view.close()
        if verdict is None:
            self.say("Interrupted: there is no ledger for a demo that did not come to its end.")
            return FAILED
        show_verdict(self._console, verdict)
        if self._options.keep:
            self.say(
                f"Everything stays up until Ctrl-C. Devices: mqtt://{self._site.devices}   cloud broker:"
                f" mqtt://{self._site.cloud}\nStatus: http://{self._site.gateway_api}/api/v1/status and"
                f" http://{self._site.receiver_api}/api/v1/status"
            )
            self._scene.fleet = None
            self._view = make_view(self._scene, self._console, plain_every_s=KEEPING_EVERY_S)
            self._view.open()
            self._tell("Everything stays up; point your own devices at it. Ctrl-C ends it.")
            await self._unless_interrupted(asyncio.Event().wait())
        return OK if verdict.good else FAILED

    async def _show(self) -> Verdict:
        self._tell("The cloud's broker, the receiver and the gateway start.")
        await self._start(self._cloud)
        await self._watch.listening(self._cloud, self._site.cloud)
        await self._start(self._receiver)
        await self._start_gateway()
        await self._watch.ready(self._receiver, self._site.receiver_api)
        self._scene.begin()
        story = Story(
            self._options,
            self._site,
            self._scene,
            watch=self._watch,
            link=self._link,
            gateway=self._gateway,
            tell=self._tell,
            restart_gateway=self._start_gateway,
        )
        fleet = FleetOptions(
            to=self._site.devices,
            count=self._options.count,
            rate_per_s=self._options.rate_per_s,
            qos=self._options.qos,
            seed=self._options.seed,
            ledger=self._site.ledger,
            drain_timeout_s=30.0,
        )
        return await story.play(lambda note, stop: run_devices(fleet, on_progress=note, stop=stop))

    async def _start_gateway(self) -> None:
        await self._start(self._gateway)
        await self._watch.ready(self._gateway, self._site.gateway_api)

    async def _start(self, child: Child) -> None:
        await child.start()
        self._guard(self._until_death(child))

    async def _until_death(self, child: Child) -> None:
        code = await child.ended()
        if not child.end_expected and not self._death.done():
            self._death.set_exception(child.failure(f"ended by itself with exit code {code}"))

    async def _refresh(self) -> None:
        while True:
            self._view.refresh()
            await asyncio.sleep(EVERY_S)

    async def _unless_interrupted(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`; None when a signal came first. Raises DemoFailed when a process died meanwhile."""
        task = asyncio.create_task(work, name="demo work")
        signal_came = asyncio.create_task(self._interrupted.wait(), name="demo interruption")
        try:
            await asyncio.wait((task, signal_came, self._death), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._death.done():
                self._death.result()
            return None
        finally:
            task.cancel()
            signal_came.cancel()
            await asyncio.gather(task, signal_came, return_exceptions=True)

    async def _strike(self) -> None:
        """End all processes, those that send first; on every way out."""
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(self._gateway.stop(), self._receiver.stop())
        await self._cloud.stop()
        await self._link.stop()
        if self._death.done():
            self._death.exception()  # it has been told, or something else was
        await asyncio.gather(*self._guards, return_exceptions=True)

    def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._guards.add(task)
        task.add_done_callback(self._guards.discard)

    def _tell(self, sentence: str) -> None:
        self._view.tell(self._scene.tell(sentence))

    def say(self, text: str) -> None:
        """Words outside the view."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _interruption() -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set: the demo ends its processes before it goes."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield interrupted
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return f"./{path.relative_to(Path.cwd())}"
    return str(path)
