"""CK+ (Lucey et al., 2010): sequences from a neutral face to the peak of an expression."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field
from typing_extensions import override

from bench import faces
from bench.data.base import Skipped
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import BySubject, Entry, Listing, PictureFile, register
from bench.data.readers.cast import Cast, posed, save
from bench.data.tables import lines, read_text, wrong_line
from bench.data.tree import Tree, folders, locate, scan
from bench.labels import ORDERS, ordered
from bench.util.errors import UserError

_ORDER = ORDERS["ck_plus"]
_PICTURES, _LABELS = "cohn-kanade-images", "Emotion"
_CASE = re.IGNORECASE | re.ASCII
_SUFFIX = "|".join(suffix[1:] for suffix in sorted(PICTURE_SUFFIXES))
_PICTURE = re.compile(
    rf"(?:[^/]+/)?{_PICTURES}/(S\d{{3}})/(\d{{3}})/[^/]*_(\d{{1,9}})\.(?:{_SUFFIX})", _CASE
)
_LABEL = re.compile(
    rf"(?:[^/]+/)?{_LABELS}/(S\d{{3}})/(\d{{3}})/[^/]*_(\d{{1,9}})_emotion\.txt", _CASE
)
_NUMBER = re.compile(r"\+?([0-7])(\.0*)?(e[+-]?0+)?", _CASE)  # 3.0000000e+00


@dataclass
class _Sequence:
    """One sequence of a person; frames are known by their number, from 1."""

    person: str
    number: str
    frames: dict[int, str] = field(default_factory=dict)  # number -> path
    peak: int = 0
    label_file: str = ""  # "" if it has none

    def name(self, frame: int) -> str:
        return f"{self.person}_{self.number}_{frame:08d}"


class CkPlus(BySubject):
    """The last frames of the labelled sequences."""

    title: ClassVar[str] = "CK+"
    terms: ClassVar[str | None] = "research, under an agreement signed with the owners"
    expects: ClassVar[str] = (
        "DIR/cohn-kanade-images/S005/001/*.png and DIR/Emotion/S005/001/*_emotion.txt"
    )

    kind: Literal["ck_plus"] = "ck_plus"
    classes: Literal[7, 8] = Field(
        default=7,
        description="The seven labelled ones, or neutral as well: each sequence's first frame.",
    )
    last_frames: Literal[1, 3] = Field(
        default=1, description="How many frames of a sequence show its expression, from the end."
    )

    @property
    def name(self) -> str:
        """With what makes numbers comparable: classes, frames and the fold."""
        neutral = "8_" if self.classes == 8 else ""
        frames = "last3_" if self.last_frames == 3 else ""
        return f"ck_plus_{neutral}{frames}{self.fold_name}"

    @property
    def protocol(self) -> str:
        """Frames and split."""
        frames = "last frame" if self.last_frames == 1 else "last three frames"
        first = ", the first as neutral" if self.classes == 8 else ""
        return f"{frames} of the labelled sequences{first}; {self.fold_words}"

    def published_total(self) -> int | None:
        """327 labelled sequences."""
        return 327 * (self.last_frames + (self.classes == 8))

    @override
    def listing(self) -> Listing:
        base = locate(self.root, _fits, f"expected {self.expects}")
        tree = scan(base, PICTURE_SUFFIXES | {".txt"}, self.follow_links)
        sequences, copies = _sequences(tree)
        labelled = [sequence for sequence in sequences if sequence.label_file]
        splits = self.split_of(sequence.person for sequence in labelled)
        entries: list[Entry] = []
        missing: list[Skipped] = []
        reasons: dict[str, int] = {}
        if len(labelled) < len(sequences):
            reasons["sequences without a label"] = len(sequences) - len(labelled)
        for sequence in labelled:
            path = base / sequence.label_file
            label = parse_emotion(read_text(path), str(path))
            if label == "neutral" and self.classes == 7:
                reason = "sequences labelled neutral"
                reasons[reason] = reasons.get(reason, 0) + 1
                continue
            chosen, lacking = self._chosen(sequence, label)
            missing += lacking
            entries += [
                Entry(
                    sequence.name(frame),
                    shown,
                    splits[sequence.person],
                    PictureFile(sequence.frames[frame]),
                    sequence.person,
                )
                for frame, shown in chosen
            ]
        return Listing(
            base,
            tuple(entries),
            ordered(set(_ORDER if self.classes == 8 else _ORDER[1:])),
            missing=tuple(missing),
            refused=(*tree.refused, *copies),
            left_out=reasons,
        )

    def _chosen(
        self, sequence: _Sequence, label: str
    ) -> tuple[list[tuple[int, str]], list[Skipped]]:
        """Frames to use with what they show, and those that should be there and are not."""
        if sequence.peak not in sequence.frames:
            # The other frames show less, or nothing yet, of what the label says.
            reason = "the peak that the emotion file names, not there; its sequence is left out"
            return [], [Skipped(sequence.name(sequence.peak), reason)]
        upto = sorted(frame for frame in sequence.frames if frame <= sequence.peak)
        chosen = [(frame, label) for frame in upto[-self.last_frames :]]
        if self.classes == 7:
            return chosen, []
        if 1 not in sequence.frames or chosen[0][0] == 1:
            return chosen, [Skipped(sequence.name(1), "the neutral first frame, not there")]
        return [(1, "neutral"), *chosen], []


def parse_emotion(text: str, origin: str) -> str:
    """The expression of one `*_emotion.txt`: a single number from 0 to 7, written as a float.

    Raises:
        UserError: If it is anything else.
    """
    expected = "one number from 0 to 7, such as 3.0000000e+00"
    rows = list(lines(text))
    if not rows:
        raise UserError(f"{origin}: expected {expected}, but it is empty.")
    number, line = rows[-1]
    match = _NUMBER.fullmatch(line)
    if match is None or len(rows) > 1:
        raise wrong_line(origin, number, line, expected)
    return _ORDER[int(match[1])]


def _sequences(tree: Tree) -> tuple[list[_Sequence], list[Skipped]]:
    """All sequences in natural order, and pictures of frames that there are others of."""
    found: dict[tuple[str, str], _Sequence] = {}
    copies = []
    for path, match, is_label in _matches(tree):
        person, number, frame = match[1].upper(), match[2], int(match[3])
        sequence = found.setdefault((person, number), _Sequence(person, number))
        if not is_label:
            kept = sequence.frames.setdefault(frame, path)
            if kept != path:
                copies.append(Skipped(path, f"a copy of {kept}"))
        elif sequence.label_file:
            raise UserError(
                f"{tree.base / path}: {sequence.label_file} labels the same sequence. Remove one."
            )
        else:
            sequence.label_file, sequence.peak = path, frame
    return [found[key] for key in sorted(found)], copies


def _matches(tree: Tree) -> Iterator[tuple[str, re.Match[str], bool]]:
    for path in tree.files:
        for pattern in (_PICTURE, _LABEL):
            if match := pattern.fullmatch(path):
                yield path, match, pattern is _LABEL


def _fits(folder: Path) -> bool:
    """Whether pictures and labels are in it, or one level below as archives pack them."""
    inner = [folder, *folders(folder)]
    return all(any((child / part).is_dir() for child in inner) for part in (_PICTURES, _LABELS))


# ------------------------------------------------------------------------------------------------
# CK+'s layout: sequences of grey frames in one tree, labels of some of them in another.


_SHARES = (0.0, 0.6, 0.9, 1.0)  # of the expression, frame by frame up to its peak
_SIDE, _WIDTH = 245, 320  # half of the owners' 640x490, which would take most of the time


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Three persons for each test picture of a class; each shows all, and once is not labelled."""
    pictures, labels = root / "cohn-kanade-images", root / "Emotion"
    for person in range(max(10, 3 * per_class)):
        subject = f"S{5 * person + 5:03d}"
        for sequence, label in enumerate([*_ORDER[1:], ""], 1):
            place = Path(subject) / f"{sequence:03d}"
            stem = f"{subject}_{sequence:03d}"
            shares = _SHARES if label else _SHARES[:1]
            for frame, share in enumerate(shares, 1):
                face = posed(cast, label or "neutral", person, 1, share)
                save(pictures / place / f"{stem}_{frame:08d}.png", _photographed(face))
            (labels / place).mkdir(parents=True)  # an empty one where there is no label
            if label:
                text = f"   {_ORDER.index(label):.7e}\n"
                (labels / place / f"{stem}_{len(shares):08d}_emotion.txt").write_text(text)


def _photographed(face: faces.Face) -> np.ndarray:
    """Grey, the face in the middle."""
    grey = cv2.cvtColor(faces.draw(face), cv2.COLOR_RGB2GRAY)
    large = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    left = (_WIDTH - _SIDE) // 2
    right = _WIDTH - _SIDE - left
    return cv2.copyMakeBorder(large, 0, 0, left, right, cv2.BORDER_REPLICATE)


register(CkPlus, write)
