"""The flags that name a data set, the same for every command."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.config import DataConfig
    from bench.data.layouts import Layout

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
    from pydantic import ValidationError

    from bench.config.data import FACES, FILES
    from bench.config.parse import sentences
    from bench.errors import UserError, unknown

    fields = dict(_field(option) for option in options or ())
    if name in FACES:
        section: Any = FACES[name]
        if root is not None:
            raise UserError(f"--root: {name} are drawn, they have no folder.")
    elif name in FILES:
        section = FILES[name]
        if root is None:
            raise UserError(f"{name} needs --root DIR: {section.expects}.")
        fields |= {"root": root}
    elif Path(name).is_dir() and root is None:
        section, fields = FILES["folder"], fields | {"root": Path(name)}
    else:
        raise unknown("data set or folder", name, [*FACES, *FILES])
    try:
        return section.model_validate({"kind": section.model_fields["kind"].default, **fields})
    except ValidationError as error:
        raise UserError(f"{name}: {sentences(error)}.") from error


def files_section(name: str, root: Path | None, options: Sequence[str] | None) -> "Layout":
    """As `data_section`, of data sets that are files.

    Raises:
        UserError: Also for drawn faces.
    """
    from bench.data.layouts import Layout
    from bench.errors import UserError

    section = data_section(name, root, options)
    if not isinstance(section, Layout):
        raise UserError(f"{name} are drawn by the bench: there are no files of yours to look at.")
    return section


def chosen_data(
    name: str | None, root: Path | None, options: Sequence[str] | None
) -> "DataConfig | None":
    """As `data_section`; None if the flags name no data set.

    Raises:
        UserError: If there are flags about a data set that is not named.
    """
    from bench.errors import UserError

    if name is None and (root is not None or options):
        raise UserError("--root and --option say more about a data set; name it with --data.")
    return None if name is None else data_section(name, root, options)


def settle_agreement(data: "DataConfig", agreed: bool) -> None:
    """Remember that the user holds the agreement for gated data; ask, if there is a terminal.

    Raises:
        UserError: If the user does not hold it.
    """
    from bench.data.agreement import agreement_is_needed, confirm, require_agreement

    for layout in _layouts(data):
        if layout.terms is None:
            continue
        if agreed:
            confirm(layout.kind)
        elif sys.stdin.isatty() and agreement_is_needed(layout, layout.listing()):
            question = f"{layout.title} is given out under an agreement ({layout.terms}). "
            if not typer.confirm(question + "Do you hold it?", err=True):
                require_agreement(layout, layout.listing())
            confirm(layout.kind)


def _layouts(data: "DataConfig") -> Iterator["Layout"]:
    from bench.config import CrossData
    from bench.data.layouts import Layout

    sides = (data.train, data.test) if isinstance(data, CrossData) else (data,)
    return (side for side in sides if isinstance(side, Layout))


def _field(option: str) -> tuple[str, Any]:
    import yaml

    from bench.errors import UserError

    name, equals, value = option.partition("=")
    if not equals or name in ("kind", "root"):
        raise UserError(f"--option {option}: expected FIELD=VALUE, such as -o fold=2.")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--option {option}: {value!r} is not a value.") from error
