"""MAFW: eleven classes by name, folds, frames and videos."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.mafw import Mafw, parse_split
from bench.labels import ORDERS
from bench.util.errors import UserError

SAMPLE = "".join(f"{n:05d}.mp4 {label}\n" for n, label in enumerate(ORDERS["mafw"], 1))


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("mafw")


def test_labels_are_names_of_eleven_classes(written: Callable[[str], Path]) -> None:
    listing = Mafw(root=written("mafw")).listing()
    labels = {entry.id: entry.label for entry in listing.entries}
    assert [labels[f"{n:05d}"] for n in (1, 4, 8, 11)] == [
        "anger",
        "happiness",
        "contempt",
        "disappointment",
    ]
    assert len(listing.classes) == 11 and listing.classes[0] == "neutral"
    assert listing.unlabelled == ("00100",)  # which has several labels


def test_stand_ins_do_not_share_a_clip(written: Callable[[str], Path]) -> None:
    listing = Mafw(root=written("mafw")).listing()
    contents = {entry.source.content(listing.base) for entry in listing.entries}
    assert len(contents) == len(listing.entries)


def test_tests_of_the_folds_part_the_clips(written: Callable[[str], Path]) -> None:
    tests = [
        {entry.id for entry in Mafw(root=written("mafw"), fold=fold).listing().entries
         if entry.split == "test"}
        for fold in range(1, 6)
    ]  # fmt: skip
    assert sum(map(len, tests)) == len(set().union(*tests)) == 99


def test_published_counts_are_totals_of_fold_1() -> None:
    assert Mafw(root=Path()).published() == {"train": {"": 7333}, "test": {"": 1839}}
    assert 7333 + 1839 == 9172
    assert Mafw(root=Path(), fold=2).published() == {}


def test_names_differ_between_folds_and_frames() -> None:
    assert Mafw(root=Path(), fold=3).name == "mafw_fold3"
    assert Mafw(root=Path(), frames="clips").name == "mafw_fold1_videos"


def test_split_files_may_stand_in_other_folders(root: Path, tmp_path: Path) -> None:
    before = [entry.id for entry in Mafw(root=root).listing().entries]
    (root / "Train & Test Set").rename(root / "split")
    (tmp_path / "up").mkdir()
    root.rename(tmp_path / "up" / "MAFW")
    assert [entry.id for entry in Mafw(root=tmp_path / "up").listing().entries] == before


def test_videos_are_read_in_the_place_of_frames(written: Callable[[str], Path]) -> None:
    videos = open_layout(Mafw(root=written("mafw"), frames="clips"))
    frames = open_layout(Mafw(root=written("mafw")))
    assert not videos.skipped
    sample = frames.samples("test")[0]
    difference = abs(videos.picture(sample).astype(int) - frames.picture(sample))
    assert difference.mean() < 6  # the same frame, compressed


def test_a_named_clip_that_is_missing_is_told(root: Path) -> None:
    (root / "data" / "frames" / "00002").rename(root / "data" / "frames" / "99999")
    listing = Mafw(root=root).listing()
    assert [found.path for found in listing.missing] == ["00002"]
    assert "99999" in listing.unlabelled


@pytest.mark.parametrize(
    "line", ["00025.mp4 3", "00025.mp4 anger fear", "../25.mp4 anger", "00001.mp4 fear"]
)
def test_other_lines_are_refused_by_number(line: str) -> None:
    with pytest.raises(UserError, match="the-file, line 12"):
        parse_split(SAMPLE + line, "the-file")


@pytest.mark.parametrize("line", ["00025,0", "/data/MAFW/data/faces/00025 61 3"])
def test_ids_of_re_hosts_are_refused_with_the_way_out(line: str) -> None:
    with pytest.raises(UserError, match="three orders of classes: take the owners' file"):
        parse_split(line, "the-file")


def test_label_files_survive_fuzzing() -> None:
    survives(parse_split, SAMPLE)
