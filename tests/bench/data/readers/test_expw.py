"""ExpW: faces in photographs, boxes in their own order, a split by photograph."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import survives

from bench.data.images import Box
from bench.data.on_disk import open_layout
from bench.data.readers import PictureFile
from bench.data.readers.cast import Cast
from bench.data.readers.expw import ExpW, parse_labels, split_of
from bench.util.errors import UserError

SAMPLE = "".join(
    f"angry actor_{n}.jpg {n % 2} 2{n} 1{n} 11{n} 12{n} 2{n}.5 {n % 7}\n" for n in range(12)
)


@pytest.fixture
def labels(own: Callable[[str], Path]) -> Path:
    """The label file of a tree that a test may change."""
    return own("expw") / "label" / "label.lst"


def opened(labels: Path, **options: object) -> ExpW:
    return ExpW.model_validate({"root": labels.parents[1], **options})


def test_top_comes_before_left_and_right_before_bottom() -> None:
    faces = parse_labels("angry_actor_104.jpg 0 28 113 226 141 22.9362 0\n", "label.lst")
    assert faces[0].box == Box(left=113, top=28, width=113, height=113)
    assert faces[0].confidence == 22.9362


def test_every_face_is_cropped_by_its_own_box(labels: Path) -> None:
    listing = opened(labels).listing()
    faces = {entry.id: entry for entry in listing.entries}
    pair = next(name.partition("#")[0] for name in faces if name.endswith("#1"))
    for number in range(2):
        entry = faces[f"{pair}#{number}"]
        drawn = Cast().picture(entry.label, entry.split, 0, (80, 80)).astype(int)
        found = entry.source.decode(listing.base, entry.source.content(listing.base))
        assert found.shape == (80, 80, 3)
        assert np.abs(found - drawn).mean() < 6  # what JPEG loses
        assert np.abs(found - np.roll(drawn, 3, axis=1)).mean() > 8


def test_several_faces_of_a_photograph_have_ids_of_their_own(labels: Path) -> None:
    entries = opened(labels).listing().entries
    assert len({entry.id for entry in entries}) == len(entries) == 84
    assert len({entry.source.path for entry in entries}) == 84 - 9
    with labels.open("a") as file:
        file.write(labels.read_text().splitlines()[0])
    ids = [entry.id for entry in opened(labels).listing().entries]
    assert len(set(ids)) == len(ids) == 85
    assert sum(name.endswith("-2") for name in ids) == 1


def test_the_faces_of_a_photograph_stay_together(labels: Path) -> None:
    splits: dict[str, set[str]] = {}
    dataset = open_layout(opened(labels))
    for split in ("train", "val", "test"):
        for sample in dataset.samples(split):
            splits.setdefault(sample.id.partition("#")[0], set()).add(split)
    assert all(len(found) == 1 for found in splits.values())


def test_a_fifth_of_photographs_is_for_test() -> None:
    splits = [split_of(f"angry_actor_{number}.jpg") for number in range(20_000)]
    assert splits.count("test") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert splits.count("val") / 20_000 == pytest.approx(0.12, abs=0.01)


def test_labels_that_count_from_1_are_detected(labels: Path) -> None:
    before = opened(labels).listing().entries
    rows = [line.rsplit(" ", 1) for line in labels.read_text().splitlines()]
    labels.write_text("\r\n".join(f"{rest} {int(label) + 1}" for rest, label in rows))
    assert opened(labels).listing().entries == before


def test_faces_of_little_confidence_can_be_left_out(labels: Path) -> None:
    every, some = opened(labels), opened(labels, min_confidence=42)
    kept = some.listing().entries
    assert {entry.id.partition("#")[2] for entry in kept} == {"1"}
    assert some.listing().left_out == {"confidence below 42": 84 - len(kept)}
    assert not every.listing().left_out
    assert [every.name, some.name] == ["expw", "expw_from_42"]


def test_missing_pictures_unlabelled_ones_and_upper_case_suffixes(labels: Path) -> None:
    listing = opened(labels).listing()
    first, second = listing.entries[0], listing.entries[3]
    assert isinstance(first.source, PictureFile)
    (listing.base / first.source.path).unlink()
    path = listing.base / second.source.path
    path.rename(path.with_suffix(".JPG"))
    shutil.copy(path.with_suffix(".JPG"), path.with_name("awe_boss_75.jpg"))
    found = opened(labels).listing()
    assert [skipped.path for skipped in found.missing] == [first.source.path]
    assert found.unlabelled == ("image/origin/awe_boss_75.jpg",)
    assert second.id in {entry.id for entry in found.entries}


def test_names_in_natural_order(labels: Path) -> None:
    names = [entry.id.partition("#")[0] for entry in opened(labels).listing().entries]
    numbers = [int(n.split("_")[-1].removesuffix(".jpg")) for n in names if n.startswith("anger")]
    assert numbers == sorted(numbers)
    assert max(numbers) >= 10


def test_a_path_that_leaves_the_folder_is_refused(labels: Path) -> None:
    with labels.open("a") as file:
        file.write("../../x.jpg 0 1 2 3 4 5 6")
    with pytest.raises(UserError, match="line 85"):
        opened(labels).listing()


def test_a_link_that_leaves_the_root_is_refused(labels: Path, tmp_path: Path) -> None:
    entry = opened(labels).listing().entries[0]
    picture = labels.parents[1] / entry.source.path
    picture.rename(tmp_path / "elsewhere.jpg")
    picture.symlink_to(tmp_path / "elsewhere.jpg")
    assert [found.path for found in opened(labels).listing().refused] == [entry.source.path]
    assert not opened(labels).listing().missing
    assert not opened(labels, follow_links=True).listing().refused


def test_an_empty_box_costs_a_face_and_not_the_data_set(labels: Path) -> None:
    first, *rest = labels.read_text().splitlines()
    name = first.split()[0]
    labels.write_text("\n".join([f"{name} 0 30 20 20 110 40 0", *rest]))
    skipped = open_layout(opened(labels)).skipped
    assert [found.path for found in skipped] == [f"image/origin/{name}"]


def test_a_packed_archive_is_named(labels: Path) -> None:
    image = labels.parents[1] / "image"
    shutil.rmtree(image / "origin")
    (image / "origin.7z.001").write_bytes(b"7z")
    with pytest.raises(UserError, match=r"origin\.7z\.001 is still packed"):
        opened(labels).listing()


def test_a_doubly_nested_folder_is_found(labels: Path, tmp_path: Path) -> None:
    nested = tmp_path / "a" / "b" / "ExpW"
    nested.parent.mkdir(parents=True)
    labels.parents[1].rename(nested)
    assert ExpW(root=tmp_path / "a").listing().base == nested


def test_pictures_in_a_folder_of_the_same_name_are_found(labels: Path) -> None:
    before = opened(labels).listing()
    pictures = labels.parents[1] / "image" / "origin"
    pictures.rename(pictures.with_name("away"))
    pictures.mkdir()
    pictures.with_name("away").rename(pictures / "origin")
    after = opened(labels).listing()
    assert not after.missing
    assert [entry.id for entry in after.entries] == [entry.id for entry in before.entries]


def test_label_files_survive_fuzzing() -> None:
    survives(parse_labels, SAMPLE)
