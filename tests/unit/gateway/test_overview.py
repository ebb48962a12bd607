"""What a running gateway says of its local clients."""

from __future__ import annotations

from pathlib import Path

from config.settings import Access, Anonymous, Rule
from tests.support.in_process import running, settings_with
from tests.support.plain_mqtt import PlainClient


async def connected(port: int, client_id: str, *, clean: bool = True) -> PlainClient:
    return await PlainClient.connect("127.0.0.1", port, client_id, clean=clean)


async def test_the_status_counts_who_is_here_who_is_away_and_what_waits_for_them(tmp_path: Path) -> None:
    access = Access(anonymous=Anonymous.ALLOW, rules=(Rule(topics=("open/#",)),))
    async with running(settings_with(tmp_path, access=access)) as (gateway, port):
        away = await connected(port, "away", clean=False)
        assert await away.subscribe("open/#") == 1
        away.write(0xE0, b"")
        await away.closed()
        writer = await connected(port, "writer")
        writer.publish("open/a", b"0123456789", retain=True)
        assert (await writer.read()).kind == 4
        status = gateway.overview.status()
        local = status.broker
        assert (local.connected, local.absent, local.subscriptions) == (1, 1, 1)
        assert local.queued_messages == 1
        assert local.queued_bytes >= 10
        assert (local.retained_messages, local.connects) == (1, 2)
        assert local.retained_bytes >= 10
        writer.publish("shut", b"x", packet_id=2)
        assert (await writer.read()).kind == 4  # 3.1.1 has no other answer (§3.3.5)
        assert gateway.overview.status().broker.refused_publishes == {"not_authorized": 1}
        assert gateway.overview.status().to_dict()["listeners"] == [
            {
                "name": "local",
                "transport": "tcp",
                "bind": f"127.0.0.1:{port}",
                "connections": gateway.listeners[0].connections,
                "certificate_expires_at": None,
            }
        ]
        await writer.abort()
