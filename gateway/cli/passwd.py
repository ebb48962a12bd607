"""`fieldgate passwd`: the users of a password file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.outcome import Failed

EXAMPLE = """\b
Example:
  fieldgate passwd passwords.txt sensor-1
  fieldgate passwd --stdin passwords.txt sensor-2 < secret.txt
A running gateway reads the file again when it gets SIGHUP."""

MAX_PASSWORD_BYTES: Final = 65535
"""What a CONNECT can hold (MQTT 5 §3.1.3.6)."""


def passwd(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The password file; made when it is not there.")],
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose password it is.")],
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from one line of standard input.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the user.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the password is the user's.")] = False,
) -> None:
    """Set, check or delete the password of a user.

    Asks for the password without showing it. The file is replaced as a whole or not at all; other lines and comments
    stay as they are. New passwords are kept as Argon2id; those that mosquitto_passwd wrote can be checked.
    """
    from gateway.access.errors import AccessError
    from gateway.access.password_file import check_username

    if delete and (check or stdin):
        raise typer.BadParameter("--delete goes with neither --check nor --stdin.")
    try:
        check_username(user)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="USER") from error
    try:
        if delete:
            _delete(file, user)
        elif check:
            _check(file, user, _password(stdin=stdin, twice=False))
        else:
            _set(file, user, _password(stdin=stdin, twice=True))
    except AccessError as error:
        raise Failed("\n".join(str(problem) for problem in error.problems)) from error


def _set(file: Path, user: str, password: bytes) -> None:
    import secrets

    from gateway.access import password_hash
    from gateway.access.password_edit import set_user

    hashed = password_hash.make(password, salt=secrets.token_bytes(password_hash.SALT_BYTES))
    was_there = set_user(file, user, hashed)
    typer.echo(f"{'Changed the password of' if was_there else 'Added'} {user!r} in {file}.", err=True)


def _delete(file: Path, user: str) -> None:
    from gateway.access.password_edit import delete_user

    if not delete_user(file, user):
        raise Failed(f"There is no user {user!r} in {file}.")
    typer.echo(f"Deleted {user!r} from {file}.", err=True)


def _check(file: Path, user: str, password: bytes) -> None:
    import secrets

    from gateway.access.password_file import read_users

    hashed = read_users(file, seed=secrets.token_bytes(64)).hashes.get(user)
    if hashed is None:
        raise Failed(f"There is no user {user!r} in {file}.")
    if not hashed.matches(password):
        raise Failed(f"That is not the password of {user!r}.")
    typer.echo(f"That is the password of {user!r}.", err=True)


def _password(*, stdin: bool, twice: bool) -> bytes:
    """One line of standard input, or what a person types. Raises Failed where it is no password."""
    if stdin:
        line = sys.stdin.buffer.readline(MAX_PASSWORD_BYTES + 3)
        password = line.removesuffix(b"\n").removesuffix(b"\r")
    else:
        password = _asked(twice=twice)
    if not password:
        raise Failed("An empty password lets everybody in. Give one that is not.")
    if len(password) > MAX_PASSWORD_BYTES:
        raise Failed(f"No client can send a password of more than {MAX_PASSWORD_BYTES} bytes. Give a shorter one.")
    if b"\0" in password:
        raise Failed("The password holds a NUL, which many clients can't send. Give one without.")
    return password


def _asked(*, twice: bool) -> bytes:
    import getpass

    if not sys.stdin.isatty():
        raise Failed("There is no terminal to ask for the password on. Use --stdin to give it on standard input.")
    try:
        first = getpass.getpass("Password: ")
        if twice and getpass.getpass("The same again: ") != first:
            raise Failed("The two passwords are not the same. Nothing was changed.")
    except EOFError as error:
        raise Failed("No password was given. Nothing was changed.") from error
    return first.encode(errors="surrogateescape")
