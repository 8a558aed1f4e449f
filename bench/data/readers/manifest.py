"""A table of one's own that names pictures and their labels: CSV, TSV or Parquet."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple, get_args

from pydantic import Field
from typing_extensions import override

from bench.data.base import Skipped, Split
from bench.data.images import Box
from bench.data.readers.base import (
    Entry,
    Listing,
    OwnLayout,
    PictureFile,
    held_out_persons,
    held_out_pictures,
    merged,
    register,
)
from bench.data.readers.cast import Cast, save
from bench.data.tables import NAMED_FORMATS, Table, column_names, read_table, tables_in, wrong_line
from bench.data.tree import EVERY, content, inside, is_absolute, locate, scan
from bench.labels import BASIC, SPLIT_NAMES, natural_key, split_of
from bench.util.errors import UserError, did_you_mean
from bench.util.section import UserPath

Column = Literal["path", "label", "split", "id", "person", "left", "top", "width", "height"]

_NEEDED: tuple[Column, ...] = ("path", "label")
_BOX: tuple[Column, ...] = ("left", "top", "width", "height")

#: What columns are often called; named in errors, never taken for granted.
_USUAL: Mapping[Column, tuple[str, ...]] = {
    "path": ("image", "filename", "file", "img", "image_path", "file_path", "filepath", "name"),
    "label": ("emotion", "expression", "class", "labels", "class_name", "category", "target"),
}
_FARTHEST = 10**6  # pixels
_LONGEST = 100  # characters of what stands in tables and figures


class ManifestRow(NamedTuple):
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
) -> list[ManifestRow]:
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


def _row(
    fields: Mapping[Column, str], groups: Mapping[str, str], origin: str, number: int
) -> ManifestRow:
    for column in ("path", "id", "person"):
        if column in fields and not fields[column]:
            raise wrong_line(origin, number, "", f"a value in the column of {column}")
    path = _plain(fields["path"])
    box = _box(fields, origin, number)
    plain = path if box is None else f"{path}#{box.left},{box.top},{box.width},{box.height}"
    split = fields.get("split", "")
    if split and split_of(split) is None:
        raise wrong_line(
            origin,
            number,
            split,
            "a split, train, val or test",
            did_you_mean(split, SPLIT_NAMES, cutoff=0.7),
        )
    return ManifestRow(
        number,
        path,
        fields["label"],
        split_of(split),
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
        column = None if name in found else _found(table.columns, name, {})
        if column is not None:
            found[name] = table.columns[column]
    for name in _NEEDED:
        if name not in found:
            usual = [c for c in table.columns if c.lower() in (name, *_USUAL[name])]
            raise UserError(
                f"{table.origin}: there is no column {name!r} among {_known(table)}. If it is "
                "called something else, say so with the option columns: "
                f"{{{name}: {usual[0] if usual else '...'}}}."
            )
    for column, values in {} if "split" in found else table.columns.items():
        if any(values) and {value.lower() for value in values if value} <= {*SPLIT_NAMES}:
            raise UserError(
                f"{table.origin}: the values of the column {column!r} are names of splits. Say so "
                f"with the option columns: {{split: {column}}}, or take the column out."
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


def _found(names: Iterable[str], name: Column, given: Mapping[Column, str]) -> str | None:
    """The column that has what `name` means: as it is given, so called, or so but for its case."""
    if name in given:
        return given[name]
    alike = [own for own in names if own.lower() == name]
    if name in alike:
        return name
    # "ID" is often that of a person, or a line's number.
    return alike[0] if len(alike) == 1 and name != "id" else None


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


# ------------------------------------------------------------------------------------------------
# The layout: rows with their files.


_LEAVES = "its path leaves the folder of the pictures (follow_links: true allows it)"
_ELSEWHERE = "a path from the root of a disk; write it as from the folder of the pictures"


class ManifestLayout(OwnLayout):
    """Pictures and labels that a table names; usual labels become the vocabulary's."""

    title: ClassVar[str] = "table of pictures"
    expects: ClassVar[str] = (
        "a file *.csv, *.tsv or *.parquet, or DIR/manifest.{csv,tsv,parquet} or the only such file "
        "in DIR; with columns path and label, optionally split, id, person, left, top, width and "
        "height"
    )

    kind: Literal["manifest"] = "manifest"
    pictures: UserPath | None = Field(
        default=None, description="What the paths are relative to, if not the table's folder."
    )
    columns: dict[Column, str] = Field(
        default={}, description="What columns are called, such as {label: emotion}."
    )
    groups: tuple[str, ...] = Field(default=(), description="Columns to split results by.")

    @property
    def name(self) -> str:
        """That of the file, or of the folder if the file is just the manifest."""
        stem, resolved = self.root.stem, self.root.resolve()
        if self.root.suffix.lower() in NAMED_FORMATS:
            return resolved.parent.name if stem == "manifest" else stem
        return resolved.name

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        names = column_names(self.file())
        if _found(names, "split", self.columns) is not None:
            return "the table's own split"
        by_person = _found(names, "person", self.columns) is not None
        return f"20 % for test, by {'person' if by_person else 'file content'}"

    def file(self) -> Path:
        """The table.

        Raises:
            UserError: If there is none, or several.
        """
        if self.root.is_file():
            if self.root.suffix.lower() not in NAMED_FORMATS:
                raise self.fail("this is another kind of file: save it as CSV, and name that.")
            return self.root
        base = locate(self.root, lambda folder: bool(_tables(folder)), f"expected {self.expects}")
        found = _tables(base)
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise UserError(f"{base}: has {names}. Name one of the files as --root.")
        return found[0]

    @override
    def listing(self) -> Listing:
        file = self.file()
        table = read_table(file)
        rows = parse_rows(table, self.columns, self.groups)
        places: dict[str, str] = {}
        for row in rows:
            if row.label:
                places.setdefault(row.label, f"{table.origin}, line {row.number}")
        labels = self.meanings(places, table.origin)
        base = self.pictures or file.parent
        paths, missing, refused = self._find(base, rows)
        usable = [row for row in rows if row.label and row.path in paths]
        has_splits = _found(table.columns, "split", self.columns) is not None
        without_split = sum(row.split is None for row in usable) if has_splits else 0
        usable = [row for row in usable if row.split is not None or not has_splits]
        if not usable:
            why = "".join(f" {found.path}: {found.reason}." for found in (*missing, *refused)[:1])
            raise self.fail(
                f"no labelled picture of {table.origin} can be used.{why} Found: {content(base)}. "
                "Say with the option pictures: DIR what the paths are relative to."
            )
        unused = {found.path: found.reason for found in (*missing, *refused)}
        claimed: dict[tuple[Split, str], str] = {}
        for row in rows:
            if row.label and (row.split is not None or not has_splits):
                why = unused.get(row.path, "damaged")
                claimed.setdefault((row.split or "train", labels[row.label]), f"{row.path}: {why}")
        entries = _entries(base, usable, paths, labels)
        return Listing(
            base,
            entries,
            self.classes_of(entries),
            group_values=_group_values(usable, self.groups),
            missing=missing,
            refused=refused,
            unlabelled=tuple(row.path for row in rows if not row.label and row.path in paths),
            left_out={"no split given": without_split} if without_split else {},
            claimed=claimed,
            notes=merged(
                (row.split or "", row.label, labels[row.label]) for row in rows if row.label
            ),
        )

    def _find(
        self, base: Path, rows: Sequence[ManifestRow]
    ) -> tuple[dict[str, str], tuple[Skipped, ...], tuple[Skipped, ...]]:
        """Files of the rows' paths, in natural order; those not there; those refused."""
        tree = scan(base, EVERY, self.follow_links)
        paths: dict[str, str] = {}
        missing, refused = [], list(tree.refused)
        for path in dict.fromkeys(row.path for row in rows):
            found: str | None
            if inside(path):
                found = tree.find(path)
            elif path.startswith(f"{base.absolute()}/") and ".." not in path:
                found = tree.find(path.removeprefix(f"{base.absolute()}/"))
            elif self.follow_links:
                found = path if (base / path).is_file() else None
            else:
                reason = _ELSEWHERE if is_absolute(path) and not Path(path).exists() else _LEAVES
                refused.append(Skipped(path, reason))
                continue
            if found is None:
                missing.append(Skipped(path, "named by the table, not there"))
            else:
                paths[path] = found
        # Places in a list that is sorted already are smaller keys than names.
        places = {file: place for place, file in enumerate(tree.files)}
        outside = len(places)
        ranked = sorted(paths.items(), key=lambda pair: (places.get(pair[1], outside), pair[1]))
        return dict(ranked), tuple(missing), tuple(refused)


