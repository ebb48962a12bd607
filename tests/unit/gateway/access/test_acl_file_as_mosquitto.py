"""The same ACL file, the same clients and the same topics: the real Mosquitto and our rights say the same."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path

import pytest

from gateway.access.acl_file import parse_acl
from gateway.access.errors import AccessError
from gateway.access.rights import Authorization
from tests.support.mosquitto import Mosquitto
from tests.support.plain_mqtt import Packet, packet, read_packet, text

TIMEOUT_S = 30
ROOT = "\nuser root\ntopic readwrite #\ntopic readwrite $other/#\n"
LEVELS = ["a", "b", "", "dev1", "ann", "%c", "%u", "x-%c", "%u.%c"]
TOPIC_LEVELS = ["a", "b", "", "dev1", "ann", "x-dev1", "ann.b", "bob", "%c"]
CLIENTS = [
    ("dev1", None),
    ("b", "ann"),
    ("bob", "bob"),
    ("a", "stranger"),
    ("di#ese", "ann"),
    ("c", "plu+s"),
    ("%c", "%u"),
]


class V5Client:
    """A client of MQTT 5 that waits for each answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int, client_id: str, username: str | None) -> V5Client:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        flags = 0x02 if username is None else 0x82
        body = text("MQTT") + bytes([5, flags]) + b"\0\0\0" + text(client_id)
        client._writer.write(packet(0x10, body + (b"" if username is None else text(username))))
        connack = await client._read()
        assert (connack.kind, connack.body[1]) == (2, 0)
        return client

    async def subscribe(self, topic_filter: str) -> None:
        self._writer.write(packet(0x82, b"\0\1\0" + text(topic_filter) + b"\0"))
        suback = await self._read()
        assert (suback.kind, suback.body[-1]) == (9, 0)

    async def publish(self, topic: str) -> bool:
        """Whether it was allowed."""
        self._writer.write(packet(0x32, text(topic) + b"\0\1\0"))
        while (answer := await self._read()).kind != 4:
            assert answer.kind == 3
        return answer.body[2:3] != b"\x87"

    async def received(self) -> set[str]:
        """The topics of all that was sent to it by now."""
        self._writer.write(packet(0xC0, b""))
        topics = set()
        while (answer := await self._read()).kind != 13:
            length = struct.unpack(">H", answer.body[:2])[0]
            topics.add(answer.body[2 : 2 + length].decode())
        return topics

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def _read(self) -> Packet:
        return await asyncio.wait_for(read_packet(self._reader), TIMEOUT_S)


def some_filter(rng: random.Random) -> str:
    levels = [rng.choice([*LEVELS, "+", "+"]) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.3:
        levels.append("#")
    if rng.random() < 0.15:
        levels.insert(0, "$other")
    return "/".join(levels) or "a"


def some_file(rng: random.Random) -> str:
    lines = []
    for _ in range(rng.randint(0, 14)):
        keyword = rng.choice(["topic", "topic", "topic", "pattern", "user", "blank"])
        if keyword == "user":
            lines.append(f"user{' ' * rng.randint(1, 3)}{rng.choice(['ann', 'bob', '%u', 'plu+s'])}  ")
        elif keyword == "blank":
            lines.append(rng.choice(["", "   ", "# user nobody", "#"]))
        else:
            access = rng.choice(["", "", "read ", "write ", "readwrite ", "deny ", "deny  "])
            lines.append(f"{' ' * rng.randint(0, 1)}{keyword} {access}{some_filter(rng)}{rng.choice(['', ' '])}")
    return "\n".join(lines)


def some_topics(rng: random.Random) -> list[str]:
    topics = set()
    while len(topics) < 30:
        levels = [rng.choice(TOPIC_LEVELS) for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.2:
            levels.insert(0, "$other")
        topics.add("/".join(levels))
    return sorted(topics - {""})


@pytest.mark.parametrize("seed", range(10))
async def test_what_may_be_published_and_delivered_is_what_mosquitto_says(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "acl"
    path.write_text(some_file(rng) + ROOT)
    topics = some_topics(rng)
    authorization = Authorization(acl=parse_acl(path.read_text(), path))
    path.chmod(0o644)
    with Mosquitto(tmp_path, lines=[f"acl_file {path}"]) as broker:
        root = await V5Client.connect(broker.port, "root", "root")
        clients = [(await V5Client.connect(broker.port, *names), names) for names in CLIENTS]
        for client, _ in clients:
            await client.subscribe("#")
            await client.subscribe("$other/#")
        for topic in topics:
            assert await root.publish(topic)
        delivered = [await client.received() for client, _ in clients]
        for (client, (client_id, username)), seen in zip(clients, delivered, strict=True):
            rights = authorization.rights(client_id=client_id, username=username)
            who = f"client {client_id!r}, user {username!r}"
            assert {topic for topic in topics if rights.may_read(topic)} == seen, who
            published = {topic for topic in topics if await client.publish(topic)}
            assert {topic for topic in topics if rights.may_publish(topic)} == published, who
            if seen:
                assert all(rights.may_subscribe(topic) for topic in seen), who
        for client in (root, *(client for client, _ in clients)):
            await client.close()


@pytest.mark.parametrize(
    ("content", "is_good"),
    [
        ("", True),
        ("# nothing\n", True),
        ("topic a b", False),
        ("topic read a b", True),
        ("topic read", True),
        ("topic", False),
        ("topic a/#/b", False),
        ("topic a+", False),
        ("topic deny #", True),
        ("pattern %c", True),
        ("pattern", False),
        ("user", False),
        ("user  ", False),
        ("user a b", True),
        ("users a", False),
        ("Topic a", False),
        (" topic a", True),
        (" # a", False),
        ("\ttopic a", False),
        ("topic\ta", False),
        ("topic readonly a", False),
        ("topic a\r\nuser b\r\ntopic read c\r\n", True),
    ],
)
def test_a_file_is_refused_where_mosquitto_refuses_it(content: str, is_good: bool, tmp_path: Path) -> None:
    path = tmp_path / "acl"
    path.write_bytes(content.encode())
    try:
        parse_acl(content, path)
        ours = True
    except AccessError:
        ours = False
    broker = Mosquitto(tmp_path, lines=[f"acl_file {path}"])
    assert ours is is_good
    if is_good:
        with broker:
            pass
    else:
        with pytest.raises(RuntimeError), broker:
            pass
