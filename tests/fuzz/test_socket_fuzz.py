"""Mutated packets of every type and version over the socket, against a gateway that is a process of its own.

`make test-fuzz` sends a million; otherwise it is a short run. FUZZ_PACKETS and FUZZ_SEED say how many, and which. What
fails prints the seed and the bytes of the session; `Mutator(seed).session(number)` makes it again.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.hammer import Hammer, ServerFailed
from tests.support.honest import prove_alive
from tests.support.mutation import Mutator, Session
from tests.support.ports import steady_port
from tests.support.site import GatewayProcess, until
from tests.support.vitals import MB, descriptors, rss_bytes

PACKETS = int(os.environ.get("FUZZ_PACKETS", "30000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
WARM_UP_PACKETS = max(15_000, PACKETS // 5)
"""Until every table that has a bound is at it, and the allocator has what it needs."""
ROOM = 10 * MB

pytestmark = pytest.mark.slow


def gateway_for(folder: Path) -> GatewayProcess:
    """One whose state is small and bounded, so that what it may keep is not taken for what it leaks."""
    return GatewayProcess(
        folder,
        cloud_port=steady_port(),
        listeners=[
            {"name": name, "transport": kind, "bind": f"127.0.0.1:{steady_port()}", "max_connect_rate": "unlimited"}
            for name, kind in (("local", "tcp"), ("web", "ws"))
        ],
        sessions={"max_sessions": 200, "max_queued_messages": 50, "max_total_queued_bytes": "1MiB"},
        retained={"max_messages": 200, "max_bytes": "1MiB"},
        spool={"max_size": "8MiB", "when_full": "drop_oldest"},
        log={"level": "debug"},
    )


def endless(mutator: Mutator) -> Iterator[Session]:
    return map(mutator.session, count())


def seen_wrong(text: str) -> str | None:
    """The first thing in a log that must not be there, with what comes after it."""
    found = re.search(r"Traceback|\bERROR\b|\bCRITICAL\b|never retrieved|never awaited", text)
    return None if found is None else text[max(0, found.start() - 400) : found.start() + 3000]


def told(hammer: Hammer, mutator: Mutator, wrong: str) -> str:
    """What is needed to see it again: the seed, and the sessions that may have done it."""
    numbers = {hammer.tally.by_port.get(int(port)) for port in re.findall(r"127\.0\.0\.\d+:(\d+)", wrong)}
    sessions = [mutator.session(number) for number in sorted(numbers - {None})] or hammer.open_sessions  # type: ignore[type-var]
    lines = [f"  session {session.number}: {[chunk.hex() for chunk in session.chunks]}" for session in sessions[:20]]
    return "\n".join([f"seed {mutator.seed}, {hammer.tally.sessions} sessions; perhaps one of these:", *lines])


async def test_a_gateway_that_met_mutated_packets_is_as_it_was_before(tmp_path: Path) -> None:
    mutator = Mutator(SEED)
    sessions = endless(mutator)
    with gateway_for(tmp_path) as gateway:
        await gateway.start()
        assert gateway.process is not None
        pid = gateway.process.pid
        idle = len(descriptors(pid))
        hammer = Hammer(gateway.port, int(gateway.configuration["listeners"][1]["bind"].rpartition(":")[2]))
        began_s = time.monotonic()

        async def settle() -> int:
            await gateway.until(
                lambda status: not any(door["connections"] for door in status["listeners"]), "every connection is gone"
            )
            return rss_bytes(pid)

        try:
            try:
                await asyncio.to_thread(hammer.run, sessions, mutated=WARM_UP_PACKETS)
                warm = await settle()
                await asyncio.to_thread(hammer.run, sessions, mutated=WARM_UP_PACKETS + PACKETS)
            except ServerFailed as error:
                raise AssertionError(f"{error}\n{told(hammer, mutator, '')}\n{gateway.log[-3000:]}") from None
            after = await settle()
        finally:
            hammer.close()
        took_s = time.monotonic() - began_s
        tally = hammer.tally
        wrong = seen_wrong(gateway.log)
        assert wrong is None, f"{told(hammer, mutator, wrong or '')}\n{wrong}"
        assert gateway.is_running
        await until(lambda: len(descriptors(pid)) <= idle, "no file descriptor is left over")
        assert after - warm <= ROOM, f"memory went from {warm / MB:.1f} to {after / MB:.1f} MB (seed {SEED})"
        assert gateway.get("/healthz")[0] == 200
        await prove_alive(gateway.port)
        assert await gateway.stop() == 0
    print(
        f"{tally.mutated} mutated packets in {tally.sessions} sessions, {tally.sent_bytes / MB:.0f} MB, "
        f"{took_s:.0f} s; memory {warm / MB:.1f} MB before, {after / MB:.1f} MB after"
    )
