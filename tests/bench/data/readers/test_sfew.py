"""SFEW: spellings of the folders, two kinds of pictures, counts."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.on_disk import open_layout
from bench.data.readers.sfew import Sfew
from bench.labels import BASIC
from bench.util.errors import UserError

FRAMES = {split: f"{split}/{split}_Aligned_Faces" for split in ("Train", "Val")}


def summary(root: Path, **options: object) -> Counter[tuple[str, str, str]]:
    """Split, class and file name of all entries."""
    entries = Sfew.model_validate({"root": root, **options}).listing().entries
    return Counter((e.split, e.label, Path(e.id).name) for e in entries)


def test_folder_names_become_labels_and_validation_is_the_test_split(
    written: Callable[[str], Path],
) -> None:
    root = written("sfew")
    dataset = open_layout(Sfew(root=root))
    counts = Counter(sample.label for sample in dataset.samples("test"))
    assert counts == dict.fromkeys(BASIC, 3)
    for sample in dataset.samples("test"):
        assert sample.id.startswith("Val/Val_Aligned_Faces/")
        assert dataset.size(sample) == (181, 143)  # height before width; not square
    angry = [s.label for s in dataset.samples("test") if "/Angry/" in s.id]
    assert angry == ["anger"] * 3


def test_frames_are_another_protocol_of_other_pictures(written: Callable[[str], Path]) -> None:
    aligned, frames = (Sfew(root=written("sfew"), pictures=p) for p in ("aligned", "frames"))
    assert (aligned.name, frames.name) == ("sfew", "sfew_frames")
    assert aligned.protocol != frames.protocol
    dataset = open_layout(frames)
    assert {dataset.size(sample) for sample in dataset.samples("test")} == {(288, 360)}
    assert not {e.id for e in aligned.listing().entries} & {e.id for e in frames.listing().entries}


@pytest.mark.parametrize(
    ("pictures", "train", "test"), [("aligned", 891, 431), ("frames", 958, 436)]
)
def test_published_counts_add_up(pictures: str, train: int, test: int) -> None:
    counts = Sfew.model_validate({"root": Path(), "pictures": pictures}).published()
    assert {split: sum(counts[split].values()) for split in counts} == {
        "train": train,
        "test": test,
    }
    assert counts["test"]["disgust"] == 23
    assert set(counts["train"]) == set(BASIC)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("Train", "Val"),
        ("Train_Aligned_Faces", "Val_Aligned_Faces_new"),
        ("Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces_new"),
        ("Train/Train_Aligned_Faces", "Val_Aligned_Faces_new/Val_Aligned_Faces"),
        ("train", "validation"),
    ],
)
def test_spellings_of_the_folders(
    written: Callable[[str], Path], tmp_path: Path, train: str, val: str
) -> None:
    root = tmp_path / "SFEW" / "SFEW"
    for split, name in (("Train", train), ("Val", val)):
        shutil.copytree(written("sfew") / FRAMES[split], root / name)
        shutil.copytree(root / name, (root / name).parent / "__MACOSX" / name)
    assert summary(tmp_path / "SFEW") == summary(written("sfew"))


def test_aligned_faces_are_not_mixed_with_frames(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    shutil.rmtree(root / FRAMES["Val"])
    with pytest.raises(UserError, match="mix aligned faces and full frames"):
        Sfew(root=root).listing()


def test_frames_are_not_taken_from_aligned_faces(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    for split, folder in FRAMES.items():
        (root / folder).rename(root / "kept")
        shutil.rmtree(root / split)
        (root / "kept").rename(root / f"{split}_Aligned_Faces")
    assert Sfew(root=root).listing().entries
    with pytest.raises(UserError, match="unpack the full frames"):
        Sfew(root=root, pictures="frames").listing()


def test_two_editions_of_a_split_are_named(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    shutil.copytree(root / FRAMES["Val"], root / "Val" / "Val_Aligned_Faces_new")
    with pytest.raises(UserError, match="Val_Aligned_Faces_new could both be meant"):
        Sfew(root=root).listing()


def test_the_test_set_and_strays_are_told_as_unlabelled(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    for pictures in ("aligned", "frames"):
        listing = Sfew.model_validate({"root": root, "pictures": pictures}).listing()
        assert len(listing.unlabelled) == 3
    happy = root / FRAMES["Train"] / "Happy"
    picture = next(happy.iterdir())
    picture.rename(happy.parent / "stray.png")
    unlabelled = Sfew(root=root).listing().unlabelled
    assert unlabelled[0] == "Train/Train_Aligned_Faces/stray.png"
    assert len(unlabelled) == 4 and all(p.startswith("Test/") for p in unlabelled[1:])


def test_a_missing_class_folder_is_no_sfew(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    for parent in (FRAMES["Val"], "Val"):
        shutil.rmtree(root / parent / "Disgust")
    with pytest.raises(UserError, match="Train_Aligned_Faces/<class>"):
        Sfew(root=root).listing()


def test_upper_case_suffixes_and_natural_order(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    folder = root / FRAMES["Train"] / "Fear"
    picture = next(folder.iterdir())
    for name in ("Film_10.PNG", "Film_2.PNG"):
        shutil.copy(picture, folder / name)
    ids = [e.id for e in Sfew(root=root).listing().entries if "/Film_" in e.id]
    assert [Path(name).name for name in ids] == ["Film_2.PNG", "Film_10.PNG"]


def test_a_link_that_leaves_the_folder_is_refused(own: Callable[[str], Path]) -> None:
    root = own("sfew")
    outside = root.parent / "outside"
    folder = root / FRAMES["Train"] / "Fear"
    folder.rename(outside)
    folder.symlink_to(outside)
    listing = Sfew(root=root).listing()
    assert "fear" not in {e.label for e in listing.entries if e.split == "train"}
    assert [found.path for found in listing.refused] == ["Train/Train_Aligned_Faces/Fear"]
    assert summary(root, follow_links=True)[("train", "fear", next(outside.iterdir()).name)] == 1
