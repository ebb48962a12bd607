"""A gateway process with a door of every kind, for real clients; its cloud is away, which is none of their business.

    site = FrontDoor(folder)
    await site.gateway.start()
    site.doors["tls"]          # where to connect, and what to believe there

Users: `ann` (Argon2id), `alice` and `bob` (hashes of Mosquitto's), each with a password of `PASSWORDS`. Most doors have
`RULES`. The door `files` reads an ACL file that a test may rewrite (`FrontDoor.allow`); SIGHUP makes it hold.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from tests.support.certificates import Authority, Pair
from tests.support.passwords import MOSQUITTO_LINES, quick_hash
from tests.support.ports import steady_port
from tests.support.site import GatewayProcess
from tests.support.tokens import SECRET

PASSWORDS = {"ann": "ann's own", "alice": "secret", "bob": "secret2"}

RULES: list[dict[str, Any]] = [
    {"name": "free", "topics": ["free/#"]},
    {"name": "own", "topics": ["users/%u/#"]},
    {"name": "drop-box", "actions": ["publish"], "topics": ["box/#"]},
    {"name": "secret", "effect": "deny", "actions": ["read"], "topics": ["free/secret/#"]},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a client connects, and how."""

    name: str
    transport: str = "tcp"
    port: int = 0
    path: Path | None = None
    """Of a Unix socket."""
    ca_file: Path | None = None
    pair: Pair | None = None
    """The client's own certificate."""

    @property
    def is_tls(self) -> bool:
        """Whether the server has to be believed first."""
        return self.transport in {"tls", "wss"}

    @property
    def is_websocket(self) -> bool:
        """Whether MQTT goes through WebSocket."""
        return self.transport in {"ws", "wss"}


class FrontDoor:
    """The process and its doors. `sections` are laid over its configuration."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(folder / "authority")
        self._server = self.authority.server()
        self.doors: dict[str, Door] = {}
        listeners = [
            self._door("open", access="open"),
            self._door("passwords"),
            self._door("tls", transport="tls"),
            self._door("certificate", transport="tls", access="certified", pair=self.authority.client("ann")),
            self._door("ws", transport="ws"),
            self._door("wss", transport="wss"),
            self._door("unix", path=folder / "mqtt.sock"),
            self._door("tokens", access="tokens"),
            self._door("files", access="files"),
            self._door("narrow", access="open", receive_maximum=1, max_keep_alive="4s", topic_alias_maximum=3),
        ]
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        lines = (f"ann:{quick_hash(PASSWORDS['ann'])}", *MOSQUITTO_LINES)
        passwords.write_text("".join(f"{line}\n" for line in lines))
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_bytes(SECRET)
        self.acl_file = folder / "acl"
        self.allow("topic readwrite #")
        known = {"password_file": str(passwords), "anonymous": "refuse"}
        tokens = {"key_file": str(secret), "algorithm": "HS256", "audience": "fieldgate"}
        access = [
            {"name": "open"},
            {"name": "default", **known, "rules": RULES},
            {"name": "certified", "rules": RULES},
            {"name": "tokens", "jwt": tokens, "anonymous": "refuse", "rules": RULES},
            {"name": "files", "password_file": str(passwords), "acl_file": str(self.acl_file)},
        ]
        self.gateway = GatewayProcess(
            folder / "edge",
            cloud_port=steady_port(),
            uplink={"retry": {"first": "5s", "max": "60s"}},
            **{"listeners": listeners, "access": access, "limits": {"sys_interval": "1s"}, **sections},
        )

    def _door(
        self, name: str, *, transport: str = "tcp", path: Path | None = None, pair: Pair | None = None, **more: Any
    ) -> dict[str, Any]:
        ca_file = self.authority.ca_file if transport in {"tls", "wss"} else None
        door = Door(
            name=name, transport=transport, port=0 if path else steady_port(), path=path, ca_file=ca_file, pair=pair
        )
        self.doors[name] = door
        bind = f"unix:{path}" if path else f"127.0.0.1:{door.port}"
        listener: dict[str, Any] = {"name": name, "transport": transport, "bind": bind, **more}
        if door.is_tls:
            listener["tls"] = {"cert_file": str(self._server.cert_file), "key_file": str(self._server.key_file)}
        if pair is not None:
            listener["tls"] |= {
                "ca_file": str(ca_file), "client_certificate": "required", "username_from": "common_name",
            }  # fmt: skip
        return listener

    def allow(self, *lines: str) -> None:
        """Write the ACL file of the door `files`, for `ann`; it holds after `hang_up`."""
        self.acl_file.write_text("".join(f"{line}\n" for line in ("user ann", *lines)))

    def hang_up(self) -> None:
        """SIGHUP: files are to be read again."""
        assert self.gateway.process is not None
        self.gateway.process.send_signal(signal.SIGHUP)

    def token(self, user: str, **claims: Any) -> str:
        """A token that the door `tokens` believes."""
        return jwt.encode({"sub": user, "aud": "fieldgate", "exp": 4_000_000_000, **claims}, SECRET, algorithm="HS256")
