"""The command itself: what it is made of, and how its errors become sentences and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from gateway.cli import (
    backup,
    bench,
    check,
    completion,
    demo,
    dlq,
    doctor,
    importing,
    passwd,
    pub,
    queue,
    receive,
    reload,
    restore,
    run,
    schema,
    simulate,
    status,
    sub,
    tail,
    token,
    top,
)
from gateway.cli.outcome import closed_by_its_reader, exit_code_of, report

ORDER: Final = (
    *("run", "receive", "check", "reload"),  # running it
    *("status", "top", "tail", "queue", "dlq", "doctor"),  # looking after it
    *("pub", "sub"),  # trying it
    *("passwd", "token", "import", "backup", "restore", "schema", "completion"),  # now and then
    *("demo", "bench", "simulate"),
)


class Program(TyperGroup):
    """Runs a command; whatever it raises ends in a sentence on standard error and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of use; typer would have all groups at the end."""
        return sorted(super().list_commands(ctx), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        """As typer does it, but for errors."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # here what can't be written is told of; at the interpreter's end it would not be
            return result
        except KeyboardInterrupt:
            raise typer.Exit(130) from None  # as a shell says it: 128 and the number of SIGINT
        except BrokenPipeError as error:
            if not closed_by_its_reader(sys.stdout):
                raise typer.Exit(report(error)) from error
            raise typer.Exit(141) from None  # as a shell says it: 128 and the number of SIGPIPE
        except Exception as error:  # the outermost place: a person must never meet a traceback
            if exit_code_of(error) is not None:
                raise
            raise typer.Exit(report(error)) from error


app = typer.Typer(
    name="fieldgate",
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: drawing it with rich doubles its time, which a small edge box feels
    pretty_exceptions_enable=False,
    help="An MQTT edge gateway that never loses an acknowledged message.",
    epilog="Exit codes: 0 ok, 1 failed, 2 wrong usage, 78 bad configuration.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from bridge.version import VERSION

        typer.echo(f"fieldgate {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


app.command(epilog=run.EXAMPLE)(run.run)
app.command(epilog=receive.EXAMPLE)(receive.receive)
app.command(epilog=check.EXAMPLE)(check.check)
app.command(epilog=reload.EXAMPLE)(reload.reload)
app.command(epilog=status.EXAMPLE)(status.status)
app.command(epilog=top.EXAMPLE)(top.top)
app.command(epilog=tail.EXAMPLE)(tail.tail)
app.add_typer(queue.app, name="queue", epilog=queue.EXAMPLE)
app.add_typer(dlq.app, name="dlq", epilog=dlq.EXAMPLE)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=pub.EXAMPLE)(pub.pub)
app.command(epilog=sub.EXAMPLE)(sub.sub)
app.command(epilog=passwd.EXAMPLE)(passwd.passwd)
app.command(epilog=token.EXAMPLE)(token.token)
app.add_typer(importing.app, name="import", epilog=importing.EXAMPLE)
app.command(epilog=backup.EXAMPLE)(backup.backup)
app.command(epilog=restore.EXAMPLE)(restore.restore)
app.command(epilog=schema.EXAMPLE)(schema.schema)
app.command(epilog=completion.EXAMPLE)(completion.completion)
app.command(epilog=demo.EXAMPLE)(demo.demo)
app.command(epilog=bench.EXAMPLE)(bench.bench)
app.add_typer(simulate.app, name="simulate", epilog=simulate.EXAMPLE)


def main() -> None:
    """Entry point of `fieldgate` and `python -m gateway`."""
    app(prog_name="fieldgate")
