"""Train on one data set, test on another."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.classifiers.checkpoints import recipes
from bench.config import load, parse
from bench.data.base import DataSet, Sample, Split
from bench.data.drawn import DrawnFaces
from bench.data.on_disk import open_layout
from bench.data.open import CrossDataSet
from bench.data.readers.folder import Folder
from bench.report import write_report
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

SIZES: dict[Split, int] = {"train": 28, "val": 14, "test": 21}


class Labels(DataSet):
    """A data set of one black picture per class and split."""

    kind = "labels"

    def __init__(self, name: str, classes: Sequence[str]) -> None:
        self.name, self.classes = name, tuple(classes)
        self.digest = f"{name}-{'-'.join(classes)}"

    def samples(self, split: Split) -> list[Sample]:
        return [Sample(f"{split}-{label}", label) for label in self.classes]

    def picture(self, sample: Sample) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)

    def size(self, sample: Sample) -> tuple[int, int]:
        return 8, 8


def test_only_shared_classes_are_left_in_the_order_of_the_source() -> None:
    source = Labels("a", ("fear", "anger", "contempt", "neutral"))
    cross = CrossDataSet(source, Labels("b", ("neutral", "happiness", "anger")))
    assert cross.classes == ("anger", "neutral")
    assert [s.id for s in cross.samples("train")] == ["source:train-anger", "source:train-neutral"]
    assert [s.id for s in cross.samples("test")] == ["test-neutral", "test-anger"]
    assert cross.name == "a_to_b" and "2 classes" in cross.protocol


def test_one_class_in_common_is_too_few() -> None:
    with pytest.raises(UserError, match="two in common"):
        CrossDataSet(Labels("a", ("fear", "anger")), Labels("b", ("fear", "joy")))


def test_pictures_groups_and_sizes_come_from_their_own_side() -> None:
    source, target = DrawnFaces(SIZES), DrawnFaces(SIZES, domain="webcam")
    cross = CrossDataSet(source, target)
    ours, theirs = cross.samples("train")[3], cross.samples("test")[3]
    np.testing.assert_array_equal(cross.picture(ours), source.picture(source.samples("train")[3]))
    np.testing.assert_array_equal(cross.picture(theirs), target.picture(theirs))
    assert cross.groups(theirs) == target.groups(theirs) and cross.groups(ours) == {}


def test_workers_get_a_copy() -> None:
    cross = CrossDataSet(DrawnFaces(SIZES), DrawnFaces(SIZES, domain="webcam"))
    copy = pickle.loads(pickle.dumps(cross))
    sample = cross.samples("test")[2]
    np.testing.assert_array_equal(copy.picture(sample), cross.picture(sample))


def test_the_digest_follows_both_sides_but_training_only_the_source() -> None:
    source = DrawnFaces(SIZES)
    webcam = CrossDataSet(source, DrawnFaces(SIZES, domain="webcam"))
    archive = CrossDataSet(source, DrawnFaces(SIZES, domain="archive"))
    assert webcam.digest != archive.digest
    assert webcam.training_digest == archive.training_digest == source.training_digest
    fewer = CrossDataSet(Labels("a", ("fear", "anger", "joy")), Labels("b", ("fear", "anger")))
    assert fewer.training_digest != Labels("a", ("fear", "anger", "joy")).training_digest


def test_the_shipped_config_meets_the_checkpoints_of_the_default_one() -> None:
    cross, default = load(Path("cross.yaml")), load(Path("default.yaml"))
    sizes: dict[Split, int] = {"train": 14000, "val": 350, "test": 504}
    source = DrawnFaces(sizes)
    known = recipes(default, source)
    for key, chain in recipes(cross, CrossDataSet(source, Labels("b", source.classes))).items():
        assert chain == known[key], key


def test_a_run_trains_on_one_and_tests_on_the_other(picture_folder: Path, tmp_path: Path) -> None:
    content = {
        "precision": "float32",
        "data": {
            "kind": "cross",
            "train": {"kind": "faces", "train": 28, "val": 14, "test": 7},
            "test": {"kind": "folder", "root": str(picture_folder)},
        },
        "classifiers": {
            "tiny": {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 4}
        },
        "execution": {"workers": 1, "device": "cpu"},
    }
    out = tmp_path / "out"
    store = run(parse(content, "test"), out, Reporter(quiet=True))
    validation, manifest = (store.manifest(cell) for cell in store.planned())
    # What decisions learn comes from the data set that was trained on: its shared classes.
    assert validation is not None and validation.n == 4
    assert manifest is not None and manifest.n == 10 and manifest.cell.dataset == "faces_to_faces"
    assert manifest.classes == ["neutral", "happiness"]
    rows = store.rows(manifest)
    labels = {s.id: s.label for s in open_layout(Folder(root=picture_folder)).samples("test")}
    assert dict(zip(rows["sample_id"], rows["label"], strict=True)) == labels
    write_report(out)
    tables = (out / "report" / "tables.md").read_text()
    assert "n = 10, 2 classes" in tables
    assert "tested on faces: the folder's own split; the 2 classes that both have" in tables
