"""A table of one's own that names pictures and their labels: CSV, TSV or Parquet."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bench.data.base import Skipped, Split
from bench.data.labels import canonical, class_names, label_base, natural_key, ordered
from bench.data.layouts.base import Entry, LabelBase, Layout, Listing, PictureFile
from bench.data.layouts.manifest_rows import Column, Row, parse_rows
from bench.data.layouts.own_split import held_out_persons, held_out_pictures
from bench.data.reading.images import PICTURE_SUFFIXES
from bench.data.reading.label_files import whole_number
from bench.data.reading.tables import FORMATS, column_names, read_table
from bench.data.reading.tree import inside, locate, scan
from bench.errors import UserError

_NUMBER = re.compile(r"-?\d+(\.\d*)?")
_LEAVES = "its path leaves the folder of the pictures (follow_links: true allows it)"


class Manifest(Layout):
    """Pictures and labels that a table names; usual labels become the vocabulary's."""

    title: ClassVar[str] = "table of pictures"
    expects: ClassVar[str] = (
        "a file *.csv, *.tsv or *.parquet, or DIR/manifest.{csv,tsv,parquet}, with columns path "
        "and label, optionally split, id, person, left, top, width, height"
    )

    kind: Literal["manifest"] = "manifest"
    pictures: Path | None = Field(
        default=None, description="What the paths are relative to, if not the table's folder."
    )
    columns: dict[Column, str] = Field(
        default={}, description="What columns are called, such as {label: emotion}."
    )
    groups: tuple[str, ...] = Field(default=(), description="Columns to split results by.")
    class_order: str | tuple[str, ...] | None = Field(
        default=None,
        description="What numeric labels mean: a known order such as fer2013, or a list of names.",
    )
    label_base: LabelBase = None

    @property
    def name(self) -> str:
        """That of the file, or of the folder if the file is just the manifest."""
        stem, resolved = self.root.stem, self.root.resolve()
        if self.root.suffix.lower() in FORMATS:
            return resolved.parent.name if stem == "manifest" else stem
        return resolved.name

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        names = column_names(self.file())
        if self.columns.get("split", "split") in names:
            return "the table's own split"
        by_person = self.columns.get("person", "person") in names
        return f"20 % for test, by {'person' if by_person else 'file content'}"

    def file(self) -> Path:
        """The table.

        Raises:
            UserError: If there is none, or several.
        """
        if self.root.is_file():
            if self.root.suffix.lower() not in FORMATS:
                raise self.fail("this is no such file.")
            return self.root
        base = locate(self.root, lambda folder: bool(_tables(folder)), f"expected {self.expects}")
        found = _tables(base)
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise UserError(f"{base}: has {names}. Name one of the files as --root.")
        return found[0]

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        file = self.file()
        table = read_table(file)
        rows = parse_rows(table, self.columns, self.groups)
        labels = self._labels([row for row in rows if row.label], table.origin)
        base = self.pictures or file.parent
        paths, missing, refused = self._find(base, rows)
        usable = [row for row in rows if row.label and row.path in paths]
        without_split = 0
        if self.columns.get("split", "split") in table.columns:
            without_split = sum(row.split is None for row in usable)
            usable = [row for row in usable if row.split is not None]
        if not usable:
            why = "".join(f" {found.path}: {found.reason}." for found in (*missing, *refused)[:1])
            raise self.fail(f"no labelled picture of {table.origin} can be used.{why}")
        entries = _entries(base, usable, paths, labels)
        return Listing(
            base,
            entries,
            ordered({entry.label for entry in entries if entry.split == "train"}),
            group_values=_group_values(usable, self.groups),
            missing=missing,
            refused=refused,
            unlabelled=tuple(row.path for row in rows if not row.label and row.path in paths),
            left_out={"no split given": without_split} if without_split else {},
        )

    def _labels(self, rows: Sequence[Row], origin: str) -> dict[str, str]:
        """Class name of each label."""
        given = {row.label: row.number for row in rows}
        if self.class_order is None:
            number = next(filter(_NUMBER.fullmatch, given), None)
            if number is not None:
                raise UserError(
                    f"{origin}, line {given[number]}: the label {number} is a number, which means "
                    "another class in every data set. Say what the numbers mean with the option "
                    "class_order: a known order such as fer2013, or a list of names."
                )
            return {label: canonical(label) for label in given}
        names = class_names(self.class_order)
        expected = "a numeric label, as class_order says"
        ids = {
            # Tables with gaps in a column of integers often come with "3.0".
            label: whole_number(label.removesuffix(".0"), origin, line, expected)
            for label, line in given.items()
        }
        first = label_base(ids.values(), len(names), origin, self.label_base)
        return {label: names[number - first] for label, number in ids.items()}

    def _find(
        self, base: Path, rows: Sequence[Row]
    ) -> tuple[dict[str, str], tuple[Skipped, ...], tuple[Skipped, ...]]:
        """Files of the rows' paths, in natural order; those not there; those refused."""
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        paths: dict[str, str] = {}
        missing, refused = [], list(tree.refused)
        for path in dict.fromkeys(row.path for row in rows):
            found: str | None
            if inside(base, path):
                found = tree.find(path)
            elif self.follow_links:
                found = path if (base / path).is_file() else None
            else:
                refused.append(Skipped(path, _LEAVES))
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
    names = (folder / f"manifest{suffix}" for suffix in FORMATS)
    return [path for path in names if path.is_file()]


def _entries(
    base: Path, rows: Sequence[Row], paths: Mapping[str, str], labels: Mapping[str, str]
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
    base: Path, rows: Sequence[Row], paths: Mapping[str, str], labels: Mapping[str, str]
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


def _group_values(rows: Sequence[Row], groups: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values of each group attribute, in natural order."""
    found = {name: {row.groups[name] for row in rows if name in row.groups} for name in groups}
    return {name: tuple(sorted(values, key=natural_key)) for name, values in found.items()}
