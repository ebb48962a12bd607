"""A real HiveMQ Community Edition for a test: its own port, folder and process, gone when the test is.

    with HiveMq(tmp_path, users={"edge-01": "secret"}, mqtt="<packets>…</packets>") as broker:
        ... connect to 127.0.0.1:broker.port

Who is not among `users` is not let in. `mqtt` is put into that section of its configuration as it is. `deny(topic)` is
an access rule that refuses publishes, `allow()` takes every such rule back; both hold from the next publish on. With
`tls` its port is a TLS listener with that certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.support.certificates import Pair
from tests.support.java_broker import JavaBroker

_KEYSTORE_PASSWORD = "changeit"
_CONFIG = """\
<hivemq>
  <listeners>{listener}</listeners>
  <mqtt>{mqtt}</mqtt>
  <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
</hivemq>
"""
_TCP = "<tcp-listener><port>{port}</port><bind-address>127.0.0.1</bind-address></tcp-listener>"
_TLS = """\
<tls-tcp-listener><port>{port}</port><bind-address>127.0.0.1</bind-address><tls><keystore>
  <path>{keystore}</path><password>{password}</password><private-key-password>{password}</private-key-password>
</keystore></tls></tls-tcp-listener>"""


class HiveMq(JavaBroker):
    """One HiveMQ process."""

    name = "hivemq"
    main = "HiveMq"
    state = ("data",)

    def __init__(self, folder: Path, *, users: Mapping[str, str], mqtt: str = "", tls: Pair | None = None) -> None:
        super().__init__(folder)
        listener = _TCP.format(port=self.port) if tls is None else self._tls_listener(tls)
        for name in ("conf", "data", "extensions"):
            (self.folder / name).mkdir()
        (self.folder / "conf" / "config.xml").write_text(_CONFIG.format(listener=listener, mqtt=mqtt))
        (self.folder / "users").write_text("".join(f"{name}:{password}\n" for name, password in users.items()))

    def _tls_listener(self, tls: Pair) -> str:
        key = serialization.load_pem_private_key(tls.key_file.read_bytes(), None)
        sealed = serialization.BestAvailableEncryption(_KEYSTORE_PASSWORD.encode())
        keystore = self.folder / "keystore.p12"
        keystore.write_bytes(
            pkcs12.serialize_key_and_certificates(b"server", key, tls.certificate, None, sealed)  # type: ignore[arg-type]
        )
        return _TLS.format(port=self.port, keystore=keystore, password=_KEYSTORE_PASSWORD)

    def start(self) -> None:
        """Start it and return when it listens."""
        (self.folder / "data").mkdir(exist_ok=True)
        super().start()

    def deny(self, topic: str) -> None:
        """Nobody may publish to that topic."""
        with (self.folder / "denied").open("a") as rules:
            rules.write(f"{topic}\n")

    def allow(self) -> None:
        """Everybody may publish anywhere."""
        (self.folder / "denied").unlink(missing_ok=True)
