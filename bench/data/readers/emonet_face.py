"""EmoNet-Face Binary (LAION, 2025, arXiv 2505.20033): generated faces with votes of experts.

Data are CC BY 4.0, so no form has to be signed. The repository has `data/binary.csv`, the hub has
the pictures, as Parquet; save them as files named by their path (`00000.png`).
"""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.data.base import Skipped
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import Entry, Layout, Listing, PictureFile, held_out_pictures, register
from bench.data.readers.cast import Cast, save
from bench.data.tables import read_table, wrong_line
from bench.data.tree import locate, scan
from bench.labels import natural_key, ordered

LABEL_FILES = ("binary.csv", "data/binary.csv")

#: The emotions of the 40 that are classes here, in lower case. There is no neutral face.
EMOTIONS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "sadness": "sadness",
    "surprise": "surprise",
    "astonishment/surprise": "surprise",
    "elation": "happiness",
    "contempt": "contempt",
}
_VOTES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class EmoNetFace(Layout):
    """Pictures that several people see one emotion in, and no other of the classes."""

    title: ClassVar[str] = "EmoNet-Face Binary"
    expects: ClassVar[str] = (
        "DIR/binary.csv (path,annotator,value,emotion) and pictures DIR/**/PATH.*"
    )
    generated: ClassVar[bool] = True

    kind: Literal["emonet_face"] = "emonet_face"
    classes: Literal[6, 7] = Field(default=6, description="Seven have contempt.")
    votes: int = Field(default=2, ge=1, description="People who must have said yes.")

    @property
    def name(self) -> str:
        """With the number of classes; with that of votes where it is another than usual."""
        return f"emonet_face_{self.classes}" + ("" if self.votes == 2 else f"_votes{self.votes}")

    @property
    def protocol(self) -> str:
        """Whose labels, whose split, and what the pictures are."""
        people = "person" if self.votes == 1 else "people"
        return (
            f"{self.classes} emotions confirmed by {self.votes} {people} or more, no neutral; no "
            "official split: 20 % for test by file content; pictures by text-to-image models, "
            "which may favour a diffusion classifier"
        )

    @override
    def listing(self) -> Listing:
        base = locate(
            self.root, lambda folder: bool(_label_files(folder)), f"expected {self.expects}"
        )
        confirmed = self._confirmed(_label_files(base)[0])
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        files = {PurePosixPath(path).stem: path for path in reversed(tree.files)}
        names = {label for label in EMOTIONS.values() if label != "contempt" or self.classes == 7}
        left_out: Counter[str] = Counter()
        labels: dict[str, str] = {}
        for picture, seen in confirmed.items():
            if len(seen) == 1 and seen <= names:
                labels[picture] = min(seen)
            else:
                left_out[_reason(seen, self.votes)] += 1
        found = {files[picture]: labels[picture] for picture in labels if picture in files}
        if not found:
            raise self.fail(
                f"none of the {len(labels):,} pictures of {_label_files(base)[0]} is here."
            )
        test = held_out_pictures(base, found.items())
        return Listing(
            base,
            tuple(
                Entry(path, found[path], "test" if path in test else "train", PictureFile(path))
                for path in sorted(found, key=natural_key)
            ),
            ordered(names),
            missing=tuple(
                Skipped(picture, "named by the label file, not there")
                for picture in sorted(labels.keys() - files.keys(), key=natural_key)
            ),
            refused=tree.refused,
            unlabelled=tuple(p for p in tree.files if PurePosixPath(p).stem not in confirmed),
            left_out=left_out,
            claimed={("train", label): picture for picture, label in labels.items()},
        )

    def _confirmed(self, label_file: Path) -> dict[str, set[str]]:
        """The classes that enough people see in each picture.

        Raises:
            UserError: For a column that is not there, or a vote that is neither yes nor no.
        """
        table = read_table(label_file)
        for column in ("path", "value", "emotion"):
            if column not in table.columns:
                raise self.fail(f"{label_file} has no column {column!r}.")
        votes: dict[str, Counter[str]] = {}
        columns = (table.columns[name] for name in ("path", "value", "emotion"))
        for number, path, value, emotion in zip(table.numbers, *columns, strict=True):
            vote = _VOTES.get(value.lower().removesuffix(".0"))
            if vote is None:
                raise wrong_line(str(label_file), number, value, "a vote, 1 or 0")
            of_picture = votes.setdefault(PurePosixPath(path).stem, Counter())
            if vote and emotion.lower() in EMOTIONS:
                of_picture[EMOTIONS[emotion.lower()]] += 1
        return {
            picture: {label for label, count in counts.items() if count >= self.votes}
            for picture, counts in votes.items()
        }


def _label_files(folder: Path) -> list[Path]:
    return [folder / name for name in LABEL_FILES if (folder / name).is_file()]


def _reason(seen: set[str], votes: int) -> str:
    if not seen:
        return f"no class is confirmed by {votes} or more"
    return "several classes are confirmed" if len(seen) > 1 else "contempt is confirmed"


# ------------------------------------------------------------------------------------------------
# A drawn look-alike.


_ASKED = ("Anger", "Disgust", "Fear", "Sadness", "Surprise", "Elation", "Contempt")


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`data/binary.csv` with three votes a picture, `00000.png` and so on, and some in doubt."""
    rows = ["path,annotator,value,emotion"]
    for number in range(5 * per_class):
        for emotion in _ASKED:
            picture = f"{len(rows) // 3:05d}"
            save(
                root / "images" / f"{picture}.png",
                cast.picture(EMOTIONS[emotion.lower()], "train", number),
            )
            # One in five is confirmed by a single person; its votes are no label.
            yes = 1 if number % 5 == 4 else 2 + number % 2
            rows += [
                f"{picture},{annotator},{int(annotator < yes)},{emotion}" for annotator in range(3)
            ]
    (root / "data").mkdir()
    (root / "data" / "binary.csv").write_text("\n".join(rows) + "\n")


register(EmoNetFace, write)
