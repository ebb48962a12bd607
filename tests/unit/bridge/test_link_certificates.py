"""Certificates of a link that were renewed in place: the next connection has them, whatever the settings say."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from bridge.link import LinkSettings, MqttLink
from bridge.ports import Delivery
from config.settings import BrokerUrl, Tls
from tests.support.certificates import Authority, Pair

TIMEOUT_S = 30
CONNACK = bytes.fromhex("200300 00 00")


class Owner:
    """Has nothing to keep."""

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None: ...

    def on_delivery(self, delivery: Delivery) -> None: ...

    def on_lost(self, error: Exception) -> None: ...


async def test_the_next_connection_shows_the_renewed_certificate_and_believes_the_renewed_authority(
    tmp_path: Path,
) -> None:
    first = Authority(tmp_path / "first")
    device = first.client("device")
    shown: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("ssl_object").getpeercert()
        shown.append(int(certificate["serialNumber"], 16))
        await reader.read(1)
        writer.write(CONNACK)
        await reader.read()
        writer.close()

    async def connect(authority: Authority, pair: Pair) -> None:
        """To a broker of this authority that asks for a certificate of it; the files are always the same."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.cert_file, pair.key_file)
        broker = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = broker.sockets[0].getsockname()[1]
        tls = Tls(ca_file=first.ca_file, cert_file=device.cert_file, key_file=device.key_file)
        settings = LinkSettings(url=BrokerUrl(host="127.0.0.1", port=port, tls=True), client_id="edge", tls=tls)
        async with asyncio.timeout(TIMEOUT_S):
            link = MqttLink(settings, Owner())
            try:
                await link.connect()
            finally:
                await link.close()
                broker.close()
                await broker.wait_closed()

    await connect(first, first.server())
    renewed = first.client("device")  # of the same name: it replaces the files
    await connect(first, first.server())
    second = Authority(tmp_path / "second")
    moved = second.client("device")
    for old, new in (
        (first.ca_file, second.ca_file),
        (device.cert_file, moved.cert_file),
        (device.key_file, moved.key_file),
    ):
        old.write_bytes(new.read_bytes())
    await connect(second, second.server())
    assert shown == [pair.certificate.serial_number for pair in (device, renewed, moved)]
