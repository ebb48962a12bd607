"""The certificates of one listener, read again when their files change.

A new context holds for new connections only; those that are open keep theirs. Files that can't be used, or only half
of which has been replaced so far, change nothing: the certificates from before stay in force.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import stat
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from config.settings import ClientCertificate, ListenerTls, TlsVersion
from gateway.listener.peer import PeerCertificate

logger = logging.getLogger(__name__)

_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

WARN_BEFORE: Final = timedelta(days=14)
WARN_EVERY: Final = timedelta(days=1)

_VERSIONS: Final = {TlsVersion.V12: ssl.TLSVersion.TLSv1_2, TlsVersion.V13: ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    ClientCertificate.NONE: ssl.CERT_NONE,
    ClientCertificate.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
}


class CertificateError(Exception):
    """Files that can't be used; the sentence says which, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was made of the files; `expires_at` in UTC."""

    context: ssl.SSLContext
    expires_at: datetime
    revoked: tuple[x509.CertificateRevocationList, ...] = ()

    def revokes(self, certificate: PeerCertificate) -> bool:
        """Whether a client's certificate is on a list of whoever signed it."""
        return any(
            crl.get_revoked_certificate_by_serial_number(certificate.serial) is not None
            for crl in self.revoked
            if crl.issuer.rfc4514_string() == certificate.issuer
        )


class Certificates:
    """`current` is what holds for a new connection. Raises CertificateError when made of files that can't be used."""

    def __init__(self, settings: ListenerTls, *, name: str, alpn: str) -> None:
        self._settings = settings
        self._name = name
        self._alpn = alpn
        self._stamps = self._look()
        self.current = load(settings, alpn=alpn)
        self._warned_at: datetime | None = None

    def reload(self) -> bool:
        """Read the files; returns whether they hold now. What is wrong with them is in the log."""
        self._stamps = self._look()
        try:
            self.current = load(self._settings, alpn=self._alpn)
        except CertificateError as error:
            logger.error(
                "The listener %r keeps the certificate that it has: the new one cannot be used. %s", self._name, error
            )
            return False
        except Exception:  # whatever is wrong with new files: those in force stay
            logger.exception("The listener %r keeps the certificate that it has: an error came up.", self._name)
            return False
        self._warned_at = None
        logger.info(
            "The listener %r has read its certificate; it holds until %s.", self._name, self.current.expires_at.date()
        )
        return True

    def check(self, now: datetime) -> None:
        """To be called now and then: reads files that have changed, and warns of a certificate that ends soon."""
        if self._look() != self._stamps:
            self.reload()
        warning = expiry_warning(self.current.expires_at, now)
        if warning and (self._warned_at is None or now - self._warned_at >= WARN_EVERY):
            self._warned_at = now
            logger.warning("The certificate of the listener %r %s", self._name, warning)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in _files(self._settings)]


def load(settings: ListenerTls, *, alpn: str) -> Loaded:
    """Make a context. Raises CertificateError."""
    try:
        return _load(settings, alpn)
    except OSError as error:  # a file that was there when it was read, and is gone when OpenSSL reads it
        raise CertificateError(f"A file of the certificate cannot be read: {error.strerror or error}.") from error


def _load(settings: ListenerTls, alpn: str) -> Loaded:
    if settings.cert_file is None or settings.key_file is None:
        raise CertificateError("TLS needs a certificate and its key; write `cert_file` and `key_file`.")
    contents = {path: _read(path) for path in _files(settings)}
    _check_private(settings.key_file)
    try:
        certificate = x509.load_pem_x509_certificates(contents[settings.cert_file])[0]
    except ValueError as error:
        raise CertificateError(f"{settings.cert_file} holds no certificate in PEM.") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION  # it costs the server more than the client
    context.set_alpn_protocols([alpn])
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"The key in {settings.key_file} is not that of {settings.cert_file}.") from error
        raise CertificateError(f"{settings.key_file} holds no private key in PEM that can be read.") from error
    if settings.ca_file is not None:
        _add(context, settings.ca_file, "certificate")
    if settings.crl_file is not None:
        _add(context, settings.crl_file, "list of revoked certificates")
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if settings.client_certificate is not ClientCertificate.NONE and settings.ca_file is None:
        raise CertificateError("Client certificates can't be checked without `ca_file`.")
    context.verify_mode = _VERIFY[settings.client_certificate]
    revoked = () if settings.crl_file is None else _crls(contents[settings.crl_file])
    return Loaded(context=context, expires_at=certificate.not_valid_after_utc, revoked=revoked)


def peer_certificate(der: bytes) -> PeerCertificate:
    """What is kept of a certificate that TLS has verified."""
    certificate = x509.load_der_x509_certificate(der)
    return PeerCertificate(
        issuer=sys.intern(certificate.issuer.rfc4514_string()),  # thousands of clients have the same
        serial=certificate.serial_number,
        expires_at=certificate.not_valid_after_utc,
    )


def _crls(content: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """All lists of a file that OpenSSL has read already."""
    try:
        return tuple(x509.load_pem_x509_crl(block) for block in _CRL.findall(content))
    except ValueError as error:
        raise CertificateError(f"The list of revoked certificates cannot be read: {error}") from error


def expiry_warning(expires_at: datetime, now: datetime) -> str | None:
    """The end of a sentence about a certificate that ends in less than WARN_BEFORE; None for another one."""
    left = expires_at - now
    if left > WARN_BEFORE:
        return None
    if left <= timedelta():
        return (
            f"has ended on {expires_at.date()}: clients refuse it. Replace its files; they are read without a restart."
        )
    return f"ends in {left.days} days, on {expires_at.date()}. Replace its files; they are read without a restart."


def _files(settings: ListenerTls) -> list[Path]:
    paths = (settings.cert_file, settings.key_file, settings.ca_file, settings.crl_file)
    return [path for path in paths if path is not None]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    try:
        if path.is_fifo():  # to open it could take for ever
            raise CertificateError(f"{path} is a FIFO, not a file.")
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from error


def _check_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        raise CertificateError(
            f"The private key {path} may be used by every user of this machine (mode {mode:04o}); run chmod 0600 on it."
        )


def _no_password() -> str:
    raise CertificateError("The private key is encrypted; write one that is not, which only this user may read.")


def _add(context: ssl.SSLContext, path: Path, what: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise CertificateError(f"{path} holds no {what} in PEM.") from error
