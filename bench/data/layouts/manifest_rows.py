"""The rows of a manifest: what each one says of its picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, get_args

from bench.data.base import Split
from bench.data.layouts.base import SPLITS
from bench.data.reading.images import Box
from bench.data.reading.label_files import wrong_line
from bench.data.reading.tables import Table
from bench.errors import UserError

Column = Literal["path", "label", "split", "id", "person", "left", "top", "width", "height"]

_NEEDED: tuple[Column, ...] = ("path", "label")
_BOX: tuple[Column, ...] = ("left", "top", "width", "height")
_SPLITS: Mapping[str, Split] = {
    **SPLITS,
    "training": "train",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}
_FARTHEST = 10**6  # pixels
_LONGEST = 100  # characters of what stands in tables and figures


class Row(NamedTuple):
    """A row of a manifest; text that is not given is empty.

    Attributes:
        number: Of its line.
        path: With "/" between the parts.
        label: As it is written.
        split: None if it is not given.
        id: Unique; the path, and the box if there is one, unless it is given.
        person: Who is shown.
        box: The face; None if it is the whole picture.
        groups: Values of group attributes.
    """

    number: int
    path: str
    label: str
    split: Split | None
    id: str
    person: str
    box: Box | None
    groups: Mapping[str, str]


def parse_rows(
    table: Table, names: Mapping[Column, str] | None = None, groups: Sequence[str] = ()
) -> list[Row]:
    """What each row of a manifest says.

    Args:
        table: The manifest.
        names: Of columns that are called something else.
        groups: Columns that are group attributes.

    Raises:
        UserError: Naming the column that is not there, or the line that is something else.
    """
    columns = _columns(table, names or {})
    attributes = {name: _column(table, name, "the option groups") for name in groups}
    for name, column in {"label": columns["label"], **attributes}.items():
        _require_short(name, column, table)
    rows = []
    seen: set[str] = set()
    shared: dict[tuple[str, ...], dict[str, str]] = {}  # many rows are in the same groups
    for place, number in enumerate(table.numbers):
        fields = {name: column[place] for name, column in columns.items()}
        values = tuple(column[place] for column in attributes.values())
        if values not in shared:
            pairs = zip(attributes, values, strict=True)
            shared[values] = {name: value for name, value in pairs if value}
        row = _row(fields, shared[values], table.origin, number)
        if row.id in seen:
            raise wrong_line(
                table.origin, number, row.id, "an id, or else a path, that did not come before"
            )
        seen.add(row.id)
        rows.append(row)
    if not rows:
        raise UserError(f"{table.origin}: names no pictures.")
    return rows


def _row(fields: Mapping[Column, str], groups: Mapping[str, str], origin: str, number: int) -> Row:
    for column in ("path", "id", "person"):
        if column in fields and not fields[column]:
            raise wrong_line(origin, number, "", f"a value in the column of {column}")
    path = _plain(fields["path"])
    box = _box(fields, origin, number)
    plain = path if box is None else f"{path}#{box.left},{box.top},{box.width},{box.height}"
    split = fields.get("split", "").lower()
    if split and split not in _SPLITS:
        raise wrong_line(origin, number, split, "a split, train, val or test")
    return Row(
        number,
        path,
        fields["label"],
        _SPLITS.get(split),
        fields.get("id", plain),
        fields.get("person", ""),
        box,
        groups,
    )


def _plain(path: str) -> str:
    """A path with "/" between its parts, and nothing else between them."""
    path = path.replace("\\", "/")
    return str(PurePosixPath(path)) if "./" in path or "//" in path else path


def _columns(table: Table, names: Mapping[Column, str]) -> dict[Column, list[str]]:
    """The columns that are there, by what they mean."""
    found = {name: _column(table, names[name], f"columns: {{{name}: ...}}") for name in names}
    for name in get_args(Column):
        if name in table.columns:
            found.setdefault(name, table.columns[name])
    for name in _NEEDED:
        if name not in found:
            raise UserError(
                f"{table.origin}: there is no column {name!r} among {_known(table)}. If it is "
                f"called something else, say so with the option columns: {{{name}: ...}}."
            )
    boxed = [name for name in _BOX if name in found]
    if boxed == ["width", "height"] and not set(boxed) & set(names):
        # The size of the whole picture, as in the manifests that `bench data verify` writes.
        del found["width"], found["height"]
        boxed = []
    if 0 < len(boxed) < len(_BOX):
        raise UserError(
            f"{table.origin}: a box needs the columns {', '.join(_BOX)}; there is only "
            f"{' and '.join(boxed)}. Add the others or rename what is no box."
        )
    return found


def _column(table: Table, name: str, named_by: str) -> list[str]:
    if name not in table.columns:
        raise UserError(
            f"{table.origin}: there is no column {name!r}, which {named_by} names, among "
            f"{_known(table)}."
        )
    return table.columns[name]


def _require_short(name: str, column: Sequence[str], table: Table) -> None:
    """Classes and groups are columns of tables: a text in their place is an oversight."""
    if len(name) > _LONGEST or not name.isprintable():
        raise UserError(
            f"{table.origin}: a column of groups has a name of up to {_LONGEST} printable "
            f"characters, not {_shown(name)}."
        )
    for value in dict.fromkeys(column):
        if len(value) > _LONGEST or not value.isprintable():
            number = table.numbers[column.index(value)]
            expected = f"a value of up to {_LONGEST} printable characters in the column {name!r}"
            raise wrong_line(table.origin, number, value, expected)


def _shown(name: str) -> str:
    return repr(name if len(name) < 30 else f"{name[:27]}...")


def _known(table: Table) -> str:
    shown = [_shown(name) for name in table.columns]
    return ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "")


def _box(fields: Mapping[Column, str], origin: str, number: int) -> Box | None:
    """The box, in whole pixels; None if the four fields are not there or empty."""
    texts = [fields.get(column, "") for column in _BOX]
    if not any(texts):
        return None
    return Box(*(_pixels(text, origin, number) for text in texts))


def _pixels(text: str, origin: str, number: int) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _FARTHEST:
        raise wrong_line(origin, number, text, "left, top, width and height of a box in pixels")
    return round(value)
