"""Figures of recall, groups, calibration and cost: the dots are what a few lines compute."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_cells import restated
from matplotlib.axes import Axes

from bench.report.figures.calibration import calibration_drawings, reliabilities
from bench.report.figures.cost import cost_drawings
from bench.report.figures.forest import conditions, group_drawings, recall_drawings, scores
from bench.report.results import ResultSet, read
from bench.stats import wilson
from bench.store.records import DatasetRecord
from bench.store.store import Store

N = 93  # 31 of each class
DRAWS = np.random.default_rng(3)
RIGHT = {name: (DRAWS.random(N) < p).tolist() for name, p in (("clean", 0.9), ("fog", 0.4))}


@pytest.fixture
def out(build) -> Path:
    build.add("net", "clean", "0", RIGHT["clean"])
    build.add("net", "fog", "1", [True] * N)
    build.add("net", "fog", "3", RIGHT["fog"])
    build.add("emodc", "clean", "0", RIGHT["clean"], d_p=[0.5] * N)
    return build.plan()


@pytest.fixture
def group(out: Path) -> ResultSet:
    return read(out).groups[0]


def dots(ax: Axes) -> list[tuple[float, float, bool]]:
    """(percent, height, hollow) of every dot."""
    return sorted(
        (float(x), round(float(y), 6), line.get_markerfacecolor() == "white")
        for line in ax.lines
        if line.get_linestyle() == "None"
        for x, y in line.get_xydata()
    )


def share(condition: str, chosen: np.ndarray) -> float:
    return 100 * float(np.mean(np.array(RIGHT[condition])[chosen]))


def test_recall_is_clean_and_at_the_strongest(group: ResultSet) -> None:
    (drawing,) = recall_drawings(group)
    (ax,) = drawing.figure.axes  # emodc has no corruption
    labels = np.arange(N) % 3
    expected = [
        (share(condition, labels == place), place + aside, False)
        for condition, aside in (("clean", -0.14), ("fog", 0.14))
        for place in range(3)
    ]
    np.testing.assert_allclose(dots(ax), sorted(expected), atol=1e-5)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["happy (31)", "sad (31)", "angry (31)"]
    ends = ax.collections[0].get_segments()[0][:, 0]
    interval = wilson(sum(np.array(RIGHT["clean"])[labels == 0]), 31)
    np.testing.assert_allclose(ends, [100 * interval.low, 100 * interval.high])
    whole = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(whole, [share("clean", labels >= 0), share("fog", labels >= 0)])


def test_recall_knows_classes_by_name(build) -> None:
    """Classifiers may have their logits in different orders."""
    build.add("net", "fog", "1", RIGHT["fog"])
    build.add("other", "fog", "1", RIGHT["fog"], classes=["angry", "happy", "sad"])
    (drawing,) = recall_drawings(read(build.plan()).groups[0])
    one, other = drawing.figure.axes
    labels = np.arange(N) % 3
    assert dots(one) == dots(other)
    expected = sorted((share("fog", labels == k), float(k), False) for k in range(3))
    np.testing.assert_allclose(dots(one), expected)


def test_a_mean_over_corruptions_counts_a_picture_once(build) -> None:
    each = {f"c{i}": (np.random.default_rng(i).random(N) < 0.5).tolist() for i in range(4)}
    for name, right in each.items():
        build.add("net", name, "1", right)
    group = read(build.plan()).groups[0]
    (only,) = conditions(group)
    assert only.name == "4 corruptions, strongest"
    found = scores(only.of(group, "net")).among(np.arange(N) < 40)
    assert found is not None and found.n == 40
    mean = float(np.mean([right[:40] for right in each.values()]))
    assert found.accuracy.value == pytest.approx(mean)
    assert found.accuracy.interval == wilson(mean * 40, 40)


def test_a_missing_corruption_leaves_a_gap_in_the_mean(build) -> None:
    for i in range(4):
        build.add("net", f"c{i}", "1", [True] * 3)
    build.add("mine", "c0", "1", [True] * 3)
    group = read(build.plan()).groups[0]
    assert conditions(group)[0].of(group, "mine") == []


def described(out: Path, group: ResultSet) -> Store:
    """The store with two groups of 10 and 83 pictures."""
    store = Store(out)
    record = DatasetRecord(
        name="faces", digest="abc", kind="drawn", synthetic=True, classes=group.classes,
        counts={s: {} for s in ("train", "val", "test")}, height=(1, 1), width=(1, 1),
        groups={"glasses": ["with", "without"]}, skipped=0,
    )  # fmt: skip
    ids = [f"s{i:03d}" for i in range(N)]
    values = ["with" if i < 10 else "without" for i in range(N)]
    cycled = [["happy", "sad", "angry"][i % 3] for i in range(N)]
    samples = pd.DataFrame({"sample_id": ids, "label": cycled, "glasses": values})
    store.write_dataset(record, samples)
    store.write_plan([restated(store, c, inputs={"data": "abc"}) for c in store.planned()], {})
    return store


def test_groups_below_thirty_pictures_are_hollow(out: Path, group: ResultSet) -> None:
    store = described(out, group)
    (drawing,) = group_drawings(read(out).groups[0], store)
    ax = drawing.figure.axes[0]
    few, place = np.arange(N) < 10, {"clean": -0.14, "fog": 0.14}
    expected = [(share(c, few), y, True) for c, y in place.items()]
    expected += [(share(c, ~few), 1 + y, False) for c, y in place.items()]
    np.testing.assert_allclose(dots(ax), sorted(expected), atol=1e-5)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["glasses: with (10)", "without (83)"]
    assert "fewer than 30" in drawing.caption
    assert list(group_drawings(group, Store(out / "elsewhere"))) == []


def test_reliability_is_accuracy_by_confidence(build) -> None:
    build.add("net", "clean", "0", RIGHT["clean"])
    out = build.plan()
    group = read(out).groups[0]
    (curve,) = reliabilities(group, "net")
    # The rows' logits are all 0: one bin, with confidence 1/3; a tie is an error.
    held = curve.bins.n > 0
    assert curve.bins.n[held].tolist() == [N]
    assert curve.bins.confidence[held] == pytest.approx(1 / 3)
    (drawing,) = calibration_drawings(group)
    above, below = drawing.figure.axes
    x, y = above.lines[1].get_xydata()[0]
    assert (x, y) == pytest.approx((100 / 3, 100 * curve.bins.accuracy[held][0]))
    assert above.get_title() == f"net\nECE {100 * curve.bins.error:.1f}%"
    assert max(below.patches[0].get_data().values) == 100


def test_cost_is_on_a_logarithmic_axis_and_others_are_points(out: Path, group: ResultSet) -> None:
    drawing = next(cost_drawings(group, Store(out)))
    (ax,) = drawing.figure.axes
    assert ax.get_xscale() == "log"
    lines = [line.get_xydata() for line in ax.lines]
    np.testing.assert_allclose(lines[0], [[1, share("clean", np.arange(N) >= 0)]])
    # The traces are all zeros: every picture ties. Two steps cost the 6 evaluations of the rows.
    np.testing.assert_allclose(lines[1], [[3, 0], [6, 0]])
