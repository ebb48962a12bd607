"""An honest client, to see whether a gateway still does its work after what others did to it."""

from __future__ import annotations

import secrets

from tests.support.plain_mqtt import PlainClient


async def prove_alive(port: int, *, host: str = "127.0.0.1") -> None:
    """A new client subscribes with QoS 1, publishes with QoS 1, gets its acknowledgement (4) and its message (3)."""
    name = secrets.token_hex(4)
    client = await PlainClient.connect(host, port, f"honest-{name}")
    seen: set[int] = set()
    try:
        topic, payload = f"honest/{name}", secrets.token_bytes(20)
        assert await client.subscribe(topic) == 1
        client.publish(topic, payload, packet_id=7)
        while seen != {3, 4}:
            packet = await client.read()
            if packet.kind == 4:
                assert packet.packet_id == 7
            elif packet.payload == payload:  # others' retained messages may come as well
                client.ack(packet.packet_id)
            else:
                continue
            seen.add(packet.kind)
    except TimeoutError:
        raise AssertionError(f"of an honest client's PUBACK and its own message, only {sorted(seen)} came") from None
    finally:
        await client.abort()
