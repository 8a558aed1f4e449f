"""What `bench data verify` finds: counts, copies, damage, and what makes a run refuse the data.

Digests of one copy and what is said come first, then what is looked for, then `verify`.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.data.base import Skipped, Split
from bench.data.on_disk import FilesDataSet
from bench.data.on_disk.dataset import require_agreement
from bench.data.on_disk.examine import BYTES, COARSE_BYTES, FINE_SIDE, examine
from bench.data.readers.base import DRAWN_MARK, Counts, Entry, Layout, Listing
from bench.data.tables import csv_rows, read_text, wrong_line
from bench.data.tree import scan
from bench.util.errors import UserError, printable
from bench.util.files import atomic
from bench.util.progress import Reporter

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


# ------------------------------------------------------------------------------------------------
# Counts, found and published


def count(listing: Listing, published: Counts) -> tuple[Count, ...]:
    """Counts for each split that has samples, or should: the split as a whole, then its classes.

    A split of `published` may have its total alone, under "".
    """
    found: Counter[tuple[str, str]] = Counter((e.split, e.label) for e in listing.entries)
    rows = []
    for split in get_args(Split):
        told = published.get(split, {})
        of_classes = {label: number for label, number in told.items() if label}
        total = sum(found[split, label] for label in {label for _, label in found})
        if not total and not told:
            continue
        whole = told.get("", sum(of_classes.values()) if of_classes else None)
        rows.append(Count(split, "", total, whole))
        labels = dict.fromkeys((*listing.classes, *of_classes, *_strangers(found, split)))
        rows += [Count(split, label, found[split, label], told.get(label)) for label in labels]
    return tuple(rows)


def finding(counts: Sequence[Count], total: int | None, drawn: bool) -> list[DataFinding]:
    """Whether the counts are the published ones.

    Args:
        counts: Of splits and classes.
        total: The published number in all, if no split is the owners'.
        drawn: Whether they are drawn faces.
    """
    known = [row for row in counts if row.difference is not None]
    wholes = [row for row in counts if not row.label]
    found = sum(row.found for row in wholes)
    published = total or sum(row.published or 0 for row in wholes)
    if not known and total is None:
        return []
    wrong = [row for row in known if row.difference]
    if not wrong and found == published:
        classes = ", class by class" if any(row.label for row in known) else ""
        return [DataFinding("note", "counts", f"the published number of samples{classes}")]
    if drawn:
        return [
            DataFinding("note", "counts", "drawn faces, so the counts are not the published ones")
        ]
    as_many = "as many samples as published, but not so in every split and class"
    text = (
        as_many
        if found == published
        else (
            f"{found:,} samples where {published:,} were published; results on another number of "
            "pictures compare with published ones only roughly"
        )
    )
    items = [
        {"split": row.split, "class": row.label or None, "difference": row.difference}
        for row in wrong
    ]
    return [DataFinding("warning", "counts", text, items)]


def _strangers(found: Counter[tuple[str, str]], split: str) -> list[str]:
    return sorted(label for place, label in found if place == split)


# ------------------------------------------------------------------------------------------------
# Near-identical pictures among hundreds of thousands, by their likeness hashes.
#
# Two pictures are near-identical if at most 4 of the 128 coarse bits and at most 32 of the 512 fine
# bits of their `likeness_hash` differ. Measured on pictures that are different, and on copies:
#
# - Of the 18 million pairs of 6,000 drawn faces the nearest differ in 5 coarse and 57 fine bits; of
#   the 20,706 pairs of 204 photographs of 102 faces in one pose, light and frame, smiling and
#   not, in 8 and 75. None is within both limits, or either.
# - Copies as JPEG of quality 95, resized from 64 to 100, 100 to 224 or 224 to 100 pixels, or a
#   little brighter are within both at least 98 times in 100; as JPEG of quality 75 about four in
#   five of those of 64 pixels and nearly all of those of 224. Cropped or turned copies are not
#   found.


COARSE_LIMIT, FINE_LIMIT = 4, 32

#: Fewer bits of a fine half than these, set or not, and the picture is too plain to tell by them.
_PLAIN = 16

#: Two hashes that differ in at most 4 bits agree in 4 of 8 pieces of 16 bits.
_PIECES = 8

#: With how many neighbours a picture is compared among those that agree in the same pieces. Where
#: more do, most of the picture is the same in all of them (a frame, a black half), and other pieces
#: tell them apart; the limit keeps such a data set from taking hours.
_NEIGHBOURS = 64


class Near(NamedTuple):
    """What `near_identical` found.

    Attributes:
        groups: Of each hash, int64 (N,): equal numbers are near-identical, directly or by way of
            others. Numbers of plain pictures are theirs alone.
        plain: Which were not compared, bool (N,).
    """

    groups: np.ndarray
    plain: np.ndarray


def near_identical(hashes: list[bytes]) -> Near:
    """Group near-identical pictures, in memory and time that grow with their number.

    Args:
        hashes: Of `likeness_hash`.
    """
    count = len(hashes)
    bits = np.frombuffer(b"".join(hashes), np.uint8).reshape(count, BYTES)
    plain = _plain(bits)
    compared = np.flatnonzero(~plain)
    # Equal hashes first: thousands of copies would be millions of pairs.
    unique, places = np.unique(bits[compared], axis=0, return_inverse=True)
    linked = _linked(unique)
    groups = np.arange(count) + (linked.max(initial=-1) + 1)
    groups[compared] = linked[places.ravel()]
    return Near(groups, plain)


def _plain(bits: np.ndarray) -> np.ndarray:
    """Whether rows or columns hardly rise or hardly fall, as in flat pictures and plain shades."""
    half = FINE_SIDE**2 // 8
    plain = np.zeros(len(bits), bool)
    for start in (COARSE_BYTES, COARSE_BYTES + half):
        rises = np.bitwise_count(bits[:, start : start + half]).sum(axis=1, dtype=np.int64)
        plain |= (rises < _PLAIN) | (rises > FINE_SIDE**2 - _PLAIN)
    return plain


def _linked(bits: np.ndarray) -> np.ndarray:
    """Group numbers of different hashes, int64 (N,)."""
    pieces = np.ascontiguousarray(bits[:, :COARSE_BYTES]).view(np.uint16)
    words = np.ascontiguousarray(bits).view(np.uint64)
    groups = np.arange(len(bits))
    for chosen in combinations(range(_PIECES), _PIECES - COARSE_LIMIT):
        keys = np.ascontiguousarray(pieces[:, chosen]).view(np.uint64).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.arange(len(order))
        for step in range(1, _NEIGHBOURS + 1):
            starts = starts[: np.searchsorted(starts, len(order) - step)]
            starts = starts[ordered[starts] == ordered[starts + step]]
            if not len(starts):
                break
            groups = _joined(groups, words, order[starts], order[starts + step])
    return groups


def _joined(
    groups: np.ndarray, words: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Groups after the near-identical of these pairs are put together."""
    apart = groups[first] != groups[second]
    first, second = first[apart], second[apart]
    differ = np.bitwise_count(words[first] ^ words[second])
    coarse = COARSE_BYTES // 8
    alike = (differ[:, :coarse].sum(axis=1) <= COARSE_LIMIT) & (
        differ[:, coarse:].sum(axis=1, dtype=np.int64) <= FINE_LIMIT
    )
    if not alike.any():
        return groups
    first, second = groups[first[alike]], groups[second[alike]]
    edges = coo_array((np.ones(len(first), bool), (first, second)), (len(groups), len(groups)))
    joined: np.ndarray = connected_components(edges, directed=False)[1]
    return joined[groups]


