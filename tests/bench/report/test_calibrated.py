"""Logits calibrated on validation pictures: factors, rows of the table, the curve, the card."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_cells import CLASSES, STEPS, write_cell
from scipy import optimize
from scipy.special import log_softmax, softmax

from bench import stats as metrics
from bench.report.cards import calibration
from bench.report.figures.calibration import calibration_drawings, reliabilities
from bench.report.outcomes import Number
from bench.report.results import ResultSet, read
from bench.report.spec import TableSpec, Value, sweeps
from bench.report.tables.calibration import calibration_table, factors_of, forecasts_of, pooled
from bench.store.store import Store

N, SCALE = 240, {"net": 0.5, "emodc": 3.0}
GRID = [("clean", "0"), ("fog", "1"), ("fog", "2")]


def made_up(root: Path, seeds: Sequence[int] = (0,)) -> ResultSet:
    """Labels drawn from softmax(SCALE * logits): that factor is the right one."""
    store, cells = Store(root), []
    grid = [("clean", "0", True), *((*condition, False) for condition in GRID)]
    for name, scale in SCALE.items():
        for seed in seeds:
            for i, (perturbation, severity, validation) in enumerate(grid):
                draw = np.random.default_rng([seed, i])
                logits = draw.normal(size=(N, 3)).astype(np.float32) * 2 / scale
                chances = softmax(scale * logits, axis=1).cumsum(axis=1)
                labels = (draw.random(N)[:, None] > chances).sum(axis=1).clip(0, 2)
                errors = None
                if name == "emodc":
                    errors = np.repeat(-logits[:, :, None], STEPS, axis=2)
                content = (logits, [CLASSES[k] for k in labels], errors)
                of = {"seed": seed, "validation": validation}
                cells.append(write_cell(store, name, perturbation, severity, *content, **of))
    store.write_plan(cells, {})
    return read(root).groups[0]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    return made_up(tmp_path_factory.mktemp("store"))


def values(spec: TableSpec, classifier: str, pictures: str) -> dict[str, Value]:
    row = next(row for row in spec.rows if row[:2] == (classifier, pictures))
    return dict(zip(spec.header, row, strict=True))


def best_factor(group: ResultSet, classifier: str) -> float:
    (own,) = (r.outcomes for r in group.validation if r.cell.classifier == classifier)

    def loss(factor: float) -> float:
        return -log_softmax(factor * own.logits, axis=1)[np.arange(N), own.labels].mean()

    return float(optimize.minimize_scalar(loss, bounds=(0, 30), method="bounded").x)


def test_factors_have_the_least_loss_on_validation_pictures(group: ResultSet) -> None:
    for classifier, scale in SCALE.items():
        found = factors_of(group, classifier, [0])
        assert found is not None and found.n == N and not found.held
        assert found.each[0] == pytest.approx(best_factor(group, classifier), rel=1e-3)
        number = found.number
        assert number.interval is not None
        assert number.interval.low < scale < number.interval.high
        assert number.interval.high < 1.5 * number.value


def test_the_interval_is_that_of_resampled_validation_pictures(group: ResultSet) -> None:
    draw, found = np.random.default_rng(5), factors_of(group, "net", [0])
    own = next(r.outcomes for r in group.validation if r.cell.classifier == "net")
    factors = []
    for _ in range(300):
        picked = draw.integers(0, N, N)
        again = replace(own, logits=own.logits[picked], labels=own.labels[picked])
        results = (replace(group.validation[0], outcomes=again),)
        drawn = factors_of(replace(group, validation=results), "net", [0])
        assert drawn is not None
        factors.append(drawn.each[0])
    assert found is not None and found.number.interval is not None
    width = found.number.interval.high - found.number.interval.low
    assert width == pytest.approx(2 * 1.96 * np.std(factors), rel=0.15)


def test_the_table_has_calibrated_rows(group: ResultSet) -> None:
    spec = calibration_table(group, sweeps(group))
    assert spec.header[-2:] == ("factor on logits", "ECE ratio")
    names = ["clean", "clean, calibrated", "strongest severity", "strongest severity, calibrated"]
    assert [row[1] for row in spec.rows] == 2 * names
    for classifier in SCALE:
        plain, better = (values(spec, classifier, name) for name in names[:2])
        (clean,) = group.clean(classifier).each
        given = metrics.forecasts(best_factor(group, classifier) * clean.logits, clean.labels)
        assert better["NLL"].value == pytest.approx(metrics.nll(given), rel=1e-3)
        assert better["NLL"].value < plain["NLL"].value
        # A bin's edge may pass between two pictures whose factors differ by rounding.
        assert better["ECE"].value == pytest.approx(metrics.ece(given), abs=0.005)
        ratio = better["ECE"].value / plain["ECE"].value
        assert better["ECE ratio"].value == pytest.approx(ratio)
        assert plain["factor on logits"] is None and plain["ECE ratio"] is None
        assert isinstance(better["factor on logits"], Number)
        severe = values(spec, classifier, names[3])
        assert severe["factor on logits"] == better["factor on logits"]
    assert f"least NLL of {N} clean pictures of the validation split" in spec.about
    assert "fit: " not in spec.about and "no interval." not in spec.about


def test_a_classifier_without_validation_pictures_has_no_calibrated_rows(group: ResultSet) -> None:
    part = replace(group, validation=tuple(r for r in group.validation if r.name == "net"))
    spec = calibration_table(part, sweeps(part))
    assert [row[0] for row in spec.rows] == ["net"] * 4 + ["emodc"] * 2
    assert "Without results on validation pictures to fit: emodc." in spec.about
    bare = replace(group, validation=())
    spec = calibration_table(bare, sweeps(bare))
    assert len(spec.rows) == 4 and "factor on logits" not in spec.header
    assert "Calibrated" not in spec.about
    assert len(reliabilities(bare, "net")) == 2


def test_each_training_has_its_own_factor(tmp_path: Path) -> None:
    full = made_up(tmp_path, seeds=(0, 1))
    both = factors_of(full, "net", [0, 1])
    assert both is not None and both.scores.shape == (2, N)
    assert both.each[0] != both.each[1]
    assert both.number.value == pytest.approx(np.mean(both.each))
    spec = calibration_table(full, sweeps(full))
    assert "validation split of each training" in spec.about
    lacking = replace(full, validation=full.validation[:1])
    assert factors_of(lacking, "net", [0, 1]) is None


def test_a_classifier_that_is_always_right_is_held(group: ResultSet) -> None:
    own = group.validation[0]
    logits = 3 * np.eye(3, dtype=np.float32)[own.outcomes.labels]
    right = replace(own, outcomes=replace(own.outcomes, logits=logits))
    part = replace(group, validation=(right,))
    found = factors_of(part, "net", [0])
    assert found is not None and found.held and found.number.interval is None
    given = forecasts_of([right.outcomes], found)[0]
    assert given.confidence.mean() == pytest.approx((N + 1) / (N + 2))
    caption = calibration_table(part, sweeps(part)).about
    assert "A factor held at the confidence" in caption


def test_what_cannot_be_fitted_has_no_factor(group: ResultSet) -> None:
    own = group.validation[0]
    flat = replace(own.outcomes, logits=np.zeros((N, 3), np.float32))
    lost = replace(own.outcomes, logits=np.full((N, 3), np.nan, np.float32))
    for outcomes in (flat, lost):
        part = replace(group, validation=(replace(own, outcomes=outcomes),))
        assert factors_of(part, "net", [0]) is None


def test_the_figure_has_a_calibrated_curve(group: ResultSet) -> None:
    curves = reliabilities(group, "emodc")
    assert [curve.condition for curve in curves] == [0, 1, 2]
    spec = calibration_table(group, sweeps(group))
    expected = values(spec, "emodc", "clean, calibrated")["ECE"]
    assert curves[2].error == pytest.approx(expected.value)
    (drawing,) = calibration_drawings(group)
    assert "emodc, clean, calibrated: ECE" in drawing.alt
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend == ["clean", "fog 2", "clean, calibrated", "perfectly calibrated"]
    assert "fitted on validation pictures" in drawing.caption


def test_the_card_names_the_factor(group: ResultSet) -> None:
    own = replace(group, names={"net": "net"})
    text = calibration(own)
    factors = factors_of(group, "net", [0])
    assert f"With logits times {factors.number}, fitted on {N} validation pictures" in text
    assert "With logits" not in calibration(replace(own, validation=()))


def test_pooled_forecasts_are_those_of_all_pictures(group: ResultSet) -> None:
    (clean,) = group.clean("net").each
    halves = [clean.at(np.arange(N) < 100), clean.at(np.arange(N) >= 100)]
    joined, whole = pooled(forecasts_of(halves)), forecasts_of([clean])[0]
    assert metrics.ece(joined) == pytest.approx(metrics.ece(whole))
    assert len(joined.labels) == N
