"""Names to addresses: what a look-up finds, and that one without an answer holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from bridge.resolver import Resolver

TIMEOUT_S = 10


async def test_a_name_and_an_address_are_found() -> None:
    resolver = Resolver()
    for host in ("localhost", "127.0.0.1"):
        (found,) = {(one["host"], one["port"]) for one in await resolver.resolve(host, 80)}
        assert found == ("127.0.0.1", 80)
    await resolver.close()


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".invalid"])
async def test_a_name_that_nobody_has_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        await Resolver().resolve(host, 80)


def test_a_look_up_without_an_answer_does_not_hold_up_the_end_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def ask(*_: Any, **__: Any) -> Any:
        asked.set()
        answer.wait(TIMEOUT_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    async def give_up() -> None:
        looking = asyncio.create_task(Resolver().resolve("slow.example"))
        await asyncio.to_thread(asked.wait, TIMEOUT_S)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    asyncio.run(give_up())
    (thread,) = [one for one in threading.enumerate() if one.name == "look up slow.example"]
    assert thread.daemon  # nor the end of the process
    answer.set()
    thread.join(TIMEOUT_S)
