"""Mosquitto's listeners, and who may come in at each, as `listeners` and `access`. Pure.

A door that would be wider than Mosquitto's is not made: it is left out, and a remark says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.cli.import_mosquitto.conf import Conf, Line, Section
from gateway.cli.import_mosquitto.remarks import Remarks
from gateway.cli.import_mosquitto.values import flag, text, whole

MAX_CONNECTIONS: Final = 1_000_000
MQTT_PORT: Final = 1883
_TLS_OPTIONS: Final = (
    "cafile", "certfile", "crlfile", "keyfile", "require_certificate", "tls_version", "use_identity_as_username",
    "use_subject_as_username",
)  # fmt: skip

_PLUGINS: Final = frozenset({"plugin", "auth_plugin", "global_plugin", "plugin_load", "plugin_use"})
_HARMLESS_PLUGINS: Final = ("mosquitto_persist_sqlite", "persist_sqlite", "persist-sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Security:
    """Who may come in, as Mosquitto has it."""

    allow_anonymous: bool
    password_file: str | None
    acl_file: str | None
    has_plugin: bool


def decides(line: Line) -> bool:
    """Whether a line brings in a plugin that may say who comes in and who does what; those that are known not to, not.

    A plugin narrows what anonymous clients, users of a password file and an ACL file let in and allow.
    """
    if line.option not in _PLUGINS:
        return False
    return not any(name in line.value for name in _HARMLESS_PLUGINS)


class Doors:
    """`listeners` and `access`, filled by `build`."""

    def __init__(self, conf: Conf, remarks: Remarks, *, has_ipv6: bool, common: dict[str, Any]) -> None:
        """`common`: what every listener has."""
        self.listeners: list[dict[str, Any]] = []
        self.access: list[dict[str, Any]] = []
        self._conf = conf
        self._remarks = remarks
        self._has_ipv6 = has_ipv6
        self._common = common
        default = conf.default_listener
        self._is_local_only = not conf.listeners and not default.has("port") and not default.has("bind_address")

    def build(self) -> None:
        """Everything."""
        conf = self._conf
        shared = None if conf.is_per_listener else self._security(conf.general)
        default = conf.default_listener
        is_open = not conf.listeners or default.has("port") or default.has("bind_address")
        if is_open:
            self._listener(default, shared or self._security(default))
        for section in conf.listeners:
            self._listener(section, shared or self._security(section))
        if not is_open:
            for line in default.take_all(*{line.option for line in default.lines}):
                self._remarks.left_out(
                    line,
                    "it stands above the first listener and is about none of them; Mosquitto does not use it either.",
                )

    def _security(self, section: Section) -> _Security:
        remarks = self._remarks
        allow, _ = flag(section, "allow_anonymous", remarks)
        password_file, _ = text(section, "password_file", remarks)
        acl_file, acl_line = text(section, "acl_file", remarks)
        allows = self._is_local_only if allow is None else allow
        if acl_line is not None and password_file is None and allows:
            remarks.different(
                acl_line,
                "without a password_file Mosquitto believes any user name; here one that nobody has proved is not "
                "believed, and the lines below its `user` do not hold for it.",
            )
        return _Security(
            allow_anonymous=allows,
            password_file=password_file,
            acl_file=acl_file,
            has_plugin=any(decides(line) for lines in (section.lines, self._conf.general.lines) for line in lines),
        )

    # ---- one listener ---------------------------------------------------------------------------------------------

    def _listener(self, section: Section, security: _Security) -> None:
        remarks = self._remarks
        made: dict[str, Any] = {"name": "", "transport": "tcp", "bind": self._bind(section)}
        is_websocket = self._protocol(section)
        is_tls = self._tls(section, made)
        made["transport"] = ("wss" if is_tls else "ws") if is_websocket else ("tls" if is_tls else "tcp")
        origins = section.take_all("websockets_origin")
        if is_websocket and origins:
            made["websocket_origins"] = [line.value for line in origins]
        else:
            for line in origins:
                remarks.needless(line, "this listener speaks no WebSocket.")
        self._limits(section, made)
        own, _ = flag(section, "listener_allow_anonymous", remarks)
        if own is not None:
            security = replace(security, allow_anonymous=own)
        reason = self._why_not(section, security, made)
        is_own_name, name_line = flag(section, "use_username_as_clientid", remarks)
        if is_own_name is False and name_line is not None:
            remarks.needless(name_line, "the gateway takes client ids as they are.")
        elif is_own_name:
            remarks.different(
                name_line,
                "Mosquitto puts the user name in the client id's place; here a client with another id is refused.",
            )
        if reason is not None:
            self._leave_out(section, made, reason)
            return
        if is_websocket:
            remarks.different(
                section.head, "Mosquitto takes WebSockets under any path; here it is websocket_path: /mqtt by default."
            )
        made["name"] = self._name(made)
        made["access"] = self._access(security, made["name"], is_own_name=bool(is_own_name))
        self.listeners.append({**made, **self._common})

    def _bind(self, section: Section) -> str:
        remarks, host = self._remarks, None
        if section.head is not None:
            port, _, host = section.head.value.partition(" ")
            host = host.strip() or None
        else:
            number, _ = whole(section, "port", remarks)
            port = str(number or MQTT_PORT)
            host, _ = text(section, "bind_address", remarks)
        domain, line = text(section, "socket_domain", remarks)
        if port == "0" and host is not None:
            if line is not None:
                remarks.needless(line, "a Unix socket has no address.")
            return f"unix:{host}"
        if host is not None:
            if line is not None:
                remarks.needless(line, "the address says it.")
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if self._is_local_only:
            return f"127.0.0.1:{port}"
        if domain == "ipv6":
            remarks.different(line, "a listener bound to [::] takes connections of IPv4 too.")
        return f"[::]:{port}" if domain == "ipv6" or (domain is None and self._has_ipv6) else f"0.0.0.0:{port}"

    def _protocol(self, section: Section) -> bool:
        protocol, line = text(section, "protocol", self._remarks)
        if protocol not in {None, "mqtt", "mqttv3", "websockets"} and line is not None:
            self._remarks.left_out(line, "expected mqtt or websockets; the listener speaks mqtt.")
        return protocol == "websockets"

    def _tls(self, section: Section, made: dict[str, Any]) -> bool:
        """The `tls` section; whether there is one."""
        remarks = self._remarks
        if not (section.has("certfile") and section.has("keyfile")):
            for line in section.take_all(*_TLS_OPTIONS):
                remarks.left_out(line, "without both certfile and keyfile there is no TLS on this listener.")
            return False
        cert_file, _ = text(section, "certfile", remarks)
        key_file, _ = text(section, "keyfile", remarks)
        ca_file, ca_line = text(section, "cafile", remarks)
        crl_file, crl_line = text(section, "crlfile", remarks)
        is_required, _ = flag(section, "require_certificate", remarks)
        is_identity, identity_line = flag(section, "use_identity_as_username", remarks)
        is_subject, subject_line = flag(section, "use_subject_as_username", remarks)
        version_line = section.take("tls_version")
        tls: dict[str, Any] = {"cert_file": cert_file, "key_file": key_file}
        made["tls"] = tls
        if version_line is not None:
            self._version(version_line, tls)
        names_user = bool(is_identity or is_subject)
        if names_user and not is_required:
            remarks.different(
                identity_line if is_identity else subject_line,
                "without require_certificate Mosquitto asks for none and lets nobody in; here one is required.",
            )
        if is_required or names_user:
            tls |= {key: file for key, file in (("ca_file", ca_file), ("crl_file", crl_file)) if file is not None}
            tls["client_certificate"] = "required"
        else:
            for unused in filter(None, (ca_line, crl_line)):
                remarks.needless(
                    unused,
                    "no client certificates are asked for. If clients need certificates between this one and its root, "
                    "append them to cert_file.",
                )
        if names_user:
            tls["username_from"] = "common_name"
        if is_subject and not is_identity and subject_line is not None:
            remarks.left_out(
                subject_line,
                "a user name can't be the whole subject here; it is the common name: write that in the ACL file.",
            )
        return True

    def _version(self, line: Line, tls: dict[str, Any]) -> None:
        if line.value == "tlsv1.3":
            tls["min_version"] = "1.3"
        elif line.value != "tlsv1.2":
            self._remarks.different(line, "TLS 1.2 is the oldest version that is spoken here.")

    def _limits(self, section: Section, made: dict[str, Any]) -> None:
        remarks = self._remarks
        number, line = whole(section, "max_connections", remarks, lowest=-1)
        if number is not None:
            if number > 0:
                made["max_connections"] = min(number, MAX_CONNECTIONS)
            else:
                remarks.different(line, "connections have a bound here: max_connections is 10000 by default.")
        number, _ = whole(section, "max_topic_alias", remarks)
        if number is not None:
            made["topic_alias_maximum"] = min(number, 65535)
        proxy, line = text(section, "enable_proxy_protocol", remarks)
        if proxy == "2":
            made["proxy_protocol"] = "v2"
        elif line is not None:
            made["proxy_protocol"] = "v1"

    # ---- who may come in ------------------------------------------------------------------------------------------

    def _why_not(self, section: Section, security: _Security, made: dict[str, Any]) -> str | None:
        """Why the listener can't be made as narrow as it was; None where it can."""
        tls = made.get("tls", {})
        if section.has("mount_point"):
            return "it has a mount_point, and without one its clients would meet the topics of the others"
        if section.has("psk_hint") and not tls:
            return "it takes pre-shared keys only, and there is no TLS with those here"
        if made.get("proxy_protocol") == "v1":
            return "version 1 of the PROXY protocol is not spoken; have the load balancer send version 2"
        if tls.get("client_certificate") == "required" and "ca_file" not in tls:
            return "it requires client certificates and there is no cafile that says whose"
        if section.has("bind_interface") and made["bind"].startswith(("[::]:", "0.0.0.0:")):
            return "it is for one network interface only; write the interface's address behind its port"
        if self._conf.general.has("clientid_prefixes"):
            return "only client ids with certain prefixes may come in; write users and rules for them, then add it"
        if security.has_plugin:
            return (
                "who may come in, and do what there, is decided by a plugin; write a password_file, jwt or http, and "
                "rules, then add it"
            )
        if security.allow_anonymous or security.password_file is not None or tls.get("username_from"):
            return None
        return "it lets nobody in: allow_anonymous is not true, and there is no password_file"

    def _leave_out(self, section: Section, made: dict[str, Any], reason: str) -> None:
        head = section.head or Line(file="", number=0, option="the default listener")
        sentence = f"this listener was left out: {reason}."
        if section.head is None:
            self._remarks.different(None, f"The listener {made['bind']} was left out: {reason}.")
        else:
            self._remarks.left_out(head, sentence)
        for line in section.lines:
            self._remarks.left_out(line, "its listener was left out.")
        section.lines = []

    def _access(self, security: _Security, name: str, *, is_own_name: bool) -> str:
        """The name of the access that says so; listeners with the same one share it."""
        made: dict[str, Any] = {"anonymous": "refuse"}
        if security.allow_anonymous:
            is_open = security.password_file is not None or not self._is_local_only
            made["anonymous"] = "allow" if is_open else "local"
        if security.password_file is not None:
            made["password_file"] = security.password_file
        if is_own_name:
            made["client_id_is_username"] = True
        if security.acl_file is not None:
            made["acl_file"] = security.acl_file
        for access in self.access:
            if {key: value for key, value in access.items() if key != "name"} == made:
                return str(access["name"])
        own = "default" if not self.access else name
        self.access.append({"name": own, **made})
        return own

    def _name(self, made: dict[str, Any]) -> str:
        bind = str(made["bind"])
        end = "unix" if bind.startswith("unix:") else bind.rpartition(":")[2]
        base = re.sub(r"[^A-Za-z0-9_-]", "-", f"{made['transport']}-{end}")
        names, name, number = {listener["name"] for listener in self.listeners}, base, 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        return name