# ------------------------------------------------------------------------------------------------
# Pictures that are there more than once, and what that does to splits and labels.


_MEMBERS = 20  # of a group that are listed


def duplicate_findings(listing: Listing, facts: pd.DataFrame) -> Iterator[DataFinding]:
    """Equal contents, near-identical pictures, and equal contents with different labels."""
    readable = np.flatnonzero(facts["error"].to_numpy() == "")
    contents: dict[str, list[Entry]] = {}
    likeness: dict[str, bytes] = {}
    for place, content, hashed in zip(
        readable, facts["sha256"].iloc[readable], facts["likeness"].iloc[readable], strict=True
    ):
        contents.setdefault(content, []).append(listing.entries[place])
        likeness[content] = hashed
    equal = [members for members in contents.values() if len(members) > 1]
    yield from _by_split("copies", "the same content", equal, "warning")
    conflicts = [members for members in equal if len({entry.label for entry in members}) > 1]
    if conflicts:
        text = f"{many(len(conflicts), 'content')} with different labels"
        yield DataFinding("warning", "conflicts", text, [_described(group) for group in conflicts])
    near = near_identical(list(likeness.values()))
    alike = [
        [entry for content in group for entry in contents[content]]
        for group in _groups(list(likeness), near.groups)
    ]
    yield from _by_split("near", "nearly the same picture", alike, "note")
    if near.plain.any():
        text = f"{many(int(near.plain.sum()), 'content')} too plain to be compared by likeness"
        plain = [
            contents[name][0]
            for name, is_plain in zip(likeness, near.plain, strict=True)
            if is_plain
        ]
        yield DataFinding("note", "plain", text, [{"path": entry.source.path} for entry in plain])


