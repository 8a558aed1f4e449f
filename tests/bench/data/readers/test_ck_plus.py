"""CK+: sequences in one tree, their labels in another."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from empty_trees import labels, touch
from fuzzing import survives
from PIL import Image

from bench.data.readers.ck_plus import CkPlus, parse_emotion
from bench.util.errors import UserError

NUMBERS = {"neutral": 0, "anger": 1, "contempt": 2, "disgust": 3, "fear": 4, "happiness": 5,
           "sadness": 6, "surprise": 7}  # fmt: skip


def sequence(root: Path, person: str, number: str, frames: Iterable[int], label: str = "") -> Path:
    """Frames without content, and the label of the last one; the path of the label file."""
    place, frames = f"{person}/{number}", sorted(frames)
    touch(root, (f"cohn-kanade-images/{place}/{person}_{number}_{n:08d}.png" for n in frames))
    path = root / "Emotion" / place / f"{person}_{number}_{frames[-1]:08d}_emotion.txt"
    path.parent.mkdir(parents=True)
    if label:
        path.write_text(f"   {NUMBERS[label]:.7e}\n")
    return path


@pytest.fixture
def ck(tmp_path: Path) -> Path:
    """Ten persons with two labelled sequences each, and one without a label."""
    for person in range(10):
        sequence(tmp_path, f"S{person:03d}", "001", range(1, 13), "fear")
        sequence(tmp_path, f"S{person:03d}", "002", range(1, 6), "contempt")
    sequence(tmp_path, "S000", "010", range(1, 8))
    return tmp_path


def test_ck_plus_takes_the_peak_of_labelled_sequences(ck: Path) -> None:
    listing = CkPlus(root=ck).listing()
    assert len(listing.entries) == 20
    assert labels(listing)["S003_001_00000012"] == "fear"
    assert labels(listing)["S003_002_00000005"] == "contempt"
    assert listing.left_out == {"sequences without a label": 1}
    assert "neutral" not in listing.classes and len(listing.classes) == 7


def test_ck_plus_takes_three_frames_and_the_first_one_as_neutral(ck: Path) -> None:
    listing = CkPlus(root=ck, last_frames=3, classes=8).listing()
    shown = {name: label for name, label in labels(listing).items() if name.startswith("S004_001")}
    assert shown == {
        "S004_001_00000001": "neutral",
        "S004_001_00000010": "fear",
        "S004_001_00000011": "fear",
        "S004_001_00000012": "fear",
    }
    assert len(listing.entries) == 20 * 4 and len(listing.classes) == 8


def test_ck_plus_protocols_have_names_of_their_own() -> None:
    options: list[dict[str, Any]] = [
        {"classes": classes, "last_frames": frames} for classes in (7, 8) for frames in (1, 3)
    ]
    layouts = [CkPlus.model_validate({"root": Path(), **chosen}) for chosen in options]
    assert [layout.name for layout in layouts] == [
        "ck_plus_fold1",
        "ck_plus_last3_fold1",
        "ck_plus_8_fold1",
        "ck_plus_8_last3_fold1",
    ]
    assert len({layout.protocol for layout in layouts}) == 4


def test_ck_plus_frames_are_ordered_by_number(ck: Path) -> None:
    """Copies that do not pad: "9" is before "10"."""
    for path in (ck / "cohn-kanade-images" / "S001" / "001").iterdir():
        head, _, number = path.stem.rpartition("_")
        path.rename(path.with_name(f"{head}_{int(number)}.png"))
    listing = CkPlus(root=ck, last_frames=3).listing()
    frames = [e.source.path for e in listing.entries if e.id.startswith("S001_001")]
    assert [path.rsplit("_")[-1] for path in frames] == ["10.png", "11.png", "12.png"]


def test_ck_plus_uses_no_frame_after_the_peak(ck: Path) -> None:
    touch(ck, ["cohn-kanade-images/S002/001/S002_001_00000013.png"])
    names = [name for name in labels(CkPlus(root=ck).listing()) if name.startswith("S002_001")]
    assert names == ["S002_001_00000012"]


def test_ck_plus_leaves_out_a_sequence_without_its_peak(ck: Path) -> None:
    (ck / "cohn-kanade-images" / "S002" / "001" / "S002_001_00000012.png").unlink()
    shutil.rmtree(ck / "cohn-kanade-images" / "S003" / "002")
    listing = CkPlus(root=ck, last_frames=3).listing()
    assert [found.path for found in listing.missing] == ["S002_001_00000012", "S003_002_00000005"]
    assert not [name for name in labels(listing) if name.startswith(("S002_001", "S003_002"))]


def test_ck_plus_takes_no_late_frame_for_neutral(ck: Path) -> None:
    """Copies with the last frames only have no neutral ones."""
    for number in range(1, 10):
        (ck / "cohn-kanade-images" / "S002" / "001" / f"S002_001_{number:08d}.png").unlink()
    listing = CkPlus(root=ck, classes=8).listing()
    assert [found.path for found in listing.missing] == ["S002_001_00000001"]
    assert labels(listing)["S002_001_00000012"] == "fear"
    assert list(labels(listing).values()).count("neutral") == 19


def test_ck_plus_knows_a_sequence_labelled_neutral(ck: Path) -> None:
    sequence(ck, "S001", "003", range(1, 5), "neutral")
    left_out = CkPlus(root=ck).listing().left_out
    assert left_out == {"sequences without a label": 1, "sequences labelled neutral": 1}
    assert labels(CkPlus(root=ck, classes=8).listing())["S001_003_00000004"] == "neutral"


def test_ck_plus_as_its_archives_unpack(ck: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = labels(CkPlus(root=ck).listing())
    apart = tmp_path_factory.mktemp("apart")
    for part, archive in (
        ("cohn-kanade-images", "extended-cohn-kanade-images"),
        ("Emotion", "Emotion_labels"),
    ):
        (apart / "CK+" / archive).mkdir(parents=True)
        (ck / part).rename(apart / "CK+" / archive / part)
    listing = CkPlus(root=apart).listing()
    assert labels(listing) == before
    assert all((listing.base / entry.source.path).is_file() for entry in listing.entries)


def test_ck_plus_refuses_two_labels_of_a_sequence(ck: Path) -> None:
    path = ck / "Emotion" / "S001" / "001" / "S001_001_00000011_emotion.txt"
    path.write_text("   1.0000000e+00\n")
    with pytest.raises(UserError, match=r"S001_001_00000012_emotion\.txt.*labels the same"):
        CkPlus(root=ck).listing()


def test_ck_plus_litter_and_other_trees_do_not_matter(ck: Path) -> None:
    before = CkPlus(root=ck).listing()
    touch(ck, [
        "cohn-kanade-images/.DS_Store",
        "cohn-kanade-images/S001/._001",
        "cohn-kanade-images/S001/001/._S001_001_00000099.png",
        "Emotion/S000/010/._S000_010_00000007_emotion.txt",
        "Landmarks/S001/001/S001_001_00000099.txt",
        "FACS/S001/001/S001_001_00000099_facs.txt",
        "__MACOSX/Emotion/S001/001/S001_001_00000099_emotion.txt",
    ])  # fmt: skip
    assert CkPlus(root=ck).listing() == before


def test_ck_plus_frames_saved_twice_are_used_once(ck: Path) -> None:
    touch(ck, ["cohn-kanade-images/S001/001/S001_001_00000012.jpg"])
    listing = CkPlus(root=ck).listing()
    assert len(listing.entries) == 20
    assert [found.reason.split(" of ")[0] for found in listing.refused] == ["a copy"]


def test_ck_plus_needs_a_person_for_each_fold(ck: Path) -> None:
    with pytest.raises(UserError, match="10 persons cannot be dealt into 11 folds"):
        CkPlus(root=ck, folds=11).listing()


@pytest.mark.parametrize("text", ["   3.0000000e+00\n", "3", "3.0\r\n", "\n 3e0 \n\n"])
def test_an_emotion_is_one_number(text: str) -> None:
    assert parse_emotion(text, "a.txt") == "disgust"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.txt: expected one number"),
        ("8.0000000e+00", "a.txt, line 1"),
        ("3.5", "found '3.5'"),
        ("3e1", "found '3e1'"),
        ("-1", "found '-1'"),
        ("3\n4", "line 2"),
        ("nan", "found 'nan'"),
    ],
)
def test_what_is_no_emotion_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_emotion(text, "a.txt")


def test_emotion_files_survive_fuzzing() -> None:
    survives(parse_emotion, "   3.0000000e+00\n")


def test_a_broken_emotion_file_is_named(ck: Path) -> None:
    path = ck / "Emotion" / "S001" / "001" / "S001_001_00000012_emotion.txt"
    path.write_bytes(b"\xef\xbb\xbf   3.0000000e+00\r\n")
    assert labels(CkPlus(root=ck).listing())["S001_001_00000012"] == "disgust"
    path.write_bytes(b"\xff\xfe3")
    with pytest.raises(UserError, match=path.name):
        CkPlus(root=ck).listing()


def test_drawn_faces_rise_to_their_peak(written: Callable[[str], Path]) -> None:
    """The first frame of a sequence is less like the last one than the frame before that."""
    place = written("ck_plus") / "cohn-kanade-images" / "S005" / "007"  # surprise
    frames = [np.asarray(Image.open(path), float) for path in sorted(place.iterdir())]
    first, before = (np.abs(frames[n] - frames[-1]).mean() for n in (0, -2))
    assert first > before > 0
