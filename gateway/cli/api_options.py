"""How every command that asks a running gateway (or receiver) finds it, and says who asks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.options import GATEWAY_FILE, RECEIVER_FILE, found
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    import ssl

    from config.loader import Program
    from config.settings import Address
    from gateway.cli.api_client import ApiClient

MAX_TOKEN_BYTES: Final = 4096

Api = Annotated[
    str | None,
    typer.Option("--api", metavar="URL", help="Where the HTTP interface is. Left out: as the configuration says."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="FIELDGATE_TOKEN",
        help="A bearer token, where the interface asks for one; others can see it in the list of processes.",
    ),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="A file that holds the token, and nothing else.")
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates (PEM) to believe, for https://.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def near(bind: Address) -> Address:
    """Where a server bound there answers on this machine."""
    from config.settings import Address

    return Address(host=_ANYWHERE.get(bind.host, bind.host), port=bind.port)


def base_url(api: str) -> str:
    """The interface's address from what a person wrote: `http://HOST:PORT`, `HOST:PORT`, or one of its pages'."""
    base = api.strip().rstrip("/")
    if "://" not in base:
        base = f"http://{base}"
    if not base.startswith(("http://", "https://")):
        raise Failed(f"{api} is not an HTTP address. Write it as http://HOST:PORT.")
    return base.partition("/api/v1")[0]


def client(
    api: str | None,
    config: Path | None,
    *,
    token: str | None = None,
    token_file: Path | None = None,
    ca_file: Path | None = None,
    may_be_receiver: bool = False,
) -> ApiClient:
    """Who is asked, from the options above; `may_be_receiver`: the configuration may be that of one.

    Raises Failed, or ConfigError for a bad configuration.
    """
    from gateway.cli.api_client import ApiClient

    if token_file is not None:
        token = _read_token(token_file)
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise Failed("The token has characters in it that no token has. Give it as `fieldgate token` printed it.")
    if api is not None:
        return ApiClient(base=base_url(api), token=token, context=_context(ca_file))
    path = found(config, GATEWAY_FILE)
    if may_be_receiver:
        path = path or found(None, RECEIVER_FILE)
    is_receiver = may_be_receiver and path is not None and _is_receivers(path)
    data_dir: Path | None = None
    if is_receiver:
        from config.loader import load_receiver

        settings = load_receiver(path, os.environ).api
    else:
        from config.loader import load_gateway

        loaded = load_gateway(path, os.environ)
        settings, data_dir = loaded.api, loaded.gateway.data_dir
    cert_file = settings.tls.cert_file
    scheme = "http" if cert_file is None else "https"
    context = _context(ca_file)
    if context is None and cert_file is not None:
        from gateway.cli.trust import pinned

        context = pinned(cert_file)
    base = f"{scheme}://{near(settings.bind)}"
    program: Program = "receiver" if is_receiver else "gateway"
    return ApiClient(base=base, token=token, context=context, program=program, data_dir=data_dir)


def _is_receivers(path: Path) -> bool:
    from config.loader import program_of

    return program_of(path) == "receiver"


def _context(ca_file: Path | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    from gateway.cli.trust import believing

    return believing(ca_file)


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TOKEN_BYTES + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(
            f"{path} can't be read: {getattr(error, 'strerror', None) or error}. Give another file."
        ) from error
    if not text or len(text) > MAX_TOKEN_BYTES:
        raise Failed(
            f"{path} holds no token. It is to hold the token that `fieldgate token` printed, and nothing else."
        )
    return text
