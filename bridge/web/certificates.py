"""TLS of the HTTP interface: 1.2 and newer, with the certificate of `api.tls`."""

from __future__ import annotations

import ssl

from bridge.web.errors import CannotUseCertificate
from config.settings import ApiTls


def make_context(tls: ApiTls) -> ssl.SSLContext | None:
    """TLS with what the files hold now; None where there is none. Blocks. Raises CannotUseCertificate."""
    if tls.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # it costs the server more than the caller
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password would ask for it on the terminal; the empty one makes that an error.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except OSError as error:  # ssl.SSLError is one
        raise CannotUseCertificate(_sentence(tls, error), error=error) from error
    return context


def _sentence(tls: ApiTls, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (
            f"The certificate {tls.cert_file} and the key {tls.key_file} can't be used: {error.reason or error}. "
            "Expected PEM files that belong together, the key without a password (api.tls)."
        )
    return f"{error.filename or tls.cert_file} can't be read: {error.strerror or error}. Mend it, or api.tls."
