"""Pictures that are there more than once, and what that does to splits and labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.data.layouts.base import Entry, Listing
from bench.data.verify.near import near_identical
from bench.data.verify.report import Finding, Level, many

_MEMBERS = 20  # of a group that are listed


def findings(listing: Listing, facts: pd.DataFrame) -> Iterator[Finding]:
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
        yield Finding("warning", "conflicts", text, [_described(group) for group in conflicts])
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
        yield Finding("note", "plain", text, [{"path": entry.source.path} for entry in plain])


def _groups(names: Sequence[str], numbers: np.ndarray) -> list[list[str]]:
    """The names that share a number with another."""
    members: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        members.setdefault(number, []).append(name)
    return [group for group in members.values() if len(group) > 1]


def _by_split(
    kind: str, words: str, groups: Iterable[Sequence[Entry]], within: Level
) -> Iterator[Finding]:
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
        yield Finding(within, f"{kind}_within", text, [_described(group) for group in inside])
    if across:
        number = sum(entry.split != "train" for group in across for entry in group)
        outside = f"({many(number, 'sample')} outside train)"
        text = f"{many(len(across), 'group')} with {words} in several splits {outside}"
        yield Finding("warning", f"{kind}_across", text, [_described(group) for group in across])


def _extra(groups: Iterable[Sequence[Entry]]) -> int:
    """Samples beyond the first of each group in each split."""
    return sum(len(group) - len({entry.split for entry in group}) for group in groups)


def _described(group: Sequence[Entry]) -> Mapping[str, object]:
    members = [{"path": e.source.path, "split": e.split, "label": e.label} for e in group]
    return {"total": len(members), "members": members[:_MEMBERS]}
