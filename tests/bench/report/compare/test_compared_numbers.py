"""Numbers of a comparison, recomputed from the outcomes."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from comparisons import CELLS, SKILL, N, compared, outcomes
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bench.report.compare import pair, sides
from bench.stats import sign_flip, tango
from bench.stats.bootstrap import two_level_difference


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_by_scipy_and_statsmodels(run: Path, cell: tuple[str, str]) -> None:
    a, b = (np.array(outcomes(name, *cell)) for name in SKILL)
    row = compared("net", "other", run)[" ".join(cell) if cell[0] != "clean" else "clean"]
    assert (row.n, row.cells, row.seeds) == (N, 1, 1)
    for own, right in ((row.first, a), (row.second, b)):
        low, high = proportion_confint(right.sum(), N, method="wilson")
        assert own.value == right.mean()
        assert (own.interval.low, own.interval.high) == pytest.approx((low, high))
    assert row.difference.value == pytest.approx(b.mean() - a.mean())
    counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert row.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
    bootstrapped = stats.bootstrap(
        (b.astype(float) - a,), np.mean, method="percentile", n_resamples=9999, rng=0
    ).confidence_interval
    # The bench's interval is wider by a correction for few samples, about 2 % at 60.
    ends = row.difference.interval.low, row.difference.interval.high
    assert ends == pytest.approx(tuple(bootstrapped), abs=0.02)


def test_means_count_a_picture_once(run: Path) -> None:
    rows = compared("net", "other", run)
    assert list(rows) == [
        "clean", "noise 1", "noise 2", "noise mean", "blur 1", "corruptions mean", "pgd 1/255",
    ]  # fmt: skip
    cells = CELLS[1:4]
    a, b = (np.array([outcomes(name, *cell) for cell in cells], float) for name in SKILL)
    row, shares = rows["corruptions mean"], b.mean(axis=0) - a.mean(axis=0)
    assert (row.n, row.cells) == (N, 3)
    assert row.difference.value == pytest.approx(shares.mean())
    assert row.first.value == pytest.approx(a.mean())
    interval = two_level_difference(b.mean(axis=0)[None], a.mean(axis=0)[None])
    assert row.difference.interval.low == pytest.approx(interval.low)
    flips = stats.permutation_test(
        (shares, np.zeros(N)), lambda x, y, axis: (x - y).mean(axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=5_000, rng=0,
    )  # fmt: skip
    assert row.p == pytest.approx(flips.pvalue, abs=0.02)


def test_p_values_are_adjusted_over_all_rows(run: Path) -> None:
    rows = list(compared("net", "other", run).values())
    expected = multipletests([row.p for row in rows], method="holm")[1]
    assert [row.difference.p for row in rows] == pytest.approx(list(expected))


def test_the_detectable_difference_solves_connors_equation(run: Path) -> None:
    rows = compared("net", "other", run)
    row = rows["clean"]
    a, b = (np.array(outcomes(name, "clean", "0")) for name in SKILL)
    psi, d = (a != b).mean(), row.detectable
    z = stats.norm.isf(0.05 / len(rows) / 2) * np.sqrt(psi)
    needed = ((z + stats.norm.isf(0.2) * np.sqrt(psi - d**2)) / d) ** 2
    assert needed == pytest.approx(N)


def test_uar_weighs_classes_alike(new_build) -> None:
    build = new_build("unbalanced")
    # Labels 0, 1, 2, 0, ...: of 61 pictures class 0 has 21, the others 20.
    build.add("net", "clean", "0", [True] * 61)
    build.add("other", "clean", "0", [i % 3 != 0 for i in range(61)])
    row = compared("net", "other", build.plan())["clean"]
    assert row.difference.value == pytest.approx(-21 / 61)
    assert row.uar.value == pytest.approx(-1 / 3)
    assert row.uar.interval.low < -1 / 3 < row.uar.interval.high


def test_few_discordant_pictures_have_no_interval_of_uar(new_build) -> None:
    build = new_build("few")
    build.add("net", "clean", "0", [True] * 61)
    build.add("other", "clean", "0", [i > 3 for i in range(61)])
    row = compared("net", "other", build.plan())["clean"]
    assert row.uar is None and row.difference.interval == tango(0, 4, 61)


def test_seeds_that_both_have(seeds: Path) -> None:
    row = compared("net", "other", seeds)["clean"]
    a, b = (np.array([outcomes(c, "clean", "0", s) for s in (0, 2)], float) for c in SKILL)
    assert row.seeds == 2
    assert row.difference.value == pytest.approx((b - a).mean())
    interval = two_level_difference(b, a)
    assert row.difference.interval.low == pytest.approx(interval.low)
    flips = stats.permutation_test(
        ((b - a).sum(axis=0), np.zeros(N)), lambda x, y, axis: (x - y).sum(axis=axis),
        vectorized=True, permutation_type="samples", n_resamples=5_000, rng=0,
    )  # fmt: skip
    assert row.p == pytest.approx(flips.pvalue, abs=0.02)


def test_a_single_training_meets_one_of_another_seed(new_build) -> None:
    for seed in (0, 1):
        build = new_build(f"one-{seed}")
        build.add("net", "clean", "0", outcomes("net", "clean", "0", seed), seed=seed, run_seed=7)
        build.plan()
    pairing = pair(*sides(str(build.root.parent / "one-0"), str(build.root), Path()))
    assert pairing.pairs[0].seeds == ((0, 1),)


@pytest.mark.parametrize("differences", [[1, -1, 2, 0, 3], [0, 0], [3, 3, 3], [-2, 1, 1, 5, 1, 1]])
def test_sign_flips_enumerated(differences: list[int]) -> None:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = np.abs(signs @ differences)
    assert sign_flip(differences) == pytest.approx((sums >= abs(sum(differences))).mean())


def test_sign_flips_of_single_outcomes_are_mcnemar() -> None:
    for gained, lost in ((0, 0), (3, 0), (40, 13), (7, 7), (400, 250)):
        counts = [[0, gained], [lost, 5]]
        expected = mcnemar(counts, exact=True).pvalue if gained + lost else 1
        found = sign_flip([1] * gained + [-1] * lost + [0] * 5)
        assert found == pytest.approx(expected, rel=1e-9)


def test_no_difference_is_no_test() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sign_flip([])


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([True], [False], "not distinguishable"),
        ([True] * 40, [True] * 40, "not distinguishable"),
        ([False] * 40, [True] * 40, "better"),
        ([None] * 40, [False] * 40, "not distinguishable"),
    ],
)
def test_extremes_have_an_outcome(new_build, a, b, verdict: str) -> None:
    build = new_build("extremes")
    build.add("net", "clean", "0", a)
    build.add("other", "clean", "0", b)
    row = compared("net", "other", build.plan())["clean"]
    assert row.verdict == verdict
    interval = row.difference.interval
    assert -1 <= interval.low <= row.difference.value <= interval.high <= 1
    json.dumps(vars(interval), allow_nan=False)
