"""How the commands that look after records find them: the options that they share, and what those lead to.

    @app.command()
    @asks
    def peek(where: Where, stream: StreamName = None) -> None:
        with where.records() as records: ...

has `--api`, `--data-dir`, `-c`, `--token`, `--token-file` and `--ca-file` beside `[STREAM]`.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec

import typer

from gateway.cli.api_options import Api, CaFile, Token, TokenFile, client
from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.folder_records import FolderRecords
    from gateway.cli.records import Records

P = ParamSpec("P")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Use this data folder itself, and ask no gateway. Left out: the configured one, when no gateway runs.",
    ),
]
_LAST: Final = "as_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What the options said."""

    api: str | None
    data_dir: Path | None
    config: Path | None
    token: str | None
    token_file: Path | None
    ca_file: Path | None

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        """Who keeps the records: the gateway that answers; where none runs, its data folder.

        Raises Failed, SpoolError and ConfigError, each with a sentence.
        """
        records = self._found()
        try:
            yield records
        finally:
            records.close()

    def _found(self) -> Records:
        from gateway.cli.gateway_records import GatewayRecords

        if self.data_dir is not None:
            if self.api is not None:
                raise typer.BadParameter("--api asks a gateway, --data-dir asks none: give one of them.")
            # Not ./gateway.yaml: the settings of another gateway would take its uplinks' places away from this one.
            return self._of_folder(self.data_dir, has_settings=self.config is not None)
        asked = self._client()
        reason = None if asked.data_dir is None else asked.missing()
        if asked.data_dir is None or reason is None:
            return GatewayRecords(asked)
        if not (asked.data_dir / "spool.db").exists() or _is_held(asked.data_dir):
            from gateway.cli.api_client import nobody
            from gateway.cli.standing import standing

            raise Failed(nobody(asked.base, reason, standing(asked.data_dir)))
        return self._of_folder(asked.data_dir, has_settings=True)

    def _client(self) -> Any:
        from config.errors import ConfigError

        try:
            return client(self.api, self.config, token=self.token, token_file=self.token_file, ca_file=self.ca_file)
        except ConfigError:
            typer.echo("With --data-dir FOLDER what a gateway keeps can be seen without its configuration.", err=True)
            raise

    def _of_folder(self, data_dir: Path, *, has_settings: bool) -> FolderRecords:
        from config.loader import load_gateway
        from gateway.cli.folder_records import FolderRecords

        settings = partial(load_gateway, found(self.config, GATEWAY_FILE), os.environ)
        return FolderRecords(data_dir, settings if has_settings else None)


def asks(command: Callable[Concatenate[Where, P], None]) -> Callable[..., None]:
    """`command` as typer is to see it: with the options of `Where` in the place of its first parameter."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    options = {"api": Api, "data_dir": DataDir, "config": GatewayConfig, "token": Token, "token_file": TokenFile}
    options["ca_file"] = CaFile
    shared = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option)
        for name, option in options.items()
    ]
    last = [one for one in own if one.name == _LAST]
    parameters = [*(one for one in own if one.name != _LAST), *shared, *last]

    def asking(**given: Any) -> None:
        where = Where(**{field.name: given.pop(field.name) for field in fields(Where)})
        command(where, **given)  # type: ignore[call-arg]

    asking.__name__, asking.__doc__, asking.__module__ = command.__name__, command.__doc__, command.__module__
    asking.__annotations__ = {one.name: one.annotation for one in parameters}
    asking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return asking


def _is_held(data_dir: Path) -> bool:
    from gateway.spool.folder import holder_of

    return holder_of(data_dir) is not None
