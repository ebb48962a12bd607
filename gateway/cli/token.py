"""`fieldgate token`: the tokens by which programs come in at the HTTP interface."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.outcome import Failed

EXAMPLE = """\b
Example:
  fieldgate token prometheus --file tokens.txt > /etc/prometheus/fieldgate.token
  fieldgate token deploy --role operator --file tokens.txt
  curl -H "Authorization: Bearer $(cat TOKEN)" http://127.0.0.1:8080/api/v1/status
A running gateway or receiver reads the file again when it gets SIGHUP."""


class TokenRole(enum.Enum):
    """What one may do with a token."""

    VIEWER = "viewer"
    OPERATOR = "operator"


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for; it stands in the audit log.")],
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="The token file (api.token_file); made when it is not there.")
    ],
    role: Annotated[TokenRole, typer.Option("--role", help="Whether it may only look, or act too.")] = TokenRole.VIEWER,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the token.")] = False,
) -> None:
    """Make or delete a token for the HTTP interface.

    Prints a new token once, on standard output; the file keeps only its SHA-256. A token of the same name is replaced.
    The file is replaced as a whole or not at all; other lines and comments stay as they are.
    """
    from bridge.web import tokens
    from config.errors import ConfigError

    try:
        tokens.check_name(name)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="NAME") from error
    try:
        if delete:
            _delete(file, name)
        else:
            _make(file, name, role.value)
    except ConfigError as error:
        raise Failed("\n".join(str(problem) for problem in error.problems)) from error


def _make(file: Path, name: str, role: str) -> None:
    import secrets

    from bridge.web import tokens
    from gateway.access.password_edit import set_user

    if file.exists():
        found = tokens.read_tokens(file)  # a line too many in a broken file would only be the next mistake
        if len(found) >= tokens.MAX_TOKENS and name not in found:
            raise Failed(
                f"{file} holds {len(found)} tokens, and more are not read. Delete those that nobody uses, "
                "with `fieldgate token --delete`."
            )
    made = tokens.make(secrets.token_bytes(tokens.TOKEN_BYTES))
    # A token's line is that of a password file, with role and digest in the place of the hash.
    was_there = set_user(file, name, f"{role}:{tokens.digest(made)}")
    typer.echo(made)
    did = f"Replaced the token {name!r}" if was_there else f"Added the token {name!r}"
    typer.echo(f"{did}, {role}, in {file}. It is shown this once, and kept nowhere.", err=True)


def _delete(file: Path, name: str) -> None:
    from gateway.access.password_edit import delete_user

    if not delete_user(file, name):
        raise Failed(f"There is no token {name!r} in {file}.")
    typer.echo(f"Deleted the token {name!r} from {file}.", err=True)
