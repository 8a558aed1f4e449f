"""RAF-DB: label file, mirrors, manual attributes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.raf_db import RafDb, RafDbCompound, parse_attributes, parse_labels
from bench.labels import COMPOUND
from bench.util.errors import UserError

SAMPLE = "\n".join(
    f"{split}_{n:05d}.jpg {n % 7 + 1}" for split in ("train", "test") for n in range(6)
)


@pytest.fixture
def labels(own: Callable[[str], Path]) -> Path:
    """The label file of a tree that a test may change."""
    return own("raf_db") / "basic" / "EmoLabel" / "list_patition_label.txt"


def opened(labels: Path, **options: object) -> RafDb:
    return RafDb.model_validate({"root": labels.parents[2], **options})


def test_labels_are_names_and_the_split_is_in_the_file_name(labels: Path) -> None:
    listing = opened(labels).listing()
    by_id = {entry.id: entry for entry in listing.entries}
    assert by_id["train_00001.jpg"].label == "surprise"
    assert by_id["test_0004.jpg"].label == "happiness"
    assert by_id["test_0004.jpg"].split == "test"
    assert by_id["test_0004.jpg"].source.path == "Image/aligned/test_0004_aligned.jpg"


def test_published_counts_add_up() -> None:
    counts = RafDb(root=Path()).published()
    assert [sum(counts[split].values()) for split in ("train", "test")] == [12271, 3068]
    assert RafDbCompound(root=Path()).published() == {"train": {"": 3162}, "test": {"": 792}}


def test_a_zero_based_copy_with_the_official_names_is_detected(labels: Path) -> None:
    before = {entry.id: entry.label for entry in opened(labels).listing().entries}
    rows = [line.split() for line in labels.read_text().splitlines()]
    labels.write_text("".join(f"{name} {int(label) - 1}\n" for name, label in rows))
    assert {entry.id: entry.label for entry in opened(labels).listing().entries} == before


def test_labels_that_could_start_at_0_or_1_are_refused_until_said(labels: Path) -> None:
    rows = [line.split() for line in labels.read_text().splitlines()]
    labels.write_text("\n".join(f"{name} 3" for name, _ in rows))
    with pytest.raises(UserError, match="label_base"):
        opened(labels).listing()
    assert {e.label for e in opened(labels, label_base=1).listing().entries} == {"disgust"}
    assert {e.label for e in opened(labels, label_base=0).listing().entries} == {"happiness"}


def test_compound_labels_are_refused_by_name(labels: Path) -> None:
    labels.write_text(labels.read_text() + "\ntrain_99999.jpg 11")
    with pytest.raises(UserError, match="raf_db_compound"):
        opened(labels).listing()


def test_a_named_picture_that_is_missing_and_one_without_a_label_are_told(labels: Path) -> None:
    pictures = labels.parents[1] / "Image" / "aligned"
    (pictures / "train_00003_aligned.jpg").unlink()
    shutil.copy(pictures / "train_00001_aligned.jpg", pictures / "train_77777_aligned.jpg")
    listing = opened(labels).listing()
    assert [found.path for found in listing.missing] == ["Image/aligned/train_00003_aligned.jpg"]
    assert listing.unlabelled == ("Image/aligned/train_77777_aligned.jpg",)
    assert open_layout(opened(labels)).skipped == listing.missing


def test_upper_case_suffixes_are_found(labels: Path) -> None:
    path = labels.parents[1] / "Image" / "aligned" / "test_0001_aligned.jpg"
    path.rename(path.with_suffix(".JPG"))
    assert not opened(labels).listing().missing


def test_a_doubly_nested_folder_is_found(labels: Path, tmp_path: Path) -> None:
    nested = tmp_path / "RAF" / "RAF"
    nested.mkdir(parents=True)
    labels.parents[1].rename(nested / "basic")
    assert RafDb(root=tmp_path / "RAF").listing().base == nested / "basic"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n") + "\r\n\r\n",
        lambda text: "\ufeff" + text.replace(" ", "\t"),
    ],
    ids=["final newline", "Windows", "mark and tabs"],
)
def test_ends_of_lines_and_the_spelling_of_the_readme_do_not_matter(
    labels: Path, change: Callable[[str], str]
) -> None:
    before = opened(labels).listing().entries
    assert not labels.read_text().endswith("\n")  # as shipped
    spelled = labels.with_name("list_partition_label.txt")
    spelled.write_bytes(change(labels.read_text()).encode())
    labels.unlink()
    assert opened(labels).listing().entries == before


def test_an_archive_unpacked_in_its_own_folder_is_found(labels: Path) -> None:
    before = opened(labels).listing()
    aligned = labels.parents[1] / "Image" / "aligned"
    aligned.rename(aligned.with_name("away"))
    aligned.mkdir()
    aligned.with_name("away").rename(aligned / "aligned")
    after = opened(labels).listing()
    assert not after.missing and not after.unlabelled
    assert [(e.id, e.label) for e in after.entries] == [(e.id, e.label) for e in before.entries]
    assert after.entries[0].source.path == "Image/aligned/aligned/test_0001_aligned.jpg"


def test_other_pictures_have_names_of_their_own(labels: Path) -> None:
    images = labels.parents[1] / "Image"
    (images / "aligned").rename(images / "aligned_224")
    with pytest.raises(UserError, match="pictures=aligned_224 takes it"):
        opened(labels).listing()
    again = opened(labels, pictures="aligned_224")
    path = images / "aligned_224" / "test_0001_aligned.jpg"
    path.rename(path.with_name("test_0001.jpg"))  # as others have it
    assert len(again.listing().entries) == 63 and not again.listing().missing
    names = [opened(labels, pictures=p).name for p in ("aligned", "aligned_224", "original")]
    assert names == ["raf_db", "raf_db_aligned_224", "raf_db_original"]


def test_links_that_leave_are_refused_and_those_within_are_not(
    labels: Path, tmp_path: Path
) -> None:
    aligned = labels.parents[1] / "Image" / "aligned"
    first, second = aligned / "test_0001_aligned.jpg", aligned / "test_0002_aligned.jpg"
    first.rename(tmp_path / "elsewhere.jpg")
    first.symlink_to(tmp_path / "elsewhere.jpg")
    second.rename(aligned.with_name("inside.jpg"))
    second.symlink_to(aligned.with_name("inside.jpg"))
    listing = opened(labels).listing()
    assert [found.path for found in listing.refused] == ["Image/aligned/test_0001_aligned.jpg"]
    assert not listing.missing and len(listing.entries) == 62
    assert len(opened(labels, follow_links=True).listing().entries) == 63
    aligned.rename(tmp_path / "aligned")
    aligned.symlink_to(tmp_path / "aligned")
    with pytest.raises(UserError, match="a link that leaves the data folder"):
        opened(labels).listing()


def test_a_packed_archive_is_named(labels: Path) -> None:
    images = labels.parents[1] / "Image"
    shutil.rmtree(images / "aligned")
    (images / "aligned.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"aligned\.zip is still packed"):
        opened(labels).listing()


def test_a_mirror_by_number_has_the_official_order(labels: Path, tmp_path: Path) -> None:
    official = opened(labels).listing()
    order = RafDb.order
    for entry in official.entries:
        target = tmp_path / "mirror" / entry.split / str(order.index(entry.label) + 1) / entry.id
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(official.base / entry.source.path, target)
    mirror = RafDb(root=tmp_path / "mirror").listing()
    assert {entry.id.split("/")[-1]: entry.label for entry in mirror.entries} == {
        entry.id: entry.label for entry in official.entries
    }
    (tmp_path / "mirror" / "train" / "7").rename(tmp_path / "mirror" / "train" / "0")
    with pytest.raises(UserError, match="some copies"):
        RafDb(root=tmp_path / "mirror").listing()


def test_a_data_set_behind_a_link_is_refused_until_allowed(labels: Path, tmp_path: Path) -> None:
    labels.parents[1].rename(tmp_path / "elsewhere")
    labels.parents[1].symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="behind a link that leaves the data folder"):
        open_layout(opened(labels))
    assert not open_layout(opened(labels, follow_links=True)).skipped
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")  # what the user names may be one
    (tmp_path / "elsewhere" / "DRAWN_FACES.txt").touch()
    assert not open_layout(RafDb(root=tmp_path / "link")).skipped


def test_compound_has_ten_behind_two(own: Callable[[str], Path], tmp_path: Path) -> None:
    official = RafDbCompound(root=own("raf_db_compound")).listing()
    assert [entry.label for entry in official.entries[:11]] == list(COMPOUND)
    for entry in official.entries:
        folder = tmp_path / "mirror" / entry.split / str(COMPOUND.index(entry.label) + 1)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(official.base / entry.source.path, folder / entry.id)
    mirror = RafDbCompound(root=tmp_path / "mirror").listing()
    labels = {entry.id: entry.label for entry in official.entries}
    assert {entry.id.split("/")[-1]: entry.label for entry in mirror.entries} == labels
    assert mirror.entries[-1].id.startswith("train/11/")  # and not train/9


@pytest.mark.parametrize("second", ["valid", "test"])
def test_a_mirror_with_two_splits_and_strays(labels: Path, tmp_path: Path, second: str) -> None:
    pictures = labels.parents[1] / "Image" / "aligned"
    mirror = tmp_path / "DATASET"
    for split in ("train", second):
        for number in range(1, 8):
            (mirror / split / str(number)).mkdir(parents=True)
            shutil.copy(pictures / f"train_{number:05d}_aligned.jpg", mirror / split / str(number))
    shutil.copy(pictures / "train_00001_aligned.jpg", mirror / "train")
    (mirror / "train_labels.csv").write_text("image,label\n")
    listing = RafDb(root=tmp_path / "DATASET").listing()
    assert [entry.split for entry in listing.entries].count("test") == 7
    assert listing.unlabelled == ("train/train_00001_aligned.jpg",)
    with pytest.raises(UserError, match="there is no original"):
        RafDb(root=mirror, pictures="original").listing()
    for picture in mirror.rglob("*.jpg"):
        picture.unlink()
    with pytest.raises(UserError, match="no pictures in folders of classes"):
        RafDb(root=mirror).listing()


def test_manual_attributes_are_groups(labels: Path) -> None:
    dataset = open_layout(opened(labels))
    groups = dataset.groups(dataset.samples("test")[0])
    assert groups["gender"] == "unsure" and set(groups) == {"gender", "race", "age"}


def test_label_files_survive_fuzzing() -> None:
    survives(parse_labels, SAMPLE)


def test_attribute_files_survive_fuzzing() -> None:
    survives(parse_attributes, "1.0 2.0\n3 4\n5 6\n7\t8\n9 10\n0\n1\n2\n")
