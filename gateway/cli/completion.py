"""`fieldgate completion`: the Tab key completes commands and options."""

from __future__ import annotations

import enum
import sys
from typing import Annotated, Final

import typer

EXAMPLE = """\b
Example:
  fieldgate completion bash > ~/.local/share/bash-completion/completions/fieldgate
  fieldgate completion zsh > "${fpath[1]}/_fieldgate"
  fieldgate completion fish > ~/.config/fish/completions/fieldgate.fish
A new shell has it."""

PROGRAM: Final = "fieldgate"
VARIABLE: Final = "_FIELDGATE_COMPLETE"


class Shell(enum.StrEnum):
    """The shells there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_HOME: Final = {
    Shell.BASH: "~/.local/share/bash-completion/completions/fieldgate (or /etc/bash_completion.d/fieldgate for all)",
    Shell.ZSH: "a file _fieldgate in a folder of $fpath",
    Shell.FISH: "~/.config/fish/completions/fieldgate.fish",
}


def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> None:
    """Print the script that completes `fieldgate` in a shell."""
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))
    if sys.stdout.isatty():
        typer.echo(f"Write this into {_HOME[shell]}, then open a new shell.", err=True)