def _tables(folder: Path) -> list[Path]:
    """The tables called manifest in a folder, or else all that it has."""
    found = tables_in(folder)
    return [path for path in found if path.stem == "manifest"] or found


def _entries(
    base: Path, rows: Sequence[ManifestRow], paths: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[Entry, ...]:
    """The rows as entries, in the order of `paths`."""
    places = {path: place for place, path in enumerate(paths)}
    rows = sorted(rows, key=lambda row: (places[row.path], row.id))
    return tuple(
        Entry(
            row.id,
            labels[row.label],
            split,
            PictureFile(paths[row.path], row.box),
            row.person,
            row.groups,
        )
        for row, split in zip(rows, _splits(base, rows, paths, labels), strict=True)
    )


def _splits(
    base: Path, rows: Sequence[ManifestRow], paths: Mapping[str, str], labels: Mapping[str, str]
) -> list[Split]:
    """The split of each row: as given, else by person, else by content."""
    given = [row.split for row in rows if row.split is not None]
    if given:
        return given
    if rows[0].person:
        persons = held_out_persons(row.person for row in rows)
        return ["test" if row.person in persons else "train" for row in rows]
    pictures = held_out_pictures(base, ((paths[row.path], labels[row.label]) for row in rows))
    return ["test" if paths[row.path] in pictures else "train" for row in rows]


def _group_values(rows: Sequence[ManifestRow], groups: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values of each group attribute, in natural order."""
    found = {name: {row.groups[name] for row in rows if name in row.groups} for name in groups}
    return {name: tuple(sorted(values, key=natural_key)) for name, values in found.items()}


# ------------------------------------------------------------------------------------------------
# A drawn look-alike.


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`manifest.csv` with split, person and skin tone, and `pictures/0.png` and so on."""
    rows: list[list[str]] = []
    for split, share in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(share * per_class):
            for label in BASIC:
                path = f"pictures/{len(rows)}.png"
                save(root / path, cast.picture(label, split, number))
                tone = (
                    "light" if cast.face(label, split, number).identity.skin_level < 0.5 else "dark"
                )
                rows.append([path, label, split, f"{split} {number}", tone])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "person", "skin tone"], *rows])


register(ManifestLayout, write)
