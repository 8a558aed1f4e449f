"""A data set made of files: a layout's listing, the facts of its pictures, and three splits.

Gated data sets open once their agreement was confirmed.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from bench import plugins
from bench.data.base import ClipDataSet, DataSet, Sample, Skipped, Split
from bench.data.images import UnreadablePicture
from bench.data.on_disk import packed
from bench.data.on_disk.examine import STAMP, examine
from bench.data.readers import LAYOUTS, Entry, Layout, Listing, Source
from bench.data.readers.base import stamp_of
from bench.data.readers.clips import ClipSource
from bench.labels import is_known
from bench.util.errors import UserError, did_you_mean, unknown
from bench.util.files import digest, users_folder, write_json
from bench.util.progress import Reporter

VAL_SHARE = 0.15


class FilesDataSet(DataSet):
    """The pictures of a layout.

    Where the owners give no validation split, it is 15 % of train, per class, or per person where
    persons are known; see `_carved`.

    Args:
        layout: Where the files are, and the protocol.
        listing: What it found there.
        reporter: Shows progress of opening pictures that were never opened before.
        facts: What `examine` found, if it was asked already.

    Attributes:
        base: What paths of sources are relative to.
        notes: What a person should know of how the folder was read, in sentences.
        contents: Hash of what determines each sample's picture, by sample.

    Raises:
        UserError: If the folder is not what it should be, or if a class cannot be trained.
    """

    def __init__(
        self,
        layout: Layout,
        listing: Listing,
        reporter: Reporter | None = None,
        facts: pd.DataFrame | None = None,
    ) -> None:
        facts = examine(layout, listing, reporter) if facts is None else facts
        self.name, self.kind, self.protocol = layout.name, layout.title, layout.protocol
        self.synthetic = layout.generated or listing.drawn(layout.root)
        self.group_values = dict(listing.group_values)  # workers get a copy
        self.base = listing.base
        self._layout = layout
        self.notes = listing.notes
        usable = self._usable(layout, listing, facts)
        self.classes, entries = _without_lost(layout, listing, usable)
        contents = dict(zip(facts["id"], facts["sha256"], strict=True))
        splits = _carved(entries, contents)
        if not splits["train"]:
            self.notes += ("no train pictures: for classifiers that are trained already",)
        self.contents = contents
        self._entries = {entry.id: entry for entry in entries}
        # Arrays and one index: a few numbers of 290,000 pictures as objects fill 100 MB.
        self._rows = {name: row for row, name in enumerate(facts["id"])}
        self._stamps = facts[STAMP].to_numpy()
        self._sizes = facts[["height", "width"]].to_numpy()
        self._splits: dict[Split, list[Sample]] = {
            split: [Sample(entry.id, entry.label) for entry in members]
            for split, members in splits.items()
        }
        self._require_trainable(layout)
        self.digest = digest(
            {
                split: [(sample.id, sample.label, contents[sample.id]) for sample in samples]
                for split, samples in self._splits.items()
            }
        )
        self._packed = packed.find(layout, contents)

    def samples(self, split: Split) -> Sequence[Sample]:
        """The samples of a split, in natural order."""
        return self._splits[split]

    def picture(self, sample: Sample) -> np.ndarray:
        """The picture, from the prepared cache if it is there, else from the sample's file.

        Raises:
            UnreadablePicture: If the file is gone or another since the data set was opened: its
                results would go by the digest of the pictures that were there.
            UserError: If it has other bytes than were examined under the same size and times.
        """
        decoded = self._packed.picture(sample.id) if self._packed is not None else None
        if decoded is not None:
            return decoded
        return self.source(sample).decode(self.base, self._content(sample))

    def _content(self, sample: Sample) -> bytes:
        """The bytes that were examined, or an error."""
        source = self.source(sample)
        with contextlib.suppress(OSError):
            content = source.content(self.base)
            if sha256(content).hexdigest() == self.contents[sample.id]:
                return content
        if stamp_of(self.base, source) != self._stamp(sample):
            raise UnreadablePicture("it was removed or changed after the data set was opened")
        raise UserError(
            f"{self.base / source.path} has other bytes than when it was examined, though its size "
            "and times are the same. Forget what was found then with `bench data purge "
            f"{self._layout.kind} --root {self._layout.root}`, and repeat the command.",
            exit_code=1,
        )

    def source(self, sample: Sample) -> Source:
        """Where the sample's picture comes from."""
        return self._entries[sample.id].source

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width, known since the pictures were examined."""
        height, width = self._sizes[self._rows[sample.id]].tolist()
        return height, width

    def _stamp(self, sample: Sample) -> tuple[int, ...]:
        return tuple(self._stamps[self._rows[sample.id]].tolist())

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """What else the owners' files say, such as votes."""
        return dict(self._entries[sample.id].attributes)

    def groups(self, sample: Sample) -> dict[str, str]:
        """Groups as the owners, or the user's own columns, give them."""
        return dict(self._entries[sample.id].groups)

    def _usable(self, layout: Layout, listing: Listing, facts: pd.DataFrame) -> list[Entry]:
        """The entries whose picture can be read; the others go into `skipped`."""
        damaged = [
            Skipped(entry.source.path, error)
            for entry, error in zip(listing.entries, facts["error"], strict=True)
            if error
        ]
        self.skipped = (*listing.missing, *listing.refused, *damaged)
        usable = [
            entry for entry, error in zip(listing.entries, facts["error"], strict=True) if not error
        ]
        for split in ("test",) if layout.test_alone else ("train", "test"):
            if not any(entry.split == split for entry in usable):
                why = ""
                if self.skipped:
                    first = self.skipped[0]
                    why = f" ({len(self.skipped)} could not be used, the first: {first.path}: "
                    why += f"{first.reason})"
                raise layout.fail(f"no pictures of the {split} split{why}.")
        return usable

    def _require_trainable(self, layout: Layout) -> None:
        found = {split: {s.label for s in samples} for split, samples in self._splits.items()}
        if len(self.classes) < 2:
            raise layout.fail(
                f"only the class {self.classes[0]!r}; a classifier needs two or more."
            )
        strangers = found["test"] - set(self.classes)
        if strangers:
            strange = [name for name in strangers if not is_known(name)]
            hints = {f" {did_you_mean(name, self.classes)}" for name in strange}
            raise layout.fail(
                f"test has classes that train lacks: {', '.join(sorted(strangers))}. Train has "
                f"{', '.join(self.classes)}.{''.join(sorted(hints - {' '}))}"
            )
        lacking = [label for label in self.classes if label not in found["test"]]
        if lacking:
            self.notes += (f"test has no pictures of {', '.join(lacking)}",)
        for label in self.classes if found["train"] else ():
            if label not in found["train"]:
                raise layout.fail(
                    f"class {label!r} has fewer than two pictures to train on; one is needed for "
                    "validation."
                )


