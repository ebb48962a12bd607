"""Whatever is raised ends in a sentence and an exit code."""

from __future__ import annotations

import errno
import io
import logging
import socket
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner, Result

from bridge.errors import LinkUnreachable
from config.errors import ConfigError, Place, Problem
from config.settings import Address, Log, LogFormat
from gateway import logs
from gateway.cli.outcome import Failed
from gateway.cli.program import Program
from gateway.errors import CannotListen
from gateway.spool.errors import DataFolderInUse


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def raising(error: BaseException) -> Result:
    """Run a program whose only command raises `error`."""
    app = typer.Typer(cls=Program)

    @app.command()
    def fail() -> None:
        raise error

    @app.callback()
    def _options() -> None:
        pass

    return CliRunner().invoke(app, ["fail"])


def _taken_port() -> OSError:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        try:
            second.bind(first.getsockname())
        except OSError as error:
            return error
    raise AssertionError("The same port was given twice.")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Failed("It went wrong."), "Error: It went wrong.\n"),
        (DataFolderInUse("Another gateway uses ./data."), "Error: Another gateway uses ./data.\n"),
        (LinkUnreachable("Nobody is there."), "Error: Nobody is there.\n"),
        (ExceptionGroup("many", [Failed("The first.")]), "Error: The first.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Error: /x: Permission denied.\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_is_part_of_the_plan_is_its_sentence(error: Exception, sentence: str) -> None:
    result = raising(error)
    assert result.exit_code == 1
    assert result.stderr == sentence


def test_a_taken_port_says_what_to_do() -> None:
    raised = _taken_port()
    result = raising(raised)
    assert result.exit_code == 1
    assert "Is a second one running?" in result.stderr
    address = Address(host="127.0.0.1", port=1883)
    assert "Is a second gateway running?" in raising(CannotListen("listeners[local].bind", address, raised)).stderr


def test_a_bad_configuration_shows_every_problem() -> None:
    place = Place(source="gateway.yaml", line=3)
    result = raising(ConfigError([Problem.at(place, "a", "first"), Problem.at(place, "b", "second")]))
    assert result.exit_code == 78
    assert "gateway.yaml:3: a: first" in result.stderr
    assert "gateway.yaml:3: b: second" in result.stderr


def test_an_unexpected_error_is_one_line_without_a_traceback() -> None:
    result = raising(ZeroDivisionError("division by zero"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Something unexpected happened: ZeroDivisionError: division by zero (")
    assert "test_outcome.py:" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_at_level_debug_the_log_has_the_traceback_of_an_unexpected_error() -> None:
    log = io.StringIO()
    logs.set_up(Log(level="debug"), stream=log)
    raising(ZeroDivisionError("division by zero"))
    assert "Traceback (most recent call last)" in log.getvalue()


def test_a_log_for_machines_gets_the_error_as_json_and_nothing_beside_it() -> None:
    log = io.StringIO()
    logs.set_up(Log(format=LogFormat.JSON), stream=log)
    result = raising(ZeroDivisionError("division by zero"))
    assert result.stderr == ""
    line = log.getvalue()
    assert line.count("\n") == 1
    assert '"log.level":"critical"' in line
    assert '"error.stack_trace":"Traceback' in line


def test_ctrl_c_is_no_error_message() -> None:
    result = raising(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr == ""
