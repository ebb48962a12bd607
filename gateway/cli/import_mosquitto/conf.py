"""The lines of mosquitto.conf, and what each of them is about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

BRIDGE_OPTIONS: Final = frozenset({
    "address", "addresses", "bridge_alpn", "bridge_attempt_unsubscribe", "bridge_bind_address", "bridge_cafile",
    "bridge_capath", "bridge_certfile", "bridge_ciphers", "bridge_ciphers_tls1.3", "bridge_identity",
    "bridge_insecure", "bridge_keyfile", "bridge_max_packet_size", "bridge_max_topic_alias",
    "bridge_outgoing_retain", "bridge_protocol_version", "bridge_psk", "bridge_receive_maximum",
    "bridge_reload_type", "bridge_require_ocsp", "bridge_session_expiry_interval", "bridge_tcp_keepalive",
    "bridge_tcp_user_timeout", "bridge_tls_use_os_certs", "bridge_tls_version", "cleansession", "clientid",
    "idle_timeout", "keepalive_interval", "local_cleansession", "local_clientid", "local_password",
    "local_username", "notification_topic", "notifications", "notifications_local_only", "password",
    "remote_clientid", "remote_password", "remote_username", "restart_timeout", "round_robin", "start_type",
    "threshold", "topic", "try_private", "username",
})  # fmt: skip
"""What is about the `connection` above it."""

LISTENER_OPTIONS: Final = frozenset({
    "accept_protocol_versions", "bind_interface", "cafile", "capath", "certfile", "ciphers", "ciphers_tls1.3",
    "crlfile", "dhparamfile", "disable_client_cert_date_checks", "enable_proxy_protocol", "http_dir", "keyfile",
    "max_connections", "max_qos", "max_topic_alias", "max_topic_alias_broker", "mount_point", "protocol",
    "proxy_protocol_v2_require_tls", "psk_hint", "require_certificate", "socket_domain", "tls_engine",
    "tls_engine_kpass_sha1", "tls_keyform", "tls_version", "use_identity_as_username", "use_subject_as_username",
    "use_username_as_clientid", "websockets_origin",
})  # fmt: skip
"""What is about the `listener` above it, or about the one on port 1883 that needs no line of its own."""

SECURITY_OPTIONS: Final = frozenset({
    "acl_file", "allow_anonymous", "allow_zero_length_clientid", "auth_plugin", "auth_plugin_deny_special_chars",
    "auto_id_prefix", "listener_allow_anonymous", "listener_auto_id_prefix", "password_file", "plugin", "psk_file",
})  # fmt: skip
"""What is about the listener above it where `per_listener_settings` is true, and about all of them else."""

_PREFIXES: Final = ("auth_opt_", "plugin_opt_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One option as it was written, and where."""

    file: str
    number: int
    option: str
    value: str = ""

    @property
    def place(self) -> str:
        """`mosquitto.conf:12`."""
        return f"{self.file}:{self.number}"


@dataclass(slots=True, kw_only=True)
class Section:
    """The lines about one thing; whoever understands one takes it out."""

    head: Line | None = None
    """The `listener` or `connection` that it begins with; None for what is general, and for the default listener."""
    lines: list[Line] = field(default_factory=list)
    overridden: list[Line] = field(default_factory=list)

    def take(self, option: str) -> Line | None:
        """The last line of this option, as Mosquitto has it; those before it are `overridden`."""
        found = self.take_all(option)
        self.overridden += found[:-1]
        return found[-1] if found else None

    def take_all(self, *options: str) -> list[Line]:
        """All lines of these options, in their order."""
        found = [line for line in self.lines if line.option in options]
        self.lines = [line for line in self.lines if line.option not in options]
        return found

    def has(self, option: str) -> bool:
        """Whether there is a line of it."""
        return any(line.option == option for line in self.lines)


@dataclass(slots=True, kw_only=True)
class Conf:
    """The whole configuration."""

    general: Section = field(default_factory=Section)
    default_listener: Section = field(default_factory=Section)
    """What is about listeners and stands above the first of them."""
    listeners: list[Section] = field(default_factory=list)
    bridges: list[Section] = field(default_factory=list)
    is_per_listener: bool = False

    @property
    def sections(self) -> Sequence[Section]:
        """All of them."""
        return (self.general, self.default_listener, *self.listeners, *self.bridges)


def parse(text: str, file: str) -> list[Line]:
    """The options of a file's text. A comment is a line that begins with `#`; a value goes to the end of its line."""
    lines = []
    for number, written in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        stripped = written.strip()
        if stripped and not stripped.startswith("#"):
            option, *rest = stripped.split(None, 1)
            lines.append(Line(file=file, number=number, option=option, value=rest[0] if rest else ""))
    return lines


def arrange(lines: Iterable[Line]) -> Conf:
    """Each line into its section."""
    lines = list(lines)
    conf = Conf()
    conf.is_per_listener = any(line.option == "per_listener_settings" and line.value == "true" for line in lines)
    listener, bridge, plugin_home = conf.default_listener, None, conf.general
    for line in lines:
        if line.option == "listener":
            listener = Section(head=line)
            conf.listeners.append(listener)
        elif line.option == "connection":
            bridge = Section(head=line)
            conf.bridges.append(bridge)
        elif line.option in BRIDGE_OPTIONS and bridge is not None:
            bridge.lines.append(line)
        elif line.option in LISTENER_OPTIONS or line.option in {"port", "bind_address"}:
            (conf.default_listener if line.option in {"port", "bind_address"} else listener).lines.append(line)
        elif line.option in SECURITY_OPTIONS or line.option.startswith(_PREFIXES):
            is_own = line.option.startswith("listener_")
            plugin_home = listener if conf.is_per_listener or is_own else conf.general
            plugin_home.lines.append(line)
        else:
            conf.general.lines.append(line)
    return conf