def _groups(names: Sequence[str], numbers: np.ndarray) -> list[list[str]]:
    """The names that share a number with another."""
    members: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        members.setdefault(number, []).append(name)
    return [group for group in members.values() if len(group) > 1]


def _by_split(
    kind: str, words: str, groups: Iterable[Sequence[Entry]], within: Level
) -> Iterator[DataFinding]:
    """Findings about groups inside one split, and about groups in several."""
    inside, across = [], []
    for group in groups:
        splits = [entry.split for entry in group]
        if len(set(splits)) < len(splits):
            inside.append(group)
        if len(set(splits)) > 1:
            across.append(group)
    if inside:
        text = f"{many(_extra(inside), 'sample')} with {words} as another of their split"
        yield DataFinding(within, f"{kind}_within", text, [_described(group) for group in inside])
    if across:
        number = sum(entry.split != "train" for group in across for entry in group)
        outside = f"({many(number, 'sample')} outside train)"
        text = f"{many(len(across), 'group')} with {words} in several splits {outside}"
        yield DataFinding(
            "warning", f"{kind}_across", text, [_described(group) for group in across]
        )


def _extra(groups: Iterable[Sequence[Entry]]) -> int:
    """Samples beyond the first of each group in each split."""
    return sum(len(group) - len({entry.split for entry in group}) for group in groups)


def _described(group: Sequence[Entry]) -> Mapping[str, object]:
    members = [{"path": e.source.path, "split": e.split, "label": e.label} for e in group]
    return {"total": len(members), "members": members[:_MEMBERS]}


# ------------------------------------------------------------------------------------------------
# Findings about single pictures, and about who is shown.


#: Pictures with a shorter side, in pixels, hold no expression.
SMALL = 16


def picture_findings(listing: Listing, facts: pd.DataFrame) -> Iterator[DataFinding]:
    """Files that are missing, unused, unreadable or tiny; persons in several splits."""
    yield from _files("warning", "missing", listing.missing, "labelled without a picture")
    yield from _files("warning", "refused", listing.refused, "not used")
    broken = [
        Skipped(entry.source.path, error)
        for entry, error in zip(listing.entries, facts["error"], strict=True)
        if error
    ]
    yield from _files("warning", "unreadable", broken, "unreadable")
    if listing.unlabelled:
        text = f"{many(len(listing.unlabelled), 'picture')} without a label"
        yield DataFinding(
            "note", "unlabelled", text, [{"path": path} for path in listing.unlabelled]
        )
    for reason, number in listing.left_out.items():
        yield DataFinding("note", "left_out", f"{number:,} left out by the protocol: {reason}")
    yield from _small(listing, facts)
    yield from _persons(listing)


def sizes(facts: pd.DataFrame) -> Sizes | None:
    """Sizes of the readable pictures."""
    found = Counter(
        (int(height), int(width))
        for height, width in zip(facts["height"], facts["width"], strict=True)
        if height
    )
    if not found:
        return None
    by_area = sorted(found, key=lambda size: (size[0] * size[1], size))
    [(usual, number)] = found.most_common(1)
    return Sizes(by_area[0], by_area[-1], usual, number)


def other_sizes(
    listing: Listing, facts: pd.DataFrame, published: tuple[int, int] | None
) -> Iterator[DataFinding]:
    """Pictures that are not of the published height and width, as where others aligned them."""
    if published is None:
        return
    height, width = facts["height"].to_numpy(), facts["width"].to_numpy()
    other = (height > 0) & ((height != published[0]) | (width != published[1]))
    places = np.flatnonzero(other)
    if len(places):
        text = (
            f"{many(len(places), 'picture')} not of the published {published[0]} x {published[1]} "
            "pixels (height x width): not the owners' files, or other data"
        )
        yield DataFinding("warning", "sizes", text, _sized(listing, facts, places))


