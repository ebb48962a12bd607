"""How a command ends: its exit code, and what it says on standard error when it failed.

Everything that Fieldgate raises on purpose carries a sentence, and that sentence is all a person gets. An error nobody
expected is named in one line; its traceback goes to the log: always as JSON, at level debug as text.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import traceback
from typing import IO, Final

import typer

FAILED: Final = 1
BAD_CONFIGURATION: Final = 78
"""EX_CONFIG of sysexits.h: a service manager can be told not to try again."""

_OWN_PACKAGES: Final = ("bridge", "config", "gateway", "simulators")

logger = logging.getLogger("fieldgate")


class Failed(Exception):
    """The command can't do what it was asked for; the message is the sentence to show."""


def exit_code_of(error: BaseException) -> int | None:
    """The exit code that typer has for its own errors and exits; None for all others."""
    if isinstance(error, typer.Abort):
        return FAILED
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, int) else None


def report(error: BaseException) -> int:
    """Say what happened on standard error and return the exit code."""
    from config.errors import ConfigError

    error = _leaf(error)
    if isinstance(error, ConfigError):
        typer.echo(str(error), err=True)
        return BAD_CONFIGURATION
    sentence = expected(error)
    if sentence is not None:
        _say(sentence, None)
    else:
        _say(
            f"Something unexpected happened: {_described(error)}. With log level debug the log has its traceback.",
            error,
        )
    return FAILED


def expected(error: BaseException) -> str | None:
    """The sentence of an error that is part of the plan: ours, or the operating system's; None for a fault of ours."""
    if type(error).__module__.partition(".")[0] in _OWN_PACKAGES:
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        text = error.strerror or str(error)
        what = f"{error.filename}: {text}" if error.filename is not None else text[:1].upper() + text[1:]
        if error.errno == errno.EADDRINUSE:
            return f"{what}. Is a second one running? Stop it, or give another port."
        return what if what.endswith(".") else f"{what}."
    return None


def closed_by_its_reader(stream: IO[str]) -> bool:
    """Whether nobody reads this pipe any more, as with `| head`; what is still buffered for it is then thrown away."""
    try:
        number = stream.fileno()
        asked = select.poll()
        asked.register(number, 0)
        if not any(events & select.POLLERR for _, events in asked.poll(0)):
            return False
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)  # the interpreter flushes once more at its end
        os.close(nowhere)
    except (OSError, ValueError):  # no file at all: a test's, or one that was closed
        return False
    return True


def _leaf(error: BaseException) -> BaseException:
    """The first error inside a group of them: a task's own death, not the group that reports it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _described(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{what} ({frames[-1].filename}:{frames[-1].lineno})" if frames else what


def _say(sentence: str, cause: BaseException | None) -> None:
    from gateway import logs

    if logs.is_json():
        logger.critical(sentence, exc_info=cause)
        return
    typer.echo(f"{typer.style('Error:', fg=typer.colors.RED, bold=True)} {sentence}", err=True)
    if cause is not None:
        logger.debug("Where it happened:", exc_info=cause)
