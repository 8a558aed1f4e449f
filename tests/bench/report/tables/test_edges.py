"""What has no number says so: missing cells, few samples, classifiers that are always right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_cells import CLASSES, CONDITIONS, STEPS, write_cell

from bench.report.figures.calibration import reliabilities
from bench.report.present import csv_text
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.report.tables import tables
from bench.store.cells import Cell
from bench.store.records import DatasetRecord
from bench.store.store import Store
from bench.util.errors import UserError

GRID = [*CONDITIONS, ("pgd", "1/255")]


def logits_of(labels: list[str], right: np.ndarray) -> np.ndarray:
    """Of decisions that are right where asked, else the next class."""
    truth = np.array([CLASSES.index(label) for label in labels])
    return 3.0 * np.eye(3)[np.where(right, truth, (truth + 1) % 3)]


class Maker:
    def __init__(self, root: Path) -> None:
        self.store, self.cells = Store(root), []

    def add(self, name: str, share: float, n: int = 40, classes=CLASSES, **more) -> None:
        """All conditions of a classifier that recognises this share, at random."""
        cells = more.pop("cells", GRID)
        labels = [classes[i % len(classes)] for i in range(n)]
        for i, (perturbation, severity) in enumerate(cells):
            draw = np.random.default_rng([i, len(name), more.get("seed", 0)])
            right = draw.random(n) < share
            logits = more.get("logits", logits_of(labels, right))
            errors = None
            if name.startswith("emodc"):
                errors = np.repeat(1 - 0.1 * logits[:, :, None], STEPS, axis=2)
            kept = {k: v for k, v in more.items() if k != "logits"}
            cell = (name, perturbation, severity, logits, labels, errors)
            self.cells.append(write_cell(self.store, *cell, **kept))

    def tables(self, reference: str | None = None) -> dict[str, TableSpec]:
        self.store.write_plan(self.cells, {})
        found = tables(read(self.store.root), self.store, reference)
        for spec in found:
            assert not {"nan", "inf", "-inf"} & set(csv_text(spec).replace("[", " ").split())
        return {spec.name.removeprefix("faces-"): spec for spec in found}


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "out")


def cell(spec: TableSpec, classifier: str, column: str):
    row = next(row for row in spec.rows if row[0] == classifier)
    return row[next(i for i, name in enumerate(spec.header) if name.startswith(column))]


def test_one_sample(make: Maker) -> None:
    make.add("net", 1.0, n=1)
    make.add("emodc", 0.0, n=1)
    found = make.tables()
    assert str(cell(found["corruptions"], "net", "clean")) == "100.0 [20.7, 100.0]"
    assert cell(found["corruptions"], "net", "relative drop") is None
    assert cell(found["corruption-errors"], "emodc", "mCE") is None
    assert "error cannot be told from 0 under fog, blur" in found["corruption-errors"].about
    assert cell(found["calibration"], "net", "NLL").interval is None
    assert "groups-class" not in found  # a single class has no gap


def test_always_right_and_always_wrong(make: Maker) -> None:
    make.add("net", 1.0)
    make.add("bad", 0.0)
    make.add("fair", 0.6)
    found = make.tables()
    drop = cell(found["corruptions"], "net", "relative drop")
    assert str(drop) == "0.0"
    assert cell(found["corruptions"], "bad", "relative drop") is None
    # A reference without errors is no unit, not even for itself.
    assert cell(found["corruption-errors"], "net", "mCE") is None
    assert cell(found["curves"], "bad", "half drop") is None
    assert cell(found["curves"], "net", "half drop").startswith("> 2")
    assert str(cell(found["curves"], "net", "area")) == "100.0 [91.2, 100.0]"
    assert cell(found["consistency"], "bad", "net") is None
    assert cell(make.tables("bad")["corruption-errors"], "net", "mCE").number == "0.0"
    accuracy = cell(found["calibration"], "net", "accuracy")
    assert str(accuracy) == "100.0 [89.3, 100.0]"  # Wilson's of 32


def test_two_that_are_always_right_have_no_consistency(make: Maker) -> None:
    make.add("net", 1.0)
    make.add("other", 1.0)
    spec = make.tables()["consistency"]
    assert cell(spec, "other", "net") is None


def test_logits_that_are_no_numbers_are_left_out_and_counted(make: Maker) -> None:
    labels = [CLASSES[i % 3] for i in range(40)]
    logits = logits_of(labels, np.arange(40) % 4 > 0)
    logits[[3, 5], 1] = np.nan
    make.add("net", 1.0, logits=logits)
    make.add("none", 1.0, logits=np.full((40, 3), np.inf))
    spec = make.tables()["calibration"]
    assert cell(spec, "net", "n") == "38" and cell(spec, "none", "n") == "0"
    assert cell(spec, "none", "NLL") is None
    assert "net 2 of 40 (clean), net 2 of 40 (strongest severity), none 40 of 40" in spec.about


def test_a_figure_of_calibration_has_the_errors_of_its_table(make: Maker) -> None:
    """Of two seeds under four corruptions, some pictures without logits: a mean of eight ECEs."""
    grid = [("clean", "0"), *((f"c{i}", "1") for i in range(4))]
    for seed in (0, 1):
        for i, cell_of in enumerate(grid):
            logits = np.random.default_rng([seed, i]).normal(size=(40, 3)) * 2
            if i == 2:
                logits[seed] = np.nan
            make.add("net", 0.5, logits=logits, cells=[cell_of], seed=seed)
    spec = make.tables()["calibration"]
    rows = {row[1]: row[spec.header.index("ECE")] for row in spec.rows}
    curves = reliabilities(read(make.store.root).groups[0], "net")
    assert [f"{curve.error:.3f}" for curve in curves] == [
        str(rows["clean"]), str(rows["strongest severity"]),
    ]  # fmt: skip
    assert [curve.excluded for curve in curves] == [0, 2]
    assert [curve.bins.n.sum() for curve in curves] == [2 * 40, 8 * 38]
    assert curves[1].error > curves[1].bins.error + 0.01  # pooled bins would have another


def test_a_missing_severity_leaves_means_out_and_says_why(make: Maker) -> None:
    make.add("net", 0.7)
    make.add("other", 0.6, cells=[c for c in GRID if c != ("fog", "2")])
    found = make.tables()
    assert cell(found["corruptions"], "other", "fog") is None
    assert cell(found["corruptions"], "other", "mean") is None
    assert cell(found["corruptions"], "other", "blur") is not None
    for name in ("corruptions", "corruption-errors", "curves", "calibration", "groups-class"):
        assert "Left out: fog lacks severities: other." in found[name].about, name
    assert cell(found["corruption-errors"], "other", "CE % blur") is not None
    assert cell(found["corruption-errors"], "other", "mCE") is None


def test_other_pictures_are_not_compared(make: Maker) -> None:
    make.add("net", 0.7)
    make.add("other", 0.6, n=39)
    found = make.tables()
    assert cell(found["corruption-errors"], "other", "mCE") is None
    assert cell(found["consistency"], "other", "net") is None
    assert "of other pictures have no numbers: other." in found["corruption-errors"].about


def test_a_class_without_pictures_has_no_recall(make: Maker) -> None:
    make.add("net", 0.7, n=80, classes=CLASSES[:2])
    header = make.tables()["groups-class"].header
    assert header[3:] == ("happy (n 40)", "sad (n 40)", "gap")


def test_an_attribute_may_have_the_name_of_the_class(make: Maker) -> None:
    make.add("net", 0.7)
    halves = ["upper", "lower"]
    record = DatasetRecord(
        name="faces", digest="d1", kind="drawn", synthetic=True, classes=CLASSES,
        counts={s: dict.fromkeys(CLASSES, 1) for s in ("train", "val", "test")}, height=(1, 1),
        width=(1, 1), groups={"class": halves, "flat": ["all"]}, skipped=0,
    )  # fmt: skip
    ids = [f"s{i:03d}" for i in range(40)]
    values = {"class": [halves[i >= 20] for i in range(40)], "flat": "all"}
    labels = [CLASSES[i % 3] for i in range(40)]
    make.store.write_dataset(record, pd.DataFrame({"sample_id": ids, "label": labels} | values))
    found = make.tables()
    assert found["groups-class"].header[3:-1] == ("happy (n 14)", "sad (n 13)", "angry (n 13)")
    assert found["groups-class-recorded"].header[3:-1] == ("upper (n 20)", "lower (n 20)")
    # An attribute that does not divide the pictures has no groups.
    assert found["gaps"].header[3:] == ("class", "class (recorded)")


def test_the_reference_is_named_or_the_first_discriminative_one(make: Maker) -> None:
    make.add("emodc", 0.8)
    make.add("net", 0.7)
    make.add("other", 0.6)
    assert "mCE % (net)" in make.tables()["corruption-errors"].header
    assert "mCE % (other)" in make.tables("other")["corruption-errors"].header
    with pytest.raises(UserError, match="other"):
        make.tables("othr")


def test_seeds_are_resampled_with_pictures(make: Maker) -> None:
    for seed in (0, 1, 2):
        make.add("net", 0.7, seed=seed)
        make.add("other", 0.5, seed=seed)
    make.add("mine", 0.6)
    found = make.tables()
    assert cell(found["corruption-errors"], "other", "seeds") == "3"
    assert cell(found["corruption-errors"], "other", "mCE").interval is not None
    # Trained otherwise than the reference, so it is measured in its mean over seeds.
    assert cell(found["corruption-errors"], "mine", "mCE").interval is not None
    assert "Other training seeds are measured in its mean" in found["corruption-errors"].about
    assert cell(found["consistency"], "other", "net").interval is not None
    assert cell(found["consistency"], "mine", "net") is None


def test_a_mean_over_seeds_is_one_of_rows(make: Maker) -> None:
    for seed in (0, 1):
        make.add("net", 0.7, seed=seed)
        make.add("emodc", 0.5, seed=seed)
    found = make.tables()
    each = [
        [
            (rows["label"] != rows["prediction"]).mean()
            for c in make.cells
            if (c.classifier, c.perturbation) == (name, "fog")
            and (rows := make.store.rows(make.store.manifest(c))) is not None
        ]
        for name in ("emodc", "net")
    ]
    shown = cell(found["corruption-errors"], "emodc", "CE % fog").value
    assert shown == pytest.approx(100 * np.sum(each[0]) / np.sum(each[1]))
    assert {row[0] for row in found["steps"].rows} == {"net", "emodc"}


def test_several_data_sets(make: Maker) -> None:
    make.add("net", 0.7)
    make.add("net", 0.5, n=60, dataset="real")
    make.add("only", 0.5, n=60, dataset="real")
    spec = make.tables()["across"]
    columns = ("faces (3 classes, n 40)", "real (3 classes, n 60)")
    assert spec.header == ("classifier", "measure", *columns)
    assert [row[0] for row in spec.rows] == ["net", "net", "only", "only"]
    assert spec.rows[2][2] is None
    right = [
        (rows := make.store.rows(make.store.manifest(c)))["label"].eq(rows["prediction"]).mean()
        for c in make.cells
        if c.perturbation == "clean"
    ]
    assert [v.value for v in (*spec.rows[0][2:], spec.rows[2][3])] == pytest.approx(right)


def test_a_store_without_records_or_traces(make: Maker) -> None:
    make.add("net", 0.7)
    found = make.tables()
    assert "no record of faces" in found["datasets"].about
    assert "steps" not in found
    assert "groups-class" in found and "gaps" not in found  # one attribute has its gap there


def test_a_planned_cell_that_never_ran(make: Maker) -> None:
    make.add("net", 0.7)
    make.cells.append(Cell(**(make.cells[0].model_dump() | {"id": "x", "classifier": "late"})))
    found = make.tables()
    assert cell(found["corruption-errors"], "late", "mCE") is None
    assert cell(found["curves"], "late", "area") is None
