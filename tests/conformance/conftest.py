"""One gateway for all tests here. Every test has names of its own, so that they do not meet."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from config.settings import Access, Address, Listener, Rule, Transport
from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import Peer

MAX_PACKET_BYTES = 100_000
RECEIVE_MAXIMUM = 10
TOPIC_ALIAS_MAXIMUM = 5

_numbers = count(1)


def sha512_hash(password: bytes, salt: bytes = b"twelve bytes") -> str:
    """As mosquitto_passwd wrote them before version 2."""
    digest = hashlib.sha512(password + salt).digest()
    return f"$6${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayThread]:
    """A gateway with small limits, so that they are soon met."""
    folder = tmp_path_factory.mktemp("gateway")
    users = folder / "users"
    users.touch(mode=0o600)
    users.write_text(f"alice:{sha512_hash(b'secret')}\n")
    anywhere = Address(host="127.0.0.1", port=0)
    made = GatewayThread(
        folder / "data",
        access=(
            Access(),
            Access(
                name="guarded",
                password_file=users,
                rules=(Rule(name="some", topics=("allowed/#",)),),
            ),
        ),
        listeners=(
            Listener(name="guarded", bind=anywhere, access="guarded"),
            Listener(name="websocket", bind=anywhere, transport=Transport.WS),
            Listener(
                name="local",
                bind=anywhere,
                max_packet_size_bytes=MAX_PACKET_BYTES,
                receive_maximum=RECEIVE_MAXIMUM,
                topic_alias_maximum=TOPIC_ALIAS_MAXIMUM,
                max_keep_alive_s=60,
            ),
        ),
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def open_peer(gateway: GatewayThread) -> Iterator[Callable[[], Peer]]:
    """Makes connections, and closes them at the end."""
    with _opening(gateway, "local") as make:
        yield make


@pytest.fixture
def open_guarded(gateway: GatewayThread) -> Iterator[Callable[[], Peer]]:
    """The same, to a door where alice may come in, with the password `secret`, and use `allowed/#`."""
    with _opening(gateway, "guarded") as make:
        yield make


@contextlib.contextmanager
def _opening(gateway: GatewayThread, listener: str) -> Iterator[Callable[[], Peer]]:
    with contextlib.ExitStack() as peers:
        yield lambda: peers.enter_context(Peer(gateway.ports[listener]))


@pytest.fixture
def peer(open_peer: Callable[[], Peer]) -> Peer:
    """A connection on which nothing was said yet."""
    return open_peer()


@pytest.fixture
def name() -> str:
    """A client id and a topic that nobody else has."""
    return f"t{next(_numbers)}"
