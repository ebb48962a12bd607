"""A real Apache ActiveMQ Artemis for a test, with MQTT on its own port, in its own folder and process.

    with Artemis(tmp_path) as broker:
        ... connect to 127.0.0.1:broker.port

It writes its journal to the disk before it acknowledges. `acceptor` is put behind the address of its MQTT acceptor
(`receiveMaximum=3;maximumPacketSize=3000`).
"""

from __future__ import annotations

from pathlib import Path

from tests.support.java_broker import JavaBroker

_CONFIG = """\
<configuration xmlns="urn:activemq">
  <core xmlns="urn:activemq:core">
    <persistence-enabled>true</persistence-enabled>
    <journal-type>NIO</journal-type>
    <journal-directory>{folder}/data/journal</journal-directory>
    <bindings-directory>{folder}/data/bindings</bindings-directory>
    <large-messages-directory>{folder}/data/large</large-messages-directory>
    <paging-directory>{folder}/data/paging</paging-directory>
    <security-enabled>false</security-enabled>
    <max-disk-usage>100</max-disk-usage>
    <acceptors>
      <acceptor name="mqtt">tcp://127.0.0.1:{port}?protocols=MQTT;useEpoll=false;{acceptor}</acceptor>
    </acceptors>
    <address-settings>
      <address-setting match="#"><address-full-policy>PAGE</address-full-policy></address-setting>
    </address-settings>
  </core>
</configuration>
"""


class Artemis(JavaBroker):
    """One Artemis process."""

    name = "artemis"
    main = "Artemis"
    state = ("data",)

    def __init__(self, folder: Path, *, acceptor: str = "") -> None:
        super().__init__(folder)
        (self.folder / "broker.xml").write_text(_CONFIG.format(folder=self.folder, port=self.port, acceptor=acceptor))
