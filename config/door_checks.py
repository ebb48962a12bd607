"""What must hold between the keys of the front door: listeners, the access that each names, and room for queues."""

from __future__ import annotations

from config.errors import nearest
from config.findings import Findings
from config.settings import (
    Access,
    Anonymous,
    ClientCertificate,
    GatewaySettings,
    Listener,
    ListenerTls,
    ProxyProtocol,
    UnixPath,
    UsernameFrom,
)
from config.units import format_size

SPOOL_SHARE = 2
"""One packet may have one part in so many of the spool; queues and retained messages together another."""


class DoorChecks:
    """Reports to `findings` what is wrong with the doors of `settings`."""

    def __init__(self, findings: Findings, settings: GatewaySettings) -> None:
        self._findings = findings
        self._settings = settings
        self._access = {access.name: access for access in settings.access}

    def check(self) -> None:
        """Everything."""
        findings = self._findings
        for label, access in zip(findings.labels("access"), self._settings.access, strict=True):
            self._authentication(f"access[{label}]", access)
        for label, listener in zip(findings.labels("listeners"), self._settings.listeners, strict=True):
            key = f"listeners[{label}]"
            self._certificates(f"{key}.tls", listener)
            self._websocket(key, listener)
            self._balancers(key, listener)
            self._packet_size(key, listener)
            named = self._access_of(key, listener)
            if named is not None and findings.sound(f"{key}.bind", f"{key}.tls", f"{key}.proxy_protocol"):
                self._anonymous(key, listener, named)
        self._queues()

    # ---- listeners ------------------------------------------------------------------------------------------------

    def _certificates(self, key: str, listener: Listener) -> None:
        tls, findings = listener.tls, self._findings
        if not findings.sound(key, f"{key.removesuffix('.tls')}.transport"):
            return
        if not listener.transport.is_tls:
            if tls != ListenerTls():
                findings.report(
                    key,
                    f"the transport {listener.transport.value} uses no TLS; write transport: "
                    f"{'wss' if listener.transport.is_websocket else 'tls'}, or remove the tls section",
                )
            return
        for name, what in (("cert_file", "certificate"), ("key_file", "private key")):
            if getattr(tls, name) is None:
                sentence = f"the transport {listener.transport.value} needs a {what}; write its file as {name}"
                findings.report(f"{key}.{name}", sentence)
        asks = tls.client_certificate is not ClientCertificate.NONE
        if asks and tls.ca_file is None:
            sentence = (
                "nobody's client certificates are believed; write ca_file, the certificates of those who sign them"
            )
            findings.report(f"{key}.client_certificate", sentence)
        if not asks and tls.ca_file is not None:
            sentence = "client certificates are not asked for; write client_certificate: required, or optional"
            findings.report(f"{key}.ca_file", sentence)
        if not asks and tls.username_from is not UsernameFrom.PASSWORD:
            sentence = "certificates are not asked for, so none can name the user; write client_certificate: required"
            findings.report(f"{key}.username_from", sentence)
        if tls.crl_file is not None and tls.ca_file is None:
            findings.report(f"{key}.crl_file", "a list of revoked certificates needs ca_file, those who signed them")

    def _websocket(self, key: str, listener: Listener) -> None:
        if not self._findings.sound(f"{key}.transport") or listener.transport.is_websocket:
            return
        default = Listener()
        for name in ("websocket_path", "websocket_origins"):
            if getattr(listener, name) != getattr(default, name):
                sentence = (
                    f"the transport {listener.transport.value} is no WebSocket; write ws or wss, or remove {name}"
                )
                self._findings.report(f"{key}.{name}", sentence)

    def _balancers(self, key: str, listener: Listener) -> None:
        if not listener.proxy_addresses or not self._findings.sound(f"{key}.proxy_protocol", f"{key}.bind"):
            return
        if listener.proxy_protocol is ProxyProtocol.OFF:
            sentence = "no load balancer is expected; write proxy_protocol: v2, or remove proxy_addresses"
            self._findings.report(f"{key}.proxy_addresses", sentence)
        elif isinstance(listener.bind, UnixPath):
            sentence = "who comes by a Unix socket has no address; remove proxy_addresses"
            self._findings.report(f"{key}.proxy_addresses", sentence)

    def _packet_size(self, key: str, listener: Listener) -> None:
        findings, key = self._findings, f"{key}.max_packet_size"
        limit_bytes = self._settings.spool.max_size_bytes // SPOOL_SHARE
        if findings.sound(key, "spool.max_size") and findings.is_written(key):
            size_bytes = listener.max_packet_size_bytes
            if size_bytes > limit_bytes:
                findings.report(
                    key,
                    f"a packet of {format_size(size_bytes)} would not fit into the spool: expected at most half of "
                    f"spool.max_size, {format_size(limit_bytes)}",
                )

    # ---- access ---------------------------------------------------------------------------------------------------

    def _access_of(self, key: str, listener: Listener) -> Access | None:
        """The access that a listener names, where it is certain which."""
        findings = self._findings
        if not findings.sound(f"{key}.access", *(f"access[{label}].name" for label in findings.labels("access"))):
            return None
        access = self._access.get(listener.access)
        if access is None and self._access:
            names = list(self._access)
            hint = nearest(listener.access, names) or f"; expected {' or '.join(names)}"
            findings.report(f"{key}.access", f"there is no access {listener.access!r}{hint}")
        return access

    def _authentication(self, key: str, access: Access) -> None:
        findings = self._findings
        if access.jwt.key_file is None and findings.sound(f"{key}.jwt"):
            for name in ("algorithm", "username_claim", "audience", "issuer"):
                if getattr(access.jwt, name) != getattr(Access().jwt, name):
                    findings.report(
                        f"{key}.jwt.{name}", "tokens are off; write key_file, the key that they are checked with"
                    )
        if access.http.url is None and findings.sound(f"{key}.http"):
            for name, attribute in (("timeout", "timeout_s"), ("cache", "cache_s")):
                if getattr(access.http, attribute) != getattr(Access().http, attribute):
                    findings.report(f"{key}.http.{name}", "no service is asked; write its url")
        rules = access.rules or ()
        for number, (label, rule) in enumerate(zip(findings.labels(f"{key}.rules"), rules, strict=True)):
            dotted = f"{key}.rules[{label}].name"
            if findings.sound(dotted) and rule.name in [other.name for other in rules[:number]]:
                findings.report(dotted, f"the name {rule.name!r} is taken by another of the rules; give each its own")

    def _anonymous(self, key: str, listener: Listener, access: Access) -> None:
        """A door to the world needs a way to prove who one is, or the words that none is wanted."""
        findings, tls = self._findings, listener.tls
        label = findings.labels("access")[self._settings.access.index(access)]
        if not findings.sound(f"access[{label}]"):
            return
        is_certain = (
            tls.username_from is not UsernameFrom.PASSWORD and tls.client_certificate is not ClientCertificate.NONE
        )
        if access.has_authentication or is_certain or access.anonymous is Anonymous.ALLOW:
            return
        if access.anonymous is Anonymous.REFUSE:
            findings.report(
                f"{key}.access",
                f"nobody could come in: the access {access.name!r} refuses anonymous clients and has no way to prove "
                "who one is; write a password_file, jwt or http there, or take user names from client certificates "
                "(tls.username_from)",
            )
        elif not listener.is_local:
            findings.report(
                f"{key}.bind",
                "clients from other machines could come in here without proving who they are; give the access "
                f"{access.name!r} a password_file (or jwt, or http), or write anonymous: allow in it if that is wanted",
            )

    # ---- room -----------------------------------------------------------------------------------------------------

    def _queues(self) -> None:
        """Queues and retained messages are in the spool's database, beside the records for the cloud."""
        findings, settings = self._findings, self._settings
        queued, retained = "sessions.max_total_queued_bytes", "retained.max_bytes"
        if not findings.sound(queued, retained, "spool.max_size"):
            return
        written = [key for key in (queued, retained) if findings.is_written(key)]
        total_bytes = settings.sessions.max_total_queued_bytes + settings.retained.max_bytes
        limit_bytes = settings.spool.max_size_bytes // SPOOL_SHARE
        if written and total_bytes > limit_bytes:
            findings.report(
                written[0],
                f"{queued} and {retained} together are {format_size(total_bytes)}: expected at most half of "
                f"spool.max_size, {format_size(limit_bytes)}, so that room is left for the records",
            )
