"""What `bench data verify` finds: counts, copies, damage, and what makes a run refuse the data."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.data.base import Skipped, Split
from bench.data.on_disk import FilesDataSet
from bench.data.on_disk.dataset import require_agreement
from bench.data.on_disk.examine import BYTES, COARSE_BYTES, FINE_SIDE, examine
from bench.data.on_disk.verification import (
    Count,
    DataFinding,
    Differences,
    Level,
    Sizes,
    Verification,
    compare,
    label_digests,
    manifest_of,
    many,
    read_manifest,
)
from bench.data.readers.base import Counts, Entry, Layout, Listing
from bench.util.errors import UserError
from bench.util.progress import Reporter


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
# little
#   brighter are within both at least 98 times in 100; as JPEG of quality 75 about four in five of
#   those of 64 pixels and nearly all of those of 224. Cropped or turned copies are not found.


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
    for note in listing.notes:
        yield DataFinding("note", "reading", note)
    try:
        FilesDataSet(layout, listing, facts=facts)
    except UserError as error:
        yield DataFinding(
            "warning", "run", f"a run refuses this data set: {str(error).rstrip('.')}"
        )


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
