"""Lists of occluded or turned faces as groups of test pictures."""

from pathlib import Path

import numpy as np
import pytest
from fuzzing import survives
from support import write_pictures

from bench.config import parse
from bench.data.drawn import DrawnFaces
from bench.data.open import ListedDataSet, matched, open_dataset, parse_list, with_lists
from bench.report import write_report
from bench.store import records as dataset_record
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

RAN = "test_0001 3 1\ntest_0004 6 4\n\ntest_0013 0 2\n"
IDS = [f"Image/aligned/test_{number:04d}_aligned.jpg" for number in range(1, 21)]


def test_the_first_field_of_every_line_is_a_name() -> None:
    assert parse_list(RAN, "x.txt") == ("test_0001", "test_0004", "test_0013")
    assert parse_list("a b.png, 3\nc.png,1\r\na b.png,2", "x.csv") == ("a b.png", "c.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "names no picture"), ("\n \n", "names no picture"), ("a,1\n,2", "line 2: expected the")],
)
def test_files_without_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_list(text, "x.txt")


def test_whatever_is_in_a_list_gives_names_or_an_error() -> None:
    survives(parse_list, RAN.replace(" ", ","))


@pytest.mark.parametrize(
    "name",
    [
        "test_0004",
        "test_0004.jpg",
        "test_0004_aligned",
        "test_0004_aligned.jpg",
        "Image/aligned/test_0004_aligned.jpg",
    ],
)
def test_names_are_matched_however_a_list_writes_them(name: str) -> None:
    assert matched([name], IDS, "x") == (frozenset({IDS[3]}), [])


def test_a_path_means_its_file_where_stems_repeat() -> None:
    ids = ["happy/1.png", "sad/1.png", "sad/2.png"]
    assert matched(["sad/1.png", "2"], ids, "x")[0] == {"sad/1.png", "sad/2.png"}
    with pytest.raises(UserError, match=r"1 is the name of 2 test pictures.*by their path"):
        matched(["1"], ids, "x")


def test_names_of_no_picture_are_told_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = DrawnFaces({"train": 14, "val": 7, "test": 21})
    ids = [sample.id for sample in faces.samples("test")]
    path = tmp_path / "list.txt"
    path.write_text("\n".join([*ids[:10], *(f"nobody_{i}" for i in range(7))]))
    found = with_lists(faces, {"occlusion": path}, Reporter())
    said = capsys.readouterr().err
    assert "7 of 17 names" in said and "nobody_4 and 2 more" in said and "nobody_5" not in said
    values = [found.groups(sample)["occlusion"] for sample in found.samples("test")]
    assert values == ["listed"] * 10 + ["not listed"] * 11


def test_more_than_half_unmatched_is_another_list() -> None:
    names = ["test_0001", "test_0002", "a", "b"]
    assert matched(names, IDS, "x")[1] == ["a", "b"]
    with pytest.raises(UserError, match=r"3 of 5 names.*called Image/aligned/test_0001_aligned"):
        matched([*names, "c"], IDS, "x")


def test_everything_else_is_the_data_set_s() -> None:
    faces = DrawnFaces({"train": 14, "val": 7, "test": 7})
    sample = faces.samples("test")[0]
    listed = ListedDataSet(faces, {"pose_30": frozenset({sample.id})})
    assert listed.digest == faces.digest and listed.training_digest == faces.training_digest
    assert listed.groups(sample) == {**faces.groups(sample), "pose_30": "listed"}
    assert "pose_30" not in listed.groups(listed.samples("train")[0])
    assert listed.size(sample) == faces.size(sample)
    assert listed.attributes(sample) == faces.attributes(sample)
    np.testing.assert_array_equal(listed.picture(sample), faces.picture(sample))
    record, table = dataset_record.describe(listed)
    assert record.groups["pose_30"] == ["listed", "not listed"]
    assert (table["pose_30"] == "listed").sum() == 1


def test_no_list_changes_nothing_and_taken_names_are_refused(tmp_path: Path) -> None:
    faces = DrawnFaces({"train": 14, "val": 7, "test": 7})
    assert with_lists(faces, {}, Reporter()) is faces
    for taken in ("label", "glasses"):
        with pytest.raises(UserError, match=f"lists.{taken}"):
            with_lists(faces, {taken: tmp_path / "x"}, Reporter())


def test_a_run_compares_listed_pictures_with_the_others(tmp_path: Path) -> None:
    write_pictures(tmp_path / "faces" / "train", ("happy", "neutral"), 10)
    write_pictures(tmp_path / "faces" / "test", ("happy", "neutral"), 5)
    content = {
        "precision": "float32",
        "data": {"kind": "folder", "root": str(tmp_path / "faces")},
        "classifiers": {
            "tiny": {"kind": "baseline", "architecture": "test_resnet", "steps": 1, "batch_size": 4}
        },
        "execution": {"workers": 1, "device": "cpu"},
    }
    ids = [s.id for s in open_dataset(parse(content, "x").data, 0).samples("test")]
    (tmp_path / "occluded.txt").write_text("\n".join(f"{name} 0 1" for name in ids[::2]))
    config = parse(content | {"lists": {"occlusion": str(tmp_path / "occluded.txt")}}, "x")
    run(config, tmp_path / "out", Reporter())
    specs = {spec.name: spec for spec in write_report(tmp_path / "out").tables}
    (name,) = (name for name in specs if name.endswith("groups-occlusion"))
    assert {column for column in specs[name].header if "listed" in column} == {
        "listed (n 5)",
        "not listed (n 5)",
    }
