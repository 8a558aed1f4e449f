"""The command line. One file per command; heavy imports happen inside the commands."""

import contextlib
import errno
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.cli.check import check
from bench.cli.compare import compare
from bench.cli.data import data
from bench.cli.decide import decide
from bench.cli.models import models
from bench.cli.output import stdout_for_results
from bench.cli.perturb import perturb
from bench.cli.plugins import plugins
from bench.cli.publish import publish
from bench.cli.report import report
from bench.cli.run import run
from bench.cli.train import train
from bench.cli.verify import regress, verify
from bench.util.errors import UserError, did_you_mean, printable


class _Suggesting(TyperGroup):
    """A group of commands that says which value of a choice was probably meant."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            given = re.search(r"('[^']*') is not one of (.*)", error.message)
            if given is not None:
                name, *choices = re.findall(r"'([^']*)'", given[0])
                error.message = f"{given[0].rstrip('.')}. {did_you_mean(name, choices)}".rstrip()
            raise


app = typer.Typer(
    cls=_Suggesting,
    help="How far can a facial expression classifier be trusted when the picture is not clean?",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(train)
app.command()(report)
app.command()(compare)
app.command()(decide)
app.command()(regress)
app.command()(verify)
app.command()(publish)
app.add_typer(data, name="data")
app.add_typer(perturb, name="perturb")
app.add_typer(check, name="check")
app.add_typer(models, name="models")
app.add_typer(plugins, name="plugins")


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Read by `main`, which accepts the flag in any place; here it is only documented."""


def main() -> None:
    """Entry point of `bench`: runs a command and puts errors in a clear sentence."""
    given = sys.argv[1:]
    debug = "--debug" in given
    apart = stdout_for_results() if "--json" in given else contextlib.nullcontext()
    try:
        arguments = [_expanded(argument) for argument in _none_empty(given)]
        with apart:
            app(arguments, standalone_mode=True)
    except UserError as error:
        _fail(str(error), error.exit_code, debug)
    except OSError as error:
        _fail(_sentence(error), 1, debug)
    except Exception as error:
        hint = "This is a defect of the bench; `--debug` shows where. Finished results are kept."
        _fail(f"{type(error).__name__}: {error}. {hint}", 1, debug)


def _none_empty(given: Sequence[str]) -> list[str]:
    """The arguments less `--debug`; an empty path would be the current folder.

    Raises:
        UserError: If one is empty, or a place of another machine.
    """
    for before, argument in zip(["bench", *given], given, strict=False):
        if not argument.strip() or (argument.startswith("--") and argument.endswith("=")):
            where = argument if argument.strip() else f"what follows {before}"
            raise UserError(f"{where} is empty. Is a variable of the shell unset?")
        flag, _, value = (
            argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
        )
        if re.match(r"[a-z][a-z0-9+.-]*://", value) and "--address" not in (before, flag):
            raise UserError(
                f"{value} is an address, and files are read and written in folders: name one of "
                "this machine, or mount it."
            )
    return [argument for argument in given if argument != "--debug"]


def _expanded(argument: str) -> str:
    """An argument with `~` as the home folder; shells leave it in --root=~/faces and in quotes."""
    flag, equals, value = argument.rpartition("=") if "=~" in argument else ("", "", argument)
    if not value.startswith("~") or (value == "~" and flag and not flag.startswith("-")):
        return argument  # `-o FIELD=~` is YAML for nothing
    from bench.util.files import expanded

    return f"{flag}{equals}{expanded(value)}"


def _fail(sentence: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"bench: {printable(sentence)}\n")
    sys.exit(code)


def _sentence(error: OSError) -> str:
    place = Path(error.filename or "the output folder")
    kept = "What was finished is kept; the same command continues."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk of {place}. Free some or choose another --out. {kept}"
    if error.errno == errno.EISDIR:
        return f"{place} is a folder where a file belongs: move it away. {kept}"
    for path in (place, *place.parents):
        if path.is_symlink() and not path.exists():
            return f"{path} is a link that leads nowhere: remove it, or mend it. {kept}"
        if path.is_file() and error.errno in (errno.ENOTDIR, errno.EEXIST):
            other = "move it away, or choose another --out"
            return f"{path} is a file where a folder belongs: {other}. {kept}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"cannot write to {place} ({error.strerror}). Choose another --out. {kept}"
    return f"{place}: {error.strerror or error}. {kept}"