def _files(level: Level, kind: str, files: Sequence[Skipped], words: str) -> Iterator[DataFinding]:
    if files:
        items = [{"path": file.path, "reason": file.reason} for file in files]
        yield DataFinding(level, kind, f"{many(len(files), 'sample')} {words}", items)


def _small(listing: Listing, facts: pd.DataFrame) -> Iterator[DataFinding]:
    shorter = np.minimum(facts["height"].to_numpy(), facts["width"].to_numpy())
    places = np.flatnonzero((shorter > 0) & (shorter < SMALL))
    if len(places):
        text = f"{many(len(places), 'picture')} with fewer than {SMALL} pixels in height or width"
        yield DataFinding("warning", "small", text, _sized(listing, facts, places))


def _sized(listing: Listing, facts: pd.DataFrame, places: np.ndarray) -> list[dict[str, object]]:
    return [
        {
            "path": listing.entries[place].source.path,
            "reason": f"{facts['height'].iat[place]} x {facts['width'].iat[place]} pixels",
        }
        for place in places.tolist()
    ]


def reading_findings(
    layout: Layout, listing: Listing, facts: pd.DataFrame
) -> Iterator[DataFinding]:
    """How the folder was read, and whether a run refuses what was found."""
    notes = listing.notes
    try:
        notes = FilesDataSet(layout, listing, facts=facts).notes
    except UserError as error:
        yield DataFinding(
            "warning", "run", f"a run refuses this data set: {str(error).rstrip('.')}"
        )
    yield from (DataFinding("note", "reading", note) for note in notes)


def _persons(listing: Listing) -> Iterator[DataFinding]:
    splits: dict[str, set[str]] = {}
    for entry in listing.entries:
        if entry.person:
            splits.setdefault(entry.person, set()).add(entry.split)
    divided = {person: sorted(found) for person, found in splits.items() if len(found) > 1}
    if divided:
        text = f"{many(len(divided), 'person')} in more than one split"
        items = [{"person": person, "splits": found} for person, found in divided.items()]
        yield DataFinding("warning", "persons", text, items)


# ------------------------------------------------------------------------------------------------
# Everything that is verified, in one go.


def verify(layout: Layout, reporter: Reporter, against: Path | None = None) -> Verification:
    """Look at a data set as a whole; opens every picture that was not opened before.

    Args:
        layout: Which.
        reporter: Shows progress.
        against: An earlier manifest to compare with.

    Raises:
        UserError: If the folder is not the layout's, the manifest is none, or an agreement is
            needed that was not confirmed.
    """
    earlier = None if against is None else read_manifest(against)
    listing = layout.listing()
    require_agreement(layout, listing)
    facts = examine(layout, listing, reporter)
    manifest = manifest_of(listing, facts)
    drawn = listing.drawn(layout.root)
    found = count(listing, layout.published())
    findings = [
        *finding(found, layout.published_total(), drawn),
        *picture_findings(listing, facts),
        *reading_findings(layout, listing, facts),
        *other_sizes(listing, facts, layout.published_size()),
        *duplicate_findings(listing, facts),
    ]
    if earlier is not None:
        findings += _compared(compare(manifest, earlier), str(against))
    return Verification(
        title=layout.title,
        kind=layout.kind,
        root=str(layout.root),
        base=str(listing.base),
        protocol=layout.protocol,
        drawn=drawn,
        clips=layout.clips,
        classes=listing.classes,
        counts=found,
        sizes=sizes(facts),
        label_files=label_digests(listing.base, listing.label_files),
        findings=tuple(sorted(findings, key=lambda finding: finding.level, reverse=True)),
        manifest=manifest,
    )


def _compared(found: Differences, against: str) -> list[DataFinding]:
    findings = []
    if found.changed:
        text = f"{many(len(found.changed), 'sample')} changed since {against}"
        items = [{"id": name, "differs": list(what)} for name, what in found.changed.items()]
        findings.append(DataFinding("warning", "changed", text, items))
    for kind, names, words in (
        ("gone", found.gone, f"of {against} not here"),
        ("new", found.new, f"not in {against}"),
    ):
        if names:
            items = [{"id": name} for name in names]
            findings.append(
                DataFinding("warning", kind, f"{many(len(names), 'sample')} {words}", items)
            )
    return findings or [DataFinding("note", "same", f"the same copy as in {against}")]
