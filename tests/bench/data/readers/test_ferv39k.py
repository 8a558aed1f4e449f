"""FERV39k: paths with scenes and classes, no header."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.ferv39k import SCENES, Ferv39k, parse_split
from bench.labels import ORDERS, canonical
from bench.util.errors import UserError

SAMPLE = "".join(
    f"{scene}/{name}/{number:04d} {name}\n"
    for number, (scene, name) in enumerate(
        zip(("Action", "War", "School", "Crime") * 3, ("Happy", "Sad", "Fear") * 4, strict=True)
    )
)


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("ferv39k")


def test_the_first_line_is_a_clip_and_no_header(written: Callable[[str], Path]) -> None:
    listing = Ferv39k(root=written("ferv39k")).listing()
    assert not listing.missing and not listing.unlabelled
    first = listing.entries[0]
    assert (first.id, first.label, first.split) == ("Argue/Happy/0001", "happiness", "train")
    splits = [entry.split for entry in listing.entries]
    assert (splits.count("train"), splits.count("test")) == (42, 21)


def test_published_counts_add_up() -> None:
    counts = Ferv39k(root=Path()).published()
    assert [sum(counts[split].values()) for split in ("train", "test")] == [31088, 7847]
    assert counts["train"]["neutral"] == 7790 and counts["test"]["fear"] == 431


def test_scenes_are_groups(written: Callable[[str], Path]) -> None:
    assert len(SCENES) == 22
    dataset = open_layout(Ferv39k(root=written("ferv39k")))
    assert dataset.group_values == {"scene": SCENES}
    sample = dataset.samples("test")[0]
    assert dataset.groups(sample) == {"scene": sample.id.split("/")[0]}


def test_a_scene_of_another_name_is_kept(root: Path) -> None:
    folder = root / "2_ClipsforFaceCrop-002" / "2_ClipsforFaceCrop"
    (folder / "Argue").rename(folder / "Quarrel")
    for path in (root / "4_setups" / "All_scenes").iterdir():
        path.write_text(path.read_text().replace("Argue/", "Quarrel/"))
    listing = Ferv39k(root=root).listing()
    assert listing.group_values["scene"] == (*SCENES, "Quarrel")
    assert not listing.missing


@pytest.mark.parametrize(
    ("name", "line", "order"),
    [
        ("data/FERV39K/Annotation/{}.csv", "{},{}", "alphabetical"),
        ("annotation/FERV39K_{}.txt", "/data/FERV39K/2_ClipsforFaceCrop/{} 25 {}", "ferv39k"),
        ("annotation/FERV39k_{}.txt", "D:/My Data/2_ClipsforFaceCrop/{} 31 {}", "affectnet_7"),
        (
            "saved/data/ferv39k/all_scenes/{}.csv",
            "/mnt/FERV39k/2_ClipsforFaceCrop/{} {}",
            "ferv39k",
        ),
    ],
    ids=["path and id", "with frames", "of Windows", "without frames"],
)
def test_lists_of_re_hosts_are_read_by_their_paths_in_any_order_of_ids(
    root: Path, name: str, line: str, order: str
) -> None:
    before = [(e.id, e.split, e.label) for e in Ferv39k(root=root).listing().entries]
    for split in ("train", "test"):
        official = root / "4_setups" / "All_scenes" / f"{split}_All.csv"
        rows = [row.split() for row in official.read_text().splitlines()]
        official.unlink()
        target = root / name.format(split)
        target.parent.mkdir(parents=True, exist_ok=True)
        ids = [line.format(path, ORDERS[order].index(canonical(label))) for path, label in rows]
        header = ["path,id"] if "," in line else []
        target.write_text("\n".join([*header, *ids]) + "\n")
    assert [(e.id, e.split, e.label) for e in Ferv39k(root=root).listing().entries] == before


@pytest.mark.parametrize("line", ["Action/Happy/0002,4", "War/Sad/0003,3"])
def test_ids_that_are_not_one_for_each_class_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="line 3: expected one id for each class"):
        parse_split(f"path,id\nAction/Happy/0001,3\n{line}\n", "the-file")


def test_a_label_that_is_not_the_folders_is_refused() -> None:
    with pytest.raises(UserError, match=r"line 2.*'Sad' as in the path"):
        parse_split("Action/Happy/0001 Happy\nAction/Sad/0002 Fear\n", "the-file")


def test_a_path_that_leaves_the_folder_is_refused() -> None:
    for path in ("../Happy/0001", "/Happy/0001", "..\\Happy\\0001"):
        with pytest.raises(UserError, match="line 1"):
            parse_split(f"{path} Happy", "the-file")


def test_windows_and_a_missing_final_newline_do_not_matter() -> None:
    assert parse_split(SAMPLE.replace("\n", "\r\n").replace("/", "\\"), "f") == parse_split(
        SAMPLE.rstrip("\n"), "f"
    )


def test_a_named_clip_that_is_missing_and_one_without_a_label_are_told(root: Path) -> None:
    clip = root / "2_ClipsforFaceCrop-002" / "2_ClipsforFaceCrop" / "Argue" / "Happy" / "0001"
    clip.rename(clip.with_name("9999"))
    listing = Ferv39k(root=root).listing()
    assert [found.path for found in listing.missing] == ["Argue/Happy/0001"]
    assert listing.unlabelled == ("Argue/Happy/9999",)


def test_a_clip_on_both_sides_is_refused(root: Path) -> None:
    setups = root / "4_setups" / "All_scenes"
    train = (setups / "train_All.csv").read_text().splitlines()
    with (setups / "test_All.csv").open("a") as file:
        file.write(train[3] + "\n")
    with pytest.raises(UserError, match="in train already"):
        Ferv39k(root=root).listing()


def test_label_files_survive_fuzzing() -> None:
    survives(parse_split, SAMPLE)
