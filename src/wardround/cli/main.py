"""The command `wardround`, and how its errors end."""

import atexit
import gc
import os
import platform
import sys
import tempfile
import traceback
from typing import Annotated

import typer

from wardround.cli import (
    audit,
    benefit,
    clinic,
    compare,
    data,
    demo,
    evidence,
    hub,
    models,
    predict,
    report,
    simulate,
    site,
    study,
)
from wardround.cli.verbosity import is_verbose, set_verbose
from wardround.values.disk_faults import mend_of
from wardround.values.errors import WardroundError
from wardround.values.printable import printable_lines, without_passwords
from wardround.values.standard_streams import open_closed_streams
from wardround.values.version import __version__

app = typer.Typer(
    help="Hospitals train models together; no patient record leaves a hospital. Start with: wardround demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("benefit")(benefit.benefit)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("audit")(audit.audit)
app.command("evidence")(evidence.evidence)
app.add_typer(study.app, name="study")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(hub.app, name="hub")
app.add_typer(site.app, name="site")
app.add_typer(clinic.app, name="clinic")

INTERRUPTED = 130
OUR_FAULT = 70
"""As in sysexits.h: an internal error."""
_RESUMABLE = ("demo", "simulate")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"wardround {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Say more: answers and times of hospitals, where files are, where an error came from."
        ),
    ] = False,
) -> None:
    """Hospitals train models together; no patient record leaves a hospital. Start with: wardround demo"""
    import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood

    set_verbose(verbose)


def main() -> None:
    """Runs the command line. A user's mistake ends with a sentence and its exit code, never with a traceback."""
    open_closed_streams()
    _collect_seldom()
    try:
        app()
    except WardroundError as error:
        typer.echo(printable_lines(f"error: {error}"), err=True)
        _show_traceback()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone, and the interpreter would say so once more
        sys.exit(WardroundError.exit_code)
    except OSError as error:
        mend = f". What to do: {mend_of(error)}." if mend_of(error) else ""
        typer.echo(printable_lines(f"error: {error.filename or 'the system'}: {error.strerror or error}{mend}"), err=True)
        _show_traceback()
        sys.exit(WardroundError.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer turns a Ctrl-C into this, without a word
            goes_on = _command() in _RESUMABLE
            typer.echo("\ninterrupted" + "; the run goes on with the same command and --resume" * goes_on, err=True)
        raise
    except Exception as error:  # noqa: BLE001  a traceback tells a user nothing, and may quote what she keeps private
        typer.echo(f"error: this is a fault of Wardround, not of yours ({type(error).__name__}).", err=True)
        if not _show_traceback():
            typer.echo(_where_the_details_are(), err=True)
        sys.exit(OUR_FAULT)


def _command() -> str:
    """The first word of the command line that is no option."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _where_the_details_are() -> str:
    """Writes the traceback at hand to a file of this user's: a run of a night need not be repeated to see it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="wardround-fault-", suffix=".txt")  # readable by this user only
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"wardround {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
            file.write(without_passwords(f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}"))
    except OSError:
        return "To see where, run it again as: wardround -v ... The text may quote your data."
    return f"Where it happened is in {name}. It may quote your data: read it before you send it to anyone."


def _show_traceback() -> bool:
    """With --verbose, where the error at hand came from; whether it was shown."""
    if is_verbose():
        traceback.print_exc()
    return is_verbose()


def _collect_seldom() -> None:
    """Loading torch makes hundreds of thousands of objects that stay. Searching them for garbage takes a fifth of the time to
    load them, and once more, at the end, 0.4 s in which nothing is gained."""
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
