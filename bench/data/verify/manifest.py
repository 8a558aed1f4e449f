"""Digests of one copy of a data set, as a file, and the comparison with another copy."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from bench.data.readers.base import DRAWN_MARK, Listing
from bench.data.reading.tables import csv_rows, read_text, wrong_line
from bench.data.reading.tree import scan
from bench.util.errors import UserError
from bench.util.files import atomic

COLUMNS = ("id", "path", "label", "split", "sha256", "height", "width")

#: What label files are called.
LABEL_SUFFIXES = frozenset({".txt", ".csv", ".tsv", ".lst", ".json", ".xlsx", ".parquet"})

#: A folder with more label files has one digest for all.
_MANY = 20

Row = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True)
class SampleManifest:
    """Rows as in `COLUMNS`, by id; sha256 is empty and sizes are 0 where nothing can be read."""

    rows: Mapping[str, Row]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)

    @property
    def digest(self) -> str:
        """SHA-256 over ids, labels, splits and contents: equal for equal copies, wherever."""
        told = sorted("\t".join((row[0], *row[2:5])) for row in self.rows.values())
        return sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Differences:
    """How a copy differs from an earlier one, by id.

    Attributes:
        changed: What is different: "picture", "label", "split".
        gone: Samples of the earlier copy only.
        new: Samples of this one only.
    """

    changed: Mapping[str, tuple[str, ...]]
    gone: tuple[str, ...]
    new: tuple[str, ...]


def manifest_of(listing: Listing, facts: pd.DataFrame) -> SampleManifest:
    """The manifest of a listing whose pictures were examined."""
    columns = (facts[name].tolist() for name in ("sha256", "height", "width"))
    rows: dict[str, Row] = {}
    for entry, content, height, width in zip(listing.entries, *columns, strict=True):
        path, size = entry.source.path, (str(height), str(width))
        rows[entry.id] = (entry.id, path, entry.label, entry.split, content, *size)
    return SampleManifest(rows)


def write_manifest(manifest: SampleManifest, path: Path) -> None:
    """Write a manifest as CSV, in the order of the listing."""
    with atomic(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(manifest.rows.values())


def read_manifest(path: Path) -> SampleManifest:
    """Read what `write_manifest` wrote.

    Raises:
        UserError: If it is something else, naming the line.
    """
    return parse_manifest(read_text(path), str(path))


def parse_manifest(text: str, origin: str) -> SampleManifest:
    """The manifest in a CSV text.

    Raises:
        UserError: Naming the line that is something else, or an id that comes twice.
    """
    lines = csv_rows(text, origin)
    number, header = next(lines, (1, []))
    if tuple(header) != COLUMNS:
        raise wrong_line(origin, number, ",".join(header), f"the header {','.join(COLUMNS)}")
    rows: dict[str, Row] = {}
    for number, fields in lines:
        if len(fields) != len(COLUMNS) or not re.fullmatch("[0-9a-f]{64}|", fields[4]):
            raise wrong_line(origin, number, ",".join(fields), "7 fields with a SHA-256 in the 5th")
        if fields[0] in rows:
            raise wrong_line(origin, number, fields[0], "an id that was not there before")
        name, place, label, split, content, height, width = fields
        rows[name] = (name, place, label, split, content, height, width)
    if not rows:
        raise UserError(f"{origin}: the manifest is empty.")
    return SampleManifest(rows)


def compare(now: SampleManifest, earlier: SampleManifest) -> Differences:
    """What is different in a copy since an earlier one, or from another one."""
    parts = {"picture": 4, "label": 2, "split": 3}
    changed = {}
    for name, row in now.rows.items():
        before = earlier.rows.get(name)
        if before is not None:
            what = tuple(part for part, place in parts.items() if row[place] != before[place])
            if what:
                changed[name] = what
    return Differences(
        changed,
        gone=tuple(name for name in earlier.rows if name not in now.rows),
        new=tuple(name for name in now.rows if name not in earlier.rows),
    )


def label_digests(base: Path, known: Sequence[Path] = ()) -> dict[str, str]:
    """SHA-256 of each label file below a folder, by relative path; or of those that are known.

    Of a folder with more than 20 the digest is of their names and digests, and the path is that of
    the folder, with a slash at its end. Many folders are told by the topmost one.
    """
    if known:
        return {os.path.relpath(path, base).replace(os.sep, "/"): _digest(path) for path in known}
    folders: dict[str, list[str]] = {}
    for path in scan(base, LABEL_SUFFIXES).files:
        folder, _, name = path.rpartition("/")
        if name != DRAWN_MARK:
            folders.setdefault(folder, []).append(path)
    if len(folders) > _MANY:
        tops: dict[str, list[str]] = {}
        for folder, paths in folders.items():
            tops.setdefault(folder.partition("/")[0], []).extend(paths)
        folders = tops
    digests = {}
    for folder, paths in folders.items():
        own = {path: _digest(base / path) for path in paths}
        if len(own) > _MANY:
            told = "\n".join(
                f"{path.removeprefix(folder).lstrip('/')}\t{own[path]}" for path in sorted(own)
            )
            own = {f"{folder}/": sha256(told.encode("utf-8", "surrogatepass")).hexdigest()}
        digests.update(own)
    return digests


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        state = sha256()
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
