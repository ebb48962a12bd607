"""The command `fieldgate`: one file a command, which imports what it needs when it runs: `--help` is quick."""

from gateway.cli.program import main

__all__ = ["main"]
