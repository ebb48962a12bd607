"""paho-mqtt and amqtt's own client as publishers."""

from __future__ import annotations

import logging

import pytest
from amqtt.client import MQTTClient
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.interop.conftest import Edge
from tests.support.site import until


@pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_paho_publishes_arrive_in_order_with_what_they_carry(edge: Edge, protocol: MQTTProtocolVersion) -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="paho", protocol=protocol)
    properties = None
    if protocol is MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("n", "1"), ("n", "2")]
        properties.ContentType = "application/cbor"
        properties.CorrelationData = b"\x00\xff"
    client.connect("127.0.0.1", edge.port)
    client.loop_start()
    try:
        infos: list[MQTTMessageInfo] = [
            client.publish(f"plant/{n % 3}", f"{n}", qos=n % 3, retain=n % 5 == 0, properties=properties)
            for n in range(300)
        ]
        await until(lambda: all(info.is_published() for info in infos), "every publish is answered")
    finally:
        client.disconnect()
        client.loop_stop()
    lines = await edge.received(300)
    for n, line in enumerate(sorted(lines, key=lambda line: int(line["payload"]))):
        assert line["client"] == "paho"
        assert (line["topic"], line["qos"], line["retain"]) == (f"plant/{n % 3}", n % 3, n % 5 == 0)
        if properties is None:
            assert "properties" not in line
        else:
            assert line["properties"]["user_property"] == [["n", "1"], ["n", "2"]]
            assert line["properties"]["content_type"] == "application/cbor"
    for topic in range(3):  # one QoS a topic: [MQTT-4.6.0-6]
        said = [int(line["payload"]) for line in lines if line["topic"] == f"plant/{topic}"]
        assert said == sorted(said)


async def test_publishes_of_amqtts_client_arrive(edge: Edge) -> None:
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    client = MQTTClient(client_id="amqtt", config={"auto_reconnect": False})
    await client.connect(f"mqtt://127.0.0.1:{edge.port}/")
    try:
        for n in range(60):
            await client.publish(f"plant/{n % 3}", f"{n}".encode(), qos=n % 3, retain=n % 4 == 0)
    finally:
        await client.disconnect()
    lines = await edge.received(60)
    for n, line in enumerate(lines):
        assert (line["client"], line["topic"], line["payload"]) == ("amqtt", f"plant/{n % 3}", f"{n}")
        assert (line["qos"], line["retain"]) == (n % 3, n % 4 == 0)
