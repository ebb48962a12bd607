"""What a command believes of a server that speaks TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from gateway.cli.outcome import Failed


class ClientContext(ssl.SSLContext):
    """Checks certificate and name, and remembers its newest socket: paho leaves it open when it is not believed."""

    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext` does."""
        self.wrapped = super().wrap_socket(*args, **more)
        return self.wrapped


def believing(ca_file: Path | None) -> ClientContext:
    """A server with a certificate for its name, signed by one of these; by one of the system's where it is None."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Failed(f"{ca_file} can't be used: {_why(error)}. Give a file of certificates in PEM.") from error
    return context


def pinned(cert_file: Path) -> ClientContext:
    """The server that has just this certificate, under whatever name: our own, which our configuration names."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        own = x509.load_pem_x509_certificates(cert_file.read_bytes())[0]
        context.load_verify_locations(cadata=own.public_bytes(Encoding.PEM).decode())
    except (OSError, ValueError, IndexError, ssl.SSLError) as error:
        raise Failed(f"{cert_file} can't be used: {_why(error)}. Give what to believe with --ca-file.") from error
    return context


def show(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Have the context show a certificate of our own, to a server that asks for one."""
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise Failed(f"{cert_file} and its key can't be used: {_why(error)}.") from error


def _no_password() -> str:
    raise ssl.SSLError("the key is kept under a password; give one that is not")


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error).rstrip(".")
