"""The command line. One file per command; heavy imports happen inside the commands."""

import errno
import sys
import traceback
from typing import Annotated

import typer

from bench.cli.check import check
from bench.cli.compare import compare
from bench.cli.data import data
from bench.cli.decide import decide
from bench.cli.perturb import perturb
from bench.cli.regress import regress
from bench.cli.report import report
from bench.cli.run import run
from bench.cli.train import train
from bench.util.errors import UserError

app = typer.Typer(
    help="How far can a facial expression classifier be trusted when the picture is not clean?",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(train)
app.command()(report)
app.command()(compare)
app.command()(decide)
app.command()(regress)
app.add_typer(data, name="data")
app.add_typer(perturb, name="perturb")
app.add_typer(check, name="check")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Read by `main`, which accepts the flag in any place; here it is only documented."""


def main() -> None:
    """Entry point of `bench`: runs a command and puts errors in a clear sentence."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(arguments, standalone_mode=True)
    except UserError as error:
        _fail(str(error), error.exit_code, debug)
    except OSError as error:
        _fail(_sentence(error), 1, debug)
    except Exception as error:
        hint = "This is a defect of the bench; `--debug` shows where. Finished results are kept."
        _fail(f"{type(error).__name__}: {error}. {hint}", 1, debug)


def _fail(sentence: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"bench: {sentence}\n")
    sys.exit(code)


def _sentence(error: OSError) -> str:
    place = error.filename or "the output folder"
    kept = "What was finished is kept; the same command continues."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk of {place}. Free some or choose another --out. {kept}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"cannot write to {place} ({error.strerror}). Choose another --out. {kept}"
    return f"{place}: {error.strerror or error}. {kept}"
