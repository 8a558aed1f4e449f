"""The flags that name a data set, the same for every command."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.data.config import DataConfig
    from bench.data.readers import Layout

Name = Annotated[
    str, typer.Argument(help="A data set of `bench data list`, or a folder of pictures.")
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="NAME|DIR", help="A data set, in place of the config's."),
]
Root = Annotated[Path | None, typer.Option("--root", help="Folder of the data set.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="FIELD=VALUE",
        help="A choice of protocol, such as -o fold=2; see `bench data list`.",
    ),
]
Agreed = Annotated[
    bool,
    typer.Option(
        "--i-hold-the-agreement",
        help="For data sets that are given out under an agreement: you hold it. Remembered.",
    ),
]


def data_section(name: str, root: Path | None, options: Sequence[str] | None) -> "DataConfig":
    """The part of a config that the flags stand for.

    Raises:
        UserError: For a name, a field or a value that does not exist.
    """
    from bench.data.open import named
    from bench.util.errors import UserError

    fields: dict[str, Any] = {}
    for field, value in map(_field, options or ()):
        if field in fields:
            raise UserError(f"--option {field} is given twice.")
        fields[field] = value
    return named(name, root, fields)


def files_section(name: str, root: Path | None, options: Sequence[str] | None) -> "Layout":
    """The part of a config that the flags stand for, of a data set that is files.

    Raises:
        UserError: Also for drawn faces.
    """
    from bench.data.readers import Layout
    from bench.util.errors import UserError

    section = data_section(name, root, options)
    if not isinstance(section, Layout):
        raise UserError(f"{name} are drawn by the bench: there are no files of yours to look at.")
    return section


def chosen_data(
    name: str | None, root: Path | None, options: Sequence[str] | None
) -> "DataConfig | None":
    """The part of a config that the flags stand for; None if they name no data set.

    Raises:
        UserError: If there are flags about a data set that is not named.
    """
    from bench.util.errors import UserError

    if name is None and (root is not None or options):
        raise UserError("--root and --option say more about a data set; name it with --data.")
    return None if name is None else data_section(name, root, options)


def settle_agreement(data: "DataConfig", agreed: bool) -> None:
    """Remember that the user holds the agreements for gated data; ask, if there is a terminal.

    Raises:
        UserError: If the user does not hold one of them.
    """
    from bench.data.on_disk.dataset import agreement_is_needed, confirm, refusal

    gated = [layout for layout in _layouts(data) if layout.terms is not None]
    if agreed:
        for layout in gated:
            confirm(layout.kind)
        return
    needed = {side.kind: side for side in gated if agreement_is_needed(side, side.listing())}
    if needed and (sys.stdin is None or not sys.stdin.isatty()):  # None: closed, as of some jobs
        raise refusal(list(needed.values()))
    for layout in needed.values():
        question = f"{layout.title} is given out under an agreement ({layout.terms}). "
        if not typer.confirm(question + "Do you hold it?", err=True):
            raise refusal([layout])
        confirm(layout.kind)


def _layouts(data: "DataConfig") -> Iterator["Layout"]:
    from bench.data.config import CrossData
    from bench.data.readers import Layout

    sides = (data.train, data.test) if isinstance(data, CrossData) else (data,)
    return (side for side in sides if isinstance(side, Layout))


def _field(option: str) -> tuple[str, Any]:
    from bench.util.errors import UserError
    from bench.util.section import from_yaml

    name, equals, value = option.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--option {option}: expected FIELD=VALUE, such as -o fold=2.")
    if name.strip() in ("kind", "root"):
        raise UserError(f"--option {option}: this is what --data and --root say.")
    try:
        return name.strip(), from_yaml(value)
    except ValueError as error:
        raise UserError(f"--option {option}: {value!r} is not a value.") from error