class UnreadableClip(UserError, UnreadablePicture):
    """A clip that cannot be read: a sentence for its user; a sweep can do without it.

    Args:
        message: What is wrong, and the way out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=1)


class ClipFilesDataSet(FilesDataSet, ClipDataSet):
    """The clips of a layout; every sample's source is a `ClipSource`.

    Pictures were examined when the data set was opened, but of a clip only the middle frame.
    """

    def frame_count(self, sample: Sample) -> int:
        """Number of frames of the clip.

        Raises:
            UnreadableClip: If its video cannot be read.
        """
        with self._named(sample) as source:
            return source.frame_count(self.base)

    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        """The frames with the given numbers, uint8 (T, H, W, 3).

        Raises:
            UnreadableClip: If one of them cannot be read.
            ValueError: If the clip has no such frame.
        """
        count = self.frame_count(sample)
        for number in frames:
            if not 0 <= number < count:
                raise ValueError(f"{sample.id} has frames 0 to {count - 1}, not {number}")
        with self._named(sample) as source:
            self._content(sample)
            return source.read_frames(self.base, frames)

    @contextlib.contextmanager
    def _named(self, sample: Sample) -> Iterator[ClipSource]:
        """The clip's source; its errors become those of the user, with its name."""
        source = self.source(sample)
        if not isinstance(source, ClipSource):
            raise TypeError(f"{sample.id} is no clip")
        try:
            yield source
        except UnreadablePicture as error:
            raise UnreadableClip(
                f"The clip {sample.id} in {self.base} cannot be read: {error}. Put it back as it "
                "was shipped, or take it out of the data set."
            ) from error


def open_layout(layout: Layout, reporter: Reporter | None = None) -> FilesDataSet:
    """The data set of a layout, of pictures or of clips.

    Raises:
        UserError: If the folder is not what it should be, or if an agreement is needed for it that
            was not confirmed.
    """
    listing = layout.listing()
    require_agreement(layout, listing)
    return (ClipFilesDataSet if layout.clips else FilesDataSet)(layout, listing, reporter)


