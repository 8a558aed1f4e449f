"""DFEW (Jiang et al., ACM MM 2020): clips from films, seven expressions, five folds."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from bench.data.base import Split
from bench.data.readers.base import Counts, Entry, LabelBase, Layout, Listing, register
from bench.data.readers.cast import Cast, save, save_video, written_folds
from bench.data.readers.clips import Clips, folder_of_clips, listed, split_lists
from bench.data.tables import read_text, whole_number, wrong_line
from bench.labels import ORDERS, label_base, ordered
from bench.util.errors import UserError

ORDER = ORDERS["dfew"]  # class names by official id, from 1
FOLDS = 5

_HEADER = ["video_name", "label"]
_FOLDERS = {  # as shipped, and as others call them
    "clip_224x224": ("clip_224x224", "jpg_256"),
    "clip_224x224_16f": ("clip_224x224_16f", "clip_224x16f"),
    "original": ("original",),
}
_OFFICIAL = (  # as shipped; in its readme; in the authors' code; in re-hosts
    "{split}(single-labeled)/set_{fold}.csv",
    "{split}(single_labeled)/set_{fold}.csv",
    "single_{split}set_{fold}.csv",
    "{split}(single-labeled)/{split}_set_{fold}.csv",
    "{split}/set_{fold}.csv",
    "{split}_set_{fold}.csv",
)
_REHOSTED = (  # DFER-CLIP and many others; IAL; MAE-DFER
    "DFEW_set_{fold}_{split}.txt",
    "set_{fold}_{split}.txt",
    "org/split0{fold}/{split}.csv",
)
_LABEL_FILES = (
    *(f"{folder}/{name}" for folder in ("EmoLabel_DataSplit", "label", ".") for name in _OFFICIAL),
    *_REHOSTED,
)
_CLASS_TOTALS = (2445, 1894, 2669, 2173, 1469, 145, 902)  # 11,697, in the official order
_FIRST_TEST = (489, 379, 534, 435, 294, 29, 181)  # 2,341
_TEST_TOTALS = (2341, 2341, 2340, 2339, 2336)  # 11,697


class Dfew(Layout):
    """The clips with a single label, in one of the five official folds."""

    title: ClassVar[str] = "DFEW"
    terms: ClassVar[str | None] = "non-commercial research and education, under a signed agreement"
    expects: ClassVar[str] = (
        "DIR/Clip/clip_224x224/<number>/*.jpg and "
        "DIR/EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv"
    )
    clips: ClassVar[bool] = True

    kind: Literal["dfew"] = "dfew"
    fold: int = Field(default=1, ge=1, le=FOLDS, description="Which of the five splits.")
    frames: Literal["clip_224x224", "clip_224x224_16f", "original"] = Field(
        default="clip_224x224",
        description="All aligned faces, 16 of each clip, or the original videos.",
    )
    label_base: LabelBase = None

    @property
    def name(self) -> str:
        """With the fold, and with the frames if they are not the default."""
        frames = {"clip_224x224": "", "clip_224x224_16f": "_16f", "original": "_original"}
        return f"dfew_fold{self.fold}{frames[self.frames]}"

    @property
    def protocol(self) -> str:
        """Which frames, which fold."""
        shown = {
            "clip_224x224": "aligned faces",
            "clip_224x224_16f": "16 aligned faces a clip",
            "original": "original videos",
        }
        return f"{shown[self.frames]}, official fold {self.fold} of {FOLDS}"

    def published(self) -> Counts:
        """11,697 clips; the tests of the folds part them, so that fold 1 is known by class."""
        test = _TEST_TOTALS[self.fold - 1]
        if self.fold > 1:
            return {"train": {"": sum(_CLASS_TOTALS) - test}, "test": {"": test}}
        rest = [total - held for total, held in zip(_CLASS_TOTALS, _FIRST_TEST, strict=True)]
        return {
            "train": dict(zip(ORDER, rest, strict=True)),
            "test": dict(zip(ORDER, _FIRST_TEST, strict=True)),
        }

    @override
    def listing(self) -> Listing:
        names = [name.replace("{fold}", str(self.fold)) for name in _LABEL_FILES]
        files = split_lists(self, names, f"the label files of fold {self.fold}")
        clips = Clips(folder_of_clips(self, _FOLDERS[self.frames]), 1, self.follow_links)
        splits = self._splits(files)
        entries = []
        for number in sorted({number for found in splits.values() for number in found}):
            source = clips.take(f"{number:05d}", str(number))
            if source is not None:
                split: Split = "train" if number in splits["train"] else "test"
                entries.append(Entry(f"{number:05d}", splits[split][number], split, source))
        return Listing(
            clips.base,
            tuple(entries),
            ordered(set(ORDER)),
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
            label_files=tuple(files.values()),
        )

    def _splits(self, files: Mapping[Split, Path]) -> dict[Split, dict[int, str]]:
        """The class name of each clip, by its number."""
        origin = " and ".join(map(str, files.values()))
        ids = {split: parse_split(read_text(file), str(file)) for split, file in files.items()}
        both = sorted(ids["train"].keys() & ids["test"].keys())
        if both:
            raise UserError(
                f"{origin}: clip {both[0]:05d} is in train and in test of fold {self.fold}. "
                "Correct the label files."
            )
        ends = [{0, len(ORDER)} & set(found.values()) for found in ids.values()]
        if ends in ([{0}, {len(ORDER)}], [{len(ORDER)}, {0}]):
            raise UserError(
                f"{origin}: one counts its labels from 0, one from 1. Take both from one place."
            )
        present = {number for found in ids.values() for number in found.values()}
        first = label_base(present, len(ORDER), origin, self.label_base)
        names = {
            split: {number: ORDER[label - first] for number, label in found.items()}
            for split, found in ids.items()
        }
        counts = Counter(name for found in names.values() for name in found.values())
        sizes = tuple(counts[name] for name in ORDER)
        # Re-hosts of FERV39k and MAFW number the classes in three orders; a complete list tells.
        if sizes != _CLASS_TOTALS and sorted(sizes) == sorted(_CLASS_TOTALS):
            raise UserError(
                f"{origin}: the classes have DFEW's sizes in another order: its labels do not "
                f"mean {', '.join(ORDER)}. Take the owners' label files."
            )
        return names


def parse_split(text: str, origin: str) -> dict[int, int]:
    """The label of each clip number, from a list with or without the header; see `listed`.

    Raises:
        UserError: Naming the line that is something else, or a clip with two labels.
    """
    seen: dict[int, int] = {}
    expected = "a clip's number and its label, such as '16,5' or 'clips/00016 144 5'"
    for place, (row, parts, field) in enumerate(listed(text, origin, expected)):
        if place == 0 and [parts[-1].lower(), field.lower()] == _HEADER:
            continue
        number, label = (whole_number(text, origin, row, expected) for text in (parts[-1], field))
        if number < 0:
            raise wrong_line(origin, row, number, expected)
        if seen.setdefault(number, label) != label:
            raise wrong_line(origin, row, label, f"label {seen[number]} as further up")
    if not seen:
        raise UserError(f"{origin}: the label file is empty.")
    return seen


# ------------------------------------------------------------------------------------------------
# DFEW's layout: aligned frames, 16 of each clip, original videos, split files of five folds.


_ORDER = ORDERS["dfew"]


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Three times `per_class` clips of each class, five at least, dealt to five folds."""
    count = max(3 * per_class, 5)
    labelled = []
    for number in range(count * len(_ORDER) + 1):
        person, place = divmod(number, len(_ORDER))
        # The last clip has no single label, and is in no split file.
        _clip(root / "Clip", f"{number + 1:05d}", cast, _ORDER[place], person)
        if person < count:
            labelled.append((number + 1, place + 1, person))
    folder = root / "EmoLabel_DataSplit"
    for split, fold, members in written_folds(labelled):
        path = folder / f"{split}(single-labeled)" / f"set_{fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{name},{label}" for name, label in members]
        path.write_text("\n".join(["video_name,label", *rows]) + "\n")


def _clip(folder: Path, name: str, cast: Cast, label: str, person: int) -> None:
    frames = cast.frames(label, "train", person, (224, 224))
    for place, frame in enumerate(frames, 1):
        save(folder / "clip_224x224" / name / f"{name}_{place:05d}.jpg", frame)
    interpolated = np.linspace(0, len(frames) - 1, 16).round().astype(int)
    for place, number in enumerate(interpolated, 1):
        save(folder / "clip_224x224_16f" / name / f"{place}.jpg", frames[number])
    save_video(folder / "original" / f"{name}.mp4", cast.frames(label, "train", person))


register(Dfew, write)
