"""What `pub` and `sub` have in common on the command line."""

from __future__ import annotations

import enum
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.options import GATEWAY_FILE, found
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.mqtt.client import Client
    from gateway.cli.mqtt.target import Target

MAX_PASSWORD_BYTES: Final = 65535
"""What a CONNECT can hold (MQTT 5 §3.1.3.6)."""


class Protocol(enum.StrEnum):
    """The version of MQTT."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="mqtt://, mqtts://, ws://, wss:// or unix:. Left out: the first listener of the configuration.",
    ),
]
ListenerName = Annotated[
    str | None, typer.Option("--listener", metavar="NAME", help="A listener of the configuration, by its name.")
]
User = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="The user name; its password is asked for.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="A file that holds the password in its first line."),
]
ClientId = Annotated[str, typer.Option("--id", metavar="ID", help="The client id. Left out: the listener gives one.")]
ProtocolOption = Annotated[Protocol, typer.Option("--protocol", help="auto: 5, or 3.1.1 where 5 is refused.")]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates (PEM) to believe, for TLS.")
]
CertFile = Annotated[
    Path | None,
    typer.Option("--cert-file", metavar="FILE", help="A certificate (PEM) to show, for listeners that ask."),
]
KeyFile = Annotated[Path | None, typer.Option("--key-file", metavar="FILE", help="The private key of --cert-file.")]
Qos = Annotated[int, typer.Option("--qos", "-q", metavar="Q", min=0, max=2, help="0, 1 or 2.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds to wait for an answer.")]


def connect_to(
    config: Path | None,
    *,
    url: str | None,
    listener: str | None,
    user: str | None,
    password_file: Path | None,
    client_id: str,
    protocol: Protocol,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
) -> Client:
    """A client that is not connected yet. Raises Failed, or typer's error for wrong usage."""
    from gateway.cli.mqtt.client import Client, Identity

    target = _target(config, url=url, listener=listener)
    password = _password(user, password_file)
    context = None
    if target.is_tls:
        from gateway.cli import trust

        pinned = target.cert_file if ca_file is None else None
        context = trust.pinned(pinned) if pinned is not None else trust.believing(ca_file)
        if cert_file is not None:
            trust.show(context, cert_file, key_file)
    elif ca_file is not None or cert_file is not None:
        raise typer.BadParameter(f"{target} is no TLS; --ca-file and --cert-file are for mqtts:// and wss://.")
    return Client(
        target,
        Identity(client_id=client_id, username=user, password=password, version=protocol.value, context=context),
    )


def _target(config: Path | None, *, url: str | None, listener: str | None) -> Target:
    from gateway.cli.mqtt.target import parse_target, target_of

    if url is not None and listener is not None:
        raise typer.BadParameter("--url and --listener do not go together.")
    if url is not None:
        try:
            return parse_target(url)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.", param_hint="--url") from error
    from config.loader import load_gateway

    settings = load_gateway(found(config, GATEWAY_FILE), os.environ)
    try:
        is_durable = settings.spool.durability_s is None
        kept = tuple(one for stream in settings.streams for one in stream.topics) if is_durable else ()
        return target_of(settings.listeners, listener, kept=kept)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--listener") from error


def _password(user: str | None, password_file: Path | None) -> str | None:
    if password_file is not None:
        if user is None:
            raise typer.BadParameter("A password needs a user; give --user.", param_hint="--password-file")
        try:
            with password_file.open("rb") as file:
                return file.readline(MAX_PASSWORD_BYTES + 2).rstrip(b"\r\n").decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"{password_file} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    if user is None:
        return None
    import getpass

    if not sys.stdin.isatty():
        raise Failed("There is no terminal to ask for the password on. Give it with --password-file.")
    try:
        return getpass.getpass(f"Password of {user}: ")
    except EOFError as error:
        raise Failed("No password was given.") from error
