"""`fieldgate simulate link`: a bad link between a gateway and its cloud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.simulate.values import cannot_listen, read, read_if_given

if TYPE_CHECKING:
    from simulators.link import LinkOptions, LinkProxy
    from simulators.link_model import LinkState

EXAMPLE = """\b
Example:
  fieldgate simulate link --listen 127.0.0.1:1894 --to 127.0.0.1:1884 --delay 50ms --rate 10Mbit \\
      --loss-of-connection 20s@30s --blackhole 10s@60s"""


def link(
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where it takes connections.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="Where it passes them on to.")],
    delay: Annotated[str, typer.Option("--delay", metavar="D", help="One-way delay.")] = "0ms",
    jitter: Annotated[str, typer.Option("--jitter", metavar="D", help="The delay varies by up to this much.")] = "0ms",
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="R", help="At most so many bits a second each way, as 10Mbit.")
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss-of-connection",
            metavar="D@START",
            help="Reset and refuse every connection for D, from START on. Can be given again.",
        ),
    ] = None,
    blackhole: Annotated[
        list[str] | None,
        typer.Option(
            "--blackhole", metavar="D@START", help="Bytes vanish, and nobody closes, for D from START on. Again, too."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The same seed, the same jitter.")] = 0,
) -> None:
    """Pass TCP connections on over a bad link.

    It delays, limits, cuts, and loses bytes in silence. Times count from the start. Ends at Ctrl-C.
    """
    from gateway.cli import loop
    from simulators.link import LinkOptions
    from simulators.units import parse_duration_s, parse_endpoint, parse_rate_bits_per_s, parse_window

    listen_endpoint = read("--listen", listen, parse_endpoint)
    to_endpoint = read("--to", to, parse_endpoint)
    delay_s = read("--delay", delay, parse_duration_s)
    jitter_s = read("--jitter", jitter, parse_duration_s)
    rate_bits_per_s = read_if_given("--rate", rate, parse_rate_bits_per_s)
    cuts = tuple(read("--loss-of-connection", text, parse_window) for text in loss or ())
    black_holes = tuple(read("--blackhole", text, parse_window) for text in blackhole or ())
    try:
        options = LinkOptions(
            listen=listen_endpoint,
            to=to_endpoint,
            delay_s=delay_s,
            jitter_s=jitter_s,
            rate_bits_per_s=rate_bits_per_s,
            cuts=cuts,
            black_holes=black_holes,
            seed=seed,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    loop.run(_link(options))


async def _link(options: LinkOptions) -> None:
    """The link until Ctrl-C or SIGTERM; what it does is said on standard error."""
    import asyncio

    from gateway.cli.progress import ProgressLine
    from gateway.cli.stop import stop_on_signals
    from simulators.link import LinkProxy

    proxy = LinkProxy(options, on_change=_tell)
    with stop_on_signals() as stop:
        try:
            await proxy.start()
        except OSError as error:
            raise cannot_listen("--listen", options.listen, error) from error
        try:
            typer.echo(f"The link listens on {proxy.address} and leads to {options.to}.", err=True)
            with ProgressLine(sys.stderr) as line:
                while not stop.is_set():
                    line.show(_counted(proxy))
                    try:
                        await asyncio.wait_for(stop.wait(), 1.0)
                    except TimeoutError:
                        continue
        finally:
            await proxy.stop()
    typer.echo(_counted(proxy))


def _tell(state: LinkState) -> None:
    words = {"up": "up", "cut": "cut", "black_hole": "a black hole: bytes vanish, nobody is told"}
    typer.echo(f"The link is {words[state.value]}.", err=True)


def _counted(proxy: LinkProxy) -> str:
    from gateway.cli.words import size
    from gateway.words import count, counted

    counters = proxy.counters
    line = f"{counted(counters.connections, 'connection')}, "
    line += f"{size(counters.bytes_up)} up, {size(counters.bytes_down)} down"
    for number, word in ((counters.bytes_vanished, "bytes vanished"), (counters.refused, "refused by the far side")):
        line += f", {count(number)} {word}" if number else ""
    return line
