"""Findings about single pictures, and about who is shown."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.data.base import Skipped
from bench.data.layouts.base import Listing
from bench.data.verify.report import Finding, Level, Sizes, many

#: Pictures with a shorter side, in pixels, hold no expression.
SMALL = 16


def findings(listing: Listing, facts: pd.DataFrame) -> Iterator[Finding]:
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
        yield Finding("note", "unlabelled", text, [{"path": path} for path in listing.unlabelled])
    for reason, number in listing.left_out.items():
        yield Finding("note", "left_out", f"{number:,} left out by the protocol: {reason}")
    yield from _small(listing, facts)
    yield from _classes(listing, facts)
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
) -> Iterator[Finding]:
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
        yield Finding("warning", "sizes", text, _sized(listing, facts, places))


def _files(level: Level, kind: str, files: Sequence[Skipped], words: str) -> Iterator[Finding]:
    if files:
        items = [{"path": file.path, "reason": file.reason} for file in files]
        yield Finding(level, kind, f"{many(len(files), 'sample')} {words}", items)


def _small(listing: Listing, facts: pd.DataFrame) -> Iterator[Finding]:
    shorter = np.minimum(facts["height"].to_numpy(), facts["width"].to_numpy())
    places = np.flatnonzero((shorter > 0) & (shorter < SMALL))
    if len(places):
        text = f"{many(len(places), 'picture')} with fewer than {SMALL} pixels in height or width"
        yield Finding("warning", "small", text, _sized(listing, facts, places))


def _sized(listing: Listing, facts: pd.DataFrame, places: np.ndarray) -> list[dict[str, object]]:
    return [
        {
            "path": listing.entries[place].source.path,
            "reason": f"{facts['height'].iat[place]} x {facts['width'].iat[place]} pixels",
        }
        for place in places.tolist()
    ]


def _classes(listing: Listing, facts: pd.DataFrame) -> Iterator[Finding]:
    """Classes that make a run refuse the data set."""
    found: dict[str, Counter[str]] = {"train": Counter(), "val": Counter(), "test": Counter()}
    for entry, error in zip(listing.entries, facts["error"], strict=True):
        if not error:
            found[entry.split][entry.label] += 1
    needed = 1 if found["val"] else 2  # one of train becomes validation
    items = [
        {"class": label, "reason": f"{found['train'][label]} to train on, {needed} needed"}
        for label in dict.fromkeys((*listing.classes, *sorted(found["test"])))
        if found["train"][label] < needed
    ]
    if items:
        text = "a run would refuse the data set for want of pictures to train on"
        yield Finding("warning", "classes", text, items)


def _persons(listing: Listing) -> Iterator[Finding]:
    splits: dict[str, set[str]] = {}
    for entry in listing.entries:
        if entry.person:
            splits.setdefault(entry.person, set()).add(entry.split)
    divided = {person: sorted(found) for person, found in splits.items() if len(found) > 1}
    if divided:
        text = f"{many(len(divided), 'person')} in more than one split"
        items = [{"person": person, "splits": found} for person, found in divided.items()]
        yield Finding("warning", "persons", text, items)