def _without_lost(
    layout: Layout, listing: Listing, usable: Sequence[Entry]
) -> tuple[tuple[str, ...], list[Entry]]:
    """The classes and their entries, if a class has labels but no picture: without it, or an error.

    Raises:
        UserError: Naming the classes, unless the layout says to drop them.
    """
    there = {(entry.split, entry.label) for entry in usable}
    lost = {
        (split, label): "none of the published pictures is there"
        for split, counts in layout.published().items()
        for label, count in counts.items()
        if count and label in listing.classes
    }
    lost |= {(entry.split, entry.label): entry.source.path for entry in listing.entries}
    lost = {pair: why for pair, why in (lost | dict(listing.claimed)).items() if pair not in there}
    if lost and layout.lost_classes == "refuse":
        told = "; ".join(f"{label} in {split} ({why})" for (split, label), why in lost.items())
        raise layout.fail(
            f"classes have labels but no picture that can be used: {told}. Mend that, or go on "
            "without them: lost_classes: drop (-o lost_classes=drop)."
        )
    gone = {label for split, label in lost if split == "train"}
    classes = tuple(label for label in listing.classes if label not in gone)
    return classes, [entry for entry in usable if entry.label not in gone]


def _carved(entries: Sequence[Entry], contents: dict[str, str]) -> dict[Split, list[Entry]]:
    """The three splits; val is carved from train if the owners have none.

    The share with the smallest hashes: of the content, so that renaming or adding files reshuffles
    nothing and copies of one picture fall on the same side; or of the person.
    """
    splits: dict[Split, list[Entry]] = {"train": [], "val": [], "test": []}
    for entry in entries:
        splits[entry.split].append(entry)
    train = splits["train"]
    if splits["val"] or not train:
        return splits
    if all(entry.person for entry in train):
        hashes = {entry.id: sha256(entry.person.encode()).hexdigest() for entry in train}
        chosen = _smallest(train, hashes)
    else:
        chosen = set()
        for label in {entry.label for entry in train}:
            chosen |= _smallest((e for e in train if e.label == label), contents)
    splits["train"] = [entry for entry in train if entry.id not in chosen]
    splits["val"] = [entry for entry in train if entry.id in chosen]
    return splits


def _smallest(members: Iterable[Entry], hashes: dict[str, str]) -> set[str]:
    """Ids of the members up to the hash that makes their share 15 %, and one at least."""
    ranked = sorted((hashes[entry.id], entry.id) for entry in members)
    last = ranked[max(1, round(VAL_SHARE * len(ranked))) - 1][0]
    return {name for found, name in ranked if found <= last}


# ------------------------------------------------------------------------------------------------
# Data sets that may only be used under an agreement: asked for once, remembered.
#
# The bench has no downloader for them and sends nothing anywhere. It asks so that nobody uses the
# pictures of people by accident without the right to.


#: Comma-separated kinds whose agreement the user holds, for jobs that nobody watches.
VARIABLE = "EMODC_BENCH_AGREEMENTS"


def agreement_is_needed(layout: Layout, listing: Listing) -> bool:
    """Whether a data set is gated and its agreement was not confirmed yet.

    Trees of drawn faces need none.
    """
    if layout.terms is None or layout.kind in _remembered() | _from_environment():
        return False
    return not listing.drawn(layout.root)


def require_agreement(layout: Layout, listing: Listing) -> None:
    """Refuse a data set whose agreement is needed.

    Raises:
        UserError: With the terms and the ways to confirm.
    """
    if agreement_is_needed(layout, listing):
        raise refusal([layout])


def refusal(layouts: Sequence[Layout]) -> UserError:
    """The error for data sets whose agreements were not confirmed: terms and ways to confirm."""
    given = "; ".join(
        f"{layout.title} is given out under an agreement ({layout.terms})" for layout in layouts
    )
    kinds = ",".join(dict.fromkeys(layout.kind for layout in layouts))
    return UserError(
        f"{given}. If you hold {'it' if len(layouts) == 1 else 'them'}, say so once with "
        f"--i-hold-the-agreement, or set {VARIABLE}={kinds} for jobs that nobody watches."
    )


def confirm(kind: str) -> None:
    """Remember that the user holds the agreement for a kind of data set.

    Raises:
        UserError: If it cannot be written down.
    """
    try:
        write_json(_record(), sorted({*_remembered(), kind}))
    except OSError as error:
        raise UserError(
            f"cannot remember the agreement for {kind} in {_record()} ({error.strerror}). Set "
            f"{VARIABLE}={kind} instead, or XDG_CONFIG_HOME to a folder that can be written.",
            1,
        ) from error


def _from_environment() -> set[str]:
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    for name in named:
        if name not in LAYOUTS and plugins.find("dataset", name) is None:
            raise unknown(f"data set ({VARIABLE})", name, LAYOUTS)
    return named


def _remembered() -> set[str]:
    try:
        content = json.loads(_record().read_text())
    except (OSError, ValueError):
        return set()
    return (
        {kind for kind in content if isinstance(kind, str)} if isinstance(content, list) else set()
    )


def _record() -> Path:
    return users_folder("XDG_CONFIG_HOME", ".config") / "agreements.json"
