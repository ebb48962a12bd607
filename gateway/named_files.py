"""The files that a configuration names: whether each can be used, before a program starts, or changes, by them."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from config.difference import by_label
from config.errors import ConfigError, Problem
from config.loader import Loaded
from config.receiver_keys import SINKS
from config.settings import GatewaySettings, MqttSink, ReceiverSettings, Tls

logger = logging.getLogger(__name__)


def check_named_files(loaded: Loaded[GatewaySettings]) -> None:
    """Read them all. Blocks for as long as the disk needs. Raises ConfigError with everything that is wrong.

    Certificates that have ended can be used, and are refused by others: there is a warning in the log.
    """
    settings = loaded.settings
    problems = [*_access(settings), *_listeners(loaded), *_telemetry(loaded)]
    for uplink in settings.uplinks:
        problems += _link(loaded, f"uplinks[{uplink.name}].tls", uplink.tls)
    problems += _api(loaded)
    if problems:
        raise ConfigError(problems)


def check_receiver_files(loaded: Loaded[ReceiverSettings]) -> None:
    """The same for receiver.yaml."""
    settings = loaded.settings
    problems = [*_link(loaded, "receiver.tls", settings.receiver.tls), *_api(loaded), *_telemetry(loaded)]
    for label, sink in by_label(SINKS, settings.sinks).items():
        if isinstance(sink, MqttSink):
            problems += _link(loaded, f"sinks[{label}].tls", sink.tls)
    if problems:
        raise ConfigError(problems)


def _api(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings]) -> Iterator[Problem]:
    """Passwords, tokens and certificate of the HTTP interface."""
    api = loaded.settings.api
    if api.password_file is not None:
        from gateway.access.entry import SEED_BYTES
        from gateway.access.web_users import read_web_users

        try:
            read_web_users(api.password_file, seed=bytes(SEED_BYTES))
        except ConfigError as error:
            yield from error.problems
    if api.token_file is not None:
        from bridge.web.tokens import read_tokens

        try:
            read_tokens(api.token_file)
        except ConfigError as error:
            yield from error.problems
    yield from _link(loaded, "api.tls", Tls(cert_file=api.tls.cert_file, key_file=api.tls.key_file))


def _link(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings], key: str, tls: Tls) -> Iterator[Problem]:
    """The certificates of a link to a broker, or of the HTTP interface."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except (ssl.SSLError, OSError) as error:
            yield _problem(loaded, f"{key}.ca_file", _unusable(tls.ca_file, "certificate", error))
        else:
            ends = [ssl.cert_time_to_seconds(str(ca["notAfter"])) for ca in context.get_ca_certs()]
            if ends:
                _warn_of_end(f"{key}.ca_file", tls.ca_file, datetime.fromtimestamp(max(ends), UTC))
    if tls.cert_file is not None and tls.key_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
        except _Encrypted:
            sentence = f"the private key in {tls.key_file} is encrypted; write one that is not, for this user alone"
            yield _problem(loaded, f"{key}.key_file", sentence)
        except (ssl.SSLError, OSError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                sentence = f"the key in {tls.key_file} is not that of {tls.cert_file}"
            else:
                sentence = _unusable(tls.cert_file, "certificate, or its key", error)
            yield _problem(loaded, f"{key}.cert_file", sentence)
        else:
            from cryptography import x509

            with contextlib.suppress(ValueError, OSError):  # OpenSSL takes it; only its end is not known then
                certificate = x509.load_pem_x509_certificate(tls.cert_file.read_bytes())
                _warn_of_end(f"{key}.cert_file", tls.cert_file, certificate.not_valid_after_utc)


def _warn_of_end(key: str, path: Path, end: datetime) -> None:
    if end <= datetime.now(UTC):
        logger.warning("%s: the certificate in %s ended on %s: it is refused. Write a new one.", key, path, end.date())


def _access(settings: GatewaySettings) -> Iterator[Problem]:
    if any(access.has_authentication or access.has_authorization for access in settings.access):
        from gateway.accesses import check_files

        try:
            check_files(settings.access)
        except ConfigError as error:
            yield from error.problems


def _listeners(loaded: Loaded[GatewaySettings]) -> Iterator[Problem]:
    listeners = [listener for listener in loaded.settings.listeners if listener.transport.is_tls]
    if listeners:
        from gateway.listener.certificates import CertificateError, load

        for listener in listeners:
            key = f"listeners[{listener.name}].tls.cert_file"
            try:
                end = load(listener.tls, alpn="mqtt").expires_at
            except CertificateError as error:
                yield _problem(loaded, key, str(error))
            else:
                if listener.tls.cert_file is not None:
                    _warn_of_end(key, listener.tls.cert_file, end)


def _telemetry(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings]) -> Iterator[Problem]:
    if loaded.settings.telemetry.url is not None:
        from bridge import otel

        if not otel.is_installed():
            yield _problem(loaded, "telemetry.url", otel.MISSING)


class _Encrypted(Exception):
    """OpenSSL asks for the password of a key."""


def _no_password() -> str:
    raise _Encrypted


def _unusable(path: Path, what: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{path} holds no {what} in PEM that can be read; write another"
    return f"{error.filename or path} cannot be read: {error.strerror}"


def _problem(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings], key: str, message: str) -> Problem:
    """A problem at the place where the key was written."""
    file, _, line = loaded.origins.get(key, "gateway.yaml").removeprefix("password_file, ").rpartition(":")
    if not line.isdecimal():
        return Problem(file=loaded.origins.get(key, "gateway.yaml"), line=None, column=None, key=key, message=message)
    return Problem(file=file, line=int(line), column=None, key=key, message=message)
