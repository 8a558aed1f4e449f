"""Curves of cost: every rule for every classifier, recomputed by few-line code."""

from pathlib import Path

import numpy as np
import pytest
from made_up_traces import K, errors, labels, write_run, write_traces

from bench.report.figures.cost import cost_drawings
from bench.report.replay import DELTAS, cost_curves, mean_over_budgets
from bench.report.results import ResultSet, read
from bench.report.tables.cost import AREA, cost_table
from bench.stats import wilson
from bench.store.store import Store
from emodc.decisions.decide import decide
from emodc.decisions.rules import SequentialTest

N = 60
COST = {"picture": 0.0, "step": 2e6, "evaluation": 0.0}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The made-up run, and clean pictures of the classifier with views and of one without."""
    root = write_run(tmp_path)
    store = Store(root)
    cells = store.planned()
    for name in ("net", "other"):
        clean = write_traces(store, name, errors(50, steps=1), timesteps=[], flops=COST)
        manifest = store.manifest(clean)
        store.write_part(clean, 0, store.rows(manifest).assign(evaluations=1, d_p=np.nan))
        next(store.folder(clean).glob("trace-*")).unlink()
        store.write_manifest(manifest.model_copy(update={"files": None}))
        cells.append(clean)
    store.write_plan(cells, {})
    return root


@pytest.fixture
def group(out: Path) -> ResultSet:
    return read(out).groups[0]


def test_full_decisions_and_sequential_tests(out: Path, group: ResultSet) -> None:
    curves = cost_curves(group, Store(out))
    assert list(curves) == ["emodc", "net"]
    own, trace = curves["emodc"], errors(10).astype(float)
    assert [rule.label for rule in own.full] == [
        *("1 step", "2 steps", "5 steps", "10 steps", "25 steps", "all steps")
    ]
    assert [rule.decision.delta for rule in own.sequential] == list(DELTAS)
    for rule, steps in zip(own.full, ([20], [10, 30], [4, 12, 20, 28, 36]), strict=False):
        right = trace[:, :, steps].sum(axis=2).argmin(axis=1) == labels(N)
        assert rule.accuracy.value == pytest.approx(right.mean())
        assert rule.accuracy.interval == wilson(int(right.sum()), N)
        assert rule.flops.value == pytest.approx((5e6 + len(steps) * 1e6) / 1e9)
    assert own.profile and not own.views
    grid = np.tile(np.arange(40, dtype=np.int32) * 10, (N, 1))
    ids = [f"s{i:03d}" for i in range(N)]
    fit = next(iter(cost_curves(group, Store(out)).values()))
    assert fit is own  # replayed once for tables and figures
    plain = decide(errors(10), grid, SequentialTest(delta=0.01), ids)
    profiled = own.sequential[-2]
    assert profiled.evaluations.value != pytest.approx(plain.evaluations.mean())
    costs = [rule.evaluations.value for rule in own.sequential]
    assert costs == sorted(costs)


def test_rules_that_cannot_stop_early_are_left_out(out: Path, group: ResultSet) -> None:
    views = cost_curves(group, Store(out))["net"]
    assert [rule.label for rule in views.full] == [
        "1 augmentation",
        "2 augmentations",
        "4 augmentations",
        "all augmentations",
    ]
    assert views.views and not views.profile
    # 8 views are too few for stages from 20 steps on, and for a t-test after 20.
    assert {rule.decision.kind for rule in views.others} == {"threshold", "vote"}


def test_the_table_has_a_row_per_rule_and_an_area_per_classifier(
    out: Path, group: ResultSet
) -> None:
    spec = cost_table(group, Store(out))
    curves = cost_curves(group, Store(out))
    shown = [dict(zip(spec.header, row, strict=True)) for row in spec.rows]
    assert [(row["classifier"], row["rule"]) for row in shown] == [
        *(("emodc", rule.label) for rule in curves["emodc"].rules),
        *(("net", rule.label) for rule in curves["net"].rules),
        ("other", "as it is"),
    ]
    assert {row["classifier"] for row in shown if row[AREA] is not None} == {"emodc", "net"}
    whole = next(row for row in shown if row["rule"] == "all steps")
    assert whole["seconds/image"].value == pytest.approx(0.01)
    assert whole["evaluations/image"].value == 40 * K and whole["steps/image"].value == 40
    single = shown[-1]
    assert single["GFLOPs/image"].value == pytest.approx(0.002)
    assert "FLOPs between" in spec.caption
    # By trapezoids over the logarithm of the cost, from the cheapest of all to the dearest.
    points = curves["emodc"].full
    x = np.log([0.002, *(rule.flops.value for rule in points)])
    y = [rule.accuracy.value for rule in points]
    area = np.trapezoid(y, x[1:]) + (x[1] - x[0]) / K
    assert whole[AREA].value == pytest.approx(area / (x[-1] - x[0]))


def test_an_area_counts_guesses_before_and_the_last_accuracy_after() -> None:
    right = np.array([[1.0, 1, 0, 0]]), np.array([[1.0, 1, 1, 0]])
    found = mean_over_budgets([10, 100], right, (1, 1000), 0.25)
    assert found.value == pytest.approx((0.25 + (0.5 + 0.75) / 2 + 0.75) / 3)
    within = mean_over_budgets([1, 10, 100], [right[0], *right], (1, 10), 0.25)
    assert within.value == pytest.approx(0.5)


def test_figures_show_the_numbers_of_the_table(out: Path, group: ResultSet) -> None:
    curves = cost_curves(group, Store(out))
    overview, rules = cost_drawings(group, Store(out))
    (ax,) = overview.figure.axes
    assert ax.get_xscale() == "log" and "GFLOPs" in ax.get_xlabel()
    lines = [line.get_xydata() for line in ax.lines]
    full, sequential = curves["emodc"].full, curves["emodc"].sequential
    expected = [[rule.flops.value, 100 * rule.accuracy.value] for rule in full]
    np.testing.assert_allclose(lines[0], expected)
    expected = [[rule.flops.value, 100 * rule.accuracy.value] for rule in sequential]
    np.testing.assert_allclose(lines[1], expected)
    assert full[-1].accuracy.number in overview.alt and "other" in overview.alt
    above, missed = rules.figure.axes[0], rules.figure.axes[2]
    assert above.get_title() == "emodc" and len(rules.figure.axes) == 4
    found = [line.get_ydata() for line in missed.lines]
    expected = [100 - 100 * rule.agreement.value for rule in full[:-1]]
    np.testing.assert_allclose(found[0], expected)
    assert "majority vote" in rules.alt


def test_incomplete_or_absent_traces_leave_a_single_decision(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stopped = errors(1)
    stopped[0, 1, 5:] = np.nan
    cells = [write_traces(store, "emodc", errors(2)), write_traces(store, "stopped", stopped)]
    store.write_plan(cells, {})
    (group,) = read(tmp_path).groups
    spec = cost_table(group, store)
    assert spec.rows[-1][:2] == ("stopped", "as it is")
    assert "without a gap profile of validation pictures: emodc." in spec.about
    overview = next(cost_drawings(group, store))
    assert "evaluations" in overview.figure.axes[0].get_xlabel()  # FLOPs are unknown
    store.write_plan(cells[1:], {})
    lonely = Store(tmp_path / "other")
    lonely.write_plan([write_traces(lonely, "stopped", stopped)], {})
    (group,) = read(lonely.root).groups
    assert cost_table(group, lonely) is None and not list(cost_drawings(group, lonely))
