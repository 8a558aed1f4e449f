"""What verifying a data set says, for programs and on a terminal; digests of one copy of it."""

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.data.readers.base import DRAWN_MARK, Listing
from bench.data.tables import csv_rows, read_text, wrong_line
from bench.data.tree import scan
from bench.util.errors import UserError, printable
from bench.util.files import atomic

# ------------------------------------------------------------------------------------------------
# Digests of one copy, as a file, and the comparison with another copy
# ------------------------------------------------------------------------------------------------

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


# ------------------------------------------------------------------------------------------------
# What is said
# ------------------------------------------------------------------------------------------------

#: How many of a finding's files JSON lists; the manifest has all.
LISTED = 100

Level = Literal["note", "warning"]


@dataclass(frozen=True)
class DataFinding:
    """One thing that was found.

    Attributes:
        level: Warnings are what makes results differ from other people's, or wrong.
        kind: A fixed word for programs: "counts", "missing", "copies_across", ...
        text: A sentence without its full stop.
        items: The files it is about: paths with reasons, or groups of files.
    """

    level: Level
    kind: str
    text: str
    items: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True)
class Count:
    """Samples of one class and split; class "" is the split as a whole.

    Attributes:
        published: None if it is not known.
    """

    split: str
    label: str
    found: int
    published: int | None

    @property
    def difference(self) -> int | None:
        """Found less published."""
        return None if self.published is None else self.found - self.published


@dataclass(frozen=True)
class Sizes:
    """Sizes of the readable pictures, height and width in pixels.

    Attributes:
        smallest: By area, as `largest`.
        most_frequent: And how many pictures have it.
    """

    smallest: tuple[int, int]
    largest: tuple[int, int]
    most_frequent: tuple[int, int]
    most_frequent_count: int


@dataclass(frozen=True)
class Verification:
    """The whole.

    Attributes:
        title: The data set, in its owners' words.
        kind: Its layout.
        root: Where the user points.
        base: Where the layout was found.
        protocol: Pictures, split and classes in words.
        drawn: Whether it is a tree of drawn faces.
        clips: Whether samples are clips, of which the middle frame was opened.
        classes: In table order.
        counts: Per split and class.
        sizes: None if no picture is readable.
        label_files: SHA-256 of each label file, or of a folder with many, by path.
        findings: Warnings first.
        manifest: Every sample with its digest.
    """

    title: str
    kind: str
    root: str
    base: str
    protocol: str
    drawn: bool
    clips: bool
    classes: tuple[str, ...]
    counts: tuple[Count, ...]
    sizes: Sizes | None
    label_files: Mapping[str, str]
    findings: tuple[DataFinding, ...]
    manifest: SampleManifest

    @property
    def warnings(self) -> int:
        """Number of findings that are warnings."""
        return sum(finding.level == "warning" for finding in self.findings)


def as_json(found: Verification) -> dict[str, Any]:
    """Everything but the manifest; lists of files are cut, their totals are not."""
    return {
        "title": found.title,
        "kind": found.kind,
        "root": found.root,
        "base": found.base,
        "protocol": found.protocol,
        "drawn": found.drawn,
        "clips": found.clips,
        "classes": list(found.classes),
        "samples": len(found.manifest),
        "digest": found.manifest.digest,
        "counts": [
            {
                "split": count.split,
                "class": count.label or None,
                "found": count.found,
                "published": count.published,
                "difference": count.difference,
            }
            for count in found.counts
        ],
        "sizes": None if found.sizes is None else asdict(found.sizes),
        "label_files": dict(found.label_files),
        "warnings": found.warnings,
        "findings": [
            {
                "level": finding.level,
                "kind": finding.kind,
                "text": finding.text,
                "total": len(finding.items),
                "items": [dict(item) for item in finding.items[:LISTED]],
            }
            for finding in found.findings
        ],
    }


def many(number: int, word: str) -> str:
    """How many of something: "1 picture", "1,200 pictures"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


# ------------------------------------------------------------------------------------------------
# A verification on a screen, and as plain lines where nobody looks.


_EXAMPLES = 3


def show(found: Verification, console: Console) -> None:
    """Print what it is, the counts, and the findings with a few examples each."""
    for line in _heading(found):
        console.print(Text(printable(line)), soft_wrap=True)
    if console.is_terminal:
        console.print(_table(found))
    else:
        for row in found.counts:
            console.print(Text(printable(_line(row))), soft_wrap=True)
    for finding in found.findings:
        style = "yellow" if finding.level == "warning" else "dim"
        told = Text.assemble(
            (f"{finding.level:8}", style), printable(f"{finding.kind}: {finding.text}.")
        )
        console.print(told, soft_wrap=True)
        for line in _examples(finding):
            console.print(Text(printable(f"          {line}"), "dim"), soft_wrap=True)
    number = found.warnings
    verdict = f"{number or 'No'} warning{'' if number == 1 else 's'}."
    console.print(Text(verdict, "bold"))


def _heading(found: Verification) -> Iterator[str]:
    yield f"{found.title} in {found.base}" + (" (drawn faces)" if found.drawn else "")
    unit = "clips" if found.clips else "pictures"
    yield (
        f"{len(found.manifest):,} {unit}, {len(found.classes)} classes; {found.protocol}; "
        f"digest {found.manifest.digest[:12]}"
    )
    if found.sizes is not None:
        smallest, largest = found.sizes.smallest, found.sizes.largest
        usual = found.sizes.most_frequent
        told = f"{usual[0]} x {usual[1]} pixels (height x width)"
        if smallest != largest:
            told = (
                f"{smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}, most often {told}"
            )
        yield told + (", of middle frames" if found.clips else "")


def _table(found: Verification) -> Table:
    """A row per class, found, published and the difference of each split beside each other."""
    splits = list(dict.fromkeys(row.split for row in found.counts))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    rows = {(row.split, row.label): row for row in found.counts}
    known = {row.split for row in found.counts if row.published is not None}
    for split in splits:
        table.add_column(split, justify="right")
        if split in known:
            table.add_column("published", justify="right", style="dim")
            table.add_column("", justify="right", style="yellow")
    for label in dict.fromkeys([*(row.label for row in found.counts if row.label), ""]):
        cells = []
        for split in splits:
            row = rows.get((split, label))
            cells.append(f"{row.found:,}" if row else "")
            if split in known:
                told = row is not None and row.published is not None
                cells.append(f"{row.published:,}" if row and told else "")
                cells.append(f"{row.difference:+,}" if row and row.difference else "")
        table.add_row(Text(printable(label or "total")), *cells)  # a name may look like markup
    return table


def _line(row: Count) -> str:
    told = "" if row.published is None else f", published {row.published} ({row.difference:+})"
    return f"{row.split} {row.label or 'total'}: {row.found}{told}"


def _examples(finding: DataFinding) -> Iterator[str]:
    if finding.kind == "counts":  # which the table has
        return
    for item in finding.items[:_EXAMPLES]:
        yield _example(item)
    if len(finding.items) > _EXAMPLES:
        yield f"and {len(finding.items) - _EXAMPLES:,} more"


def _example(item: Mapping[str, object]) -> str:
    members = item.get("members")
    if isinstance(members, list):
        shown = [f"{member['path']} ({member['split']}, {member['label']})" for member in members]
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return "; ".join(shown[:3]) + more
    told = [", ".join(value) if isinstance(value, list) else str(value) for value in item.values()]
    return ": ".join(told)
