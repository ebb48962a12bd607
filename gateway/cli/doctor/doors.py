"""The doors: ports and sockets that are free or ours, certificates, and the files that say who may come in."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import socket
import stat
from pathlib import Path

from config.settings import Address, ApiTls, GatewaySettings, ListenerTls, UnixPath
from gateway.cli.doctor import proc
from gateway.cli.doctor.finding import Report


def check_ports(settings: GatewaySettings, gateway: int | None) -> Report:
    """Whether each address can be had; `gateway` is the process of the gateway that runs on the data folder."""
    report = Report("ports")
    doors: list[tuple[str, Address | UnixPath]] = [(f"listener {one.name}", one.bind) for one in settings.listeners]
    for name, bind in [*doors, ("api", settings.api.bind)]:
        if isinstance(bind, UnixPath):
            _socket(report, name, bind.path, is_running=gateway is not None)
        elif bind.port:
            _port(report, name, bind, gateway)
        else:
            report.ok(f"{name}: any free port")
    return report


def _port(report: Report, name: str, bind: Address, gateway: int | None) -> None:
    try:
        found = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found[:1]:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        _taken(report, name, bind, gateway, error)
    else:
        report.ok(f"{name}: {bind} is free")


def _taken(report: Report, name: str, bind: Address, gateway: int | None, error: OSError) -> None:
    if error.errno == errno.EADDRINUSE:
        by = proc.holders(bind.port)
        if gateway is not None and (gateway in by or not by):
            report.ok(f"{name}: {bind} is held by the gateway (process {gateway})")
            return
        who = " and ".join(f"{program} (process {number})" for number, program in by.items()) or "another program"
        report.wrong(f"{name}: {bind} is held by {who}", "Stop that, or choose another port.")
    elif error.errno == errno.EACCES:
        report.wrong(
            f"{name}: this user may not listen on {bind}",
            "Choose a port from 1024 on, or write AmbientCapabilities=CAP_NET_BIND_SERVICE into the unit.",
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        report.wrong(f"{name}: {bind.host} is no address of this machine", "See `ip address`, and write one of those.")
    elif isinstance(error, socket.gaierror):
        report.wrong(f"{name}: the name {bind.host} is not known: {error.strerror}", "Write an IP address.")
    else:
        report.wrong(f"{name}: nobody can listen on {bind}: {error.strerror}", "Choose another address.")


def _socket(report: Report, name: str, path: Path, *, is_running: bool) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        probe.connect(str(path))
        if is_running:
            report.ok(f"{name}: {path} is held by the gateway")
        else:
            report.wrong(f"{name}: another program listens on {path}", "Stop it, or choose another path.")
        return
    if not path.parent.is_dir():
        report.wrong(f"{name}: there is no folder {path.parent}", f"Make it: install -d -o USER {path.parent}")
    elif not os.access(path.parent, os.W_OK):
        report.wrong(f"{name}: {path.parent} can't be written by this user", "Give it to the gateway's user.")
    else:
        report.ok(f"{name}: {path} is free")


def check_certificates(settings: GatewaySettings, now: dt.datetime) -> Report:
    """Every certificate that a listener, an uplink or the api uses, and how long it holds."""
    report = Report("certificates")
    for listener in settings.listeners:
        if listener.transport.is_tls:
            _server(report, f"listener {listener.name}", listener.tls, now)
    if settings.api.tls != ApiTls():
        own = ListenerTls(cert_file=settings.api.tls.cert_file, key_file=settings.api.tls.key_file)
        _server(report, "api", own, now)
    for uplink in settings.uplinks:
        for path in filter(None, (uplink.tls.cert_file, uplink.tls.ca_file)):
            _expiry(report, f"uplink {uplink.name}", path, now)
        if uplink.tls.key_file is not None:
            _private(report, f"uplink {uplink.name}", uplink.tls.key_file)
    return report


def _server(report: Report, name: str, tls: ListenerTls, now: dt.datetime) -> None:
    from gateway.listener.certificates import CertificateError, load

    try:
        load(tls, alpn="mqtt")
    except CertificateError as error:
        report.wrong(f"{name}: {error}", "Clients can't connect before that is mended.")
        return
    for path in filter(None, (tls.cert_file, tls.ca_file)):
        _expiry(report, name, path, now)


def _expiry(report: Report, name: str, path: Path, now: dt.datetime) -> None:
    """The certificate that ends first of those in the file."""
    from cryptography import x509

    from gateway.listener.certificates import WARN_BEFORE

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no certificate in PEM"
        report.wrong(f"{name}: {path} can't be used: {reason}", "Name a file of certificates in PEM.")
        return
    if path.stat().st_size and len(found) > 1 and "BEGIN CERTIFICATE" in path.read_text(errors="replace"):
        found = found[:1] if now < found[0].not_valid_after_utc else found
    first = min(found, key=lambda one: one.not_valid_after_utc)
    ends, subject = first.not_valid_after_utc, first.subject.rfc4514_string() or "no name"
    if ends <= now:
        report.wrong(f"{name}: the certificate in {path} ({subject}) has ended on {ends:%Y-%m-%d}", "Renew it.")
    elif first.not_valid_before_utc > now:
        report.wrong(
            f"{name}: the certificate in {path} ({subject}) holds from {first.not_valid_before_utc:%Y-%m-%d} on",
            "Look at the clock, or wait.",
        )
    elif ends - now <= WARN_BEFORE:
        report.warning(
            f"{name}: the certificate in {path} ({subject}) ends in {(ends - now).days} days, on {ends:%Y-%m-%d}",
            "Renew it; the gateway reads new files without a restart.",
        )
    else:
        report.ok(f"{name}: the certificate in {path} ({subject}) holds until {ends:%Y-%m-%d}")


def check_access_files(settings: GatewaySettings) -> Report:
    """Passwords, rights and keys: can they be read, by whom, and are they right?"""
    from config.errors import ConfigError
    from gateway.accesses import check_files

    report = Report("access")
    for access in settings.access:
        name = f"access {access.name}"
        try:
            check_files([access])
        except ConfigError as error:
            for problem in error.problems:
                report.wrong(f"{name}: {problem}", "Until it is mended the gateway does not start with it.")
            continue
        for path in filter(None, (access.password_file, access.jwt.key_file)):
            _private(report, name, path)
        if access.acl_file is not None:
            report.ok(f"{name}: {access.acl_file} is right")
    for path in filter(None, (settings.api.password_file, settings.api.token_file)):
        _private(report, "api", path)
    return report


def _private(report: Report, name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        report.wrong(f"{name}: {path} can't be read: {error.strerror}", "Give it to the gateway's user.")
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        report.warning(
            f"{name}: every user of this machine may {'write' if mode & stat.S_IWOTH else 'read'} {path} "
            f"(mode {mode:04o})",
            f"Run: chmod o-rwx {path}",
        )
    else:
        report.ok(f"{name}: {path} can be read, and by nobody else")
