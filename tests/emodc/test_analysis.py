"""Each estimator against a closed form, scipy or a count, on simulated traces."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from emodc import analysis

N, K, S = 40, 4, 12


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def labels(draws: np.random.Generator) -> np.ndarray:
    return draws.integers(0, K, N)


@pytest.fixture
def errors(draws: np.random.Generator) -> np.ndarray:
    return draws.random((N, K, S)).astype(np.float32)


def test_prompt_means_are_those_of_a_loop(errors: np.ndarray, labels: np.ndarray) -> None:
    null = errors[:, 0] + 1
    found = analysis.prompt_means(errors, labels, {"null": null})
    assert list(found) == ["positive", "negative", "null"]
    for i, label in enumerate(labels):
        wrong = [errors[i, k].mean(dtype=float) for k in range(K) if k != label]
        assert found["positive"][i] == pytest.approx(errors[i, label].mean(dtype=float))
        assert found["negative"][i] == pytest.approx(np.mean(wrong))
        assert found["null"][i] == pytest.approx(errors[i, 0].mean(dtype=float) + 1)


def test_labels_that_are_no_classes_are_refused(errors: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{N} indices of {K} classes"):
        analysis.prompt_means(errors, labels + 1)
    with pytest.raises(ValueError, match="indices"):
        analysis.gaps(errors[:3], labels[:1])


def test_correlation_has_fishers_interval(draws: np.random.Generator) -> None:
    x = draws.normal(size=30)
    y = x + draws.normal(size=30)
    found = analysis.correlation(x, y)
    assert found is not None and found.n == 30
    r = np.corrcoef(x, y)[0, 1]
    half = 1.959964 / np.sqrt(27)
    assert found.value == pytest.approx(r)
    assert (found.low, found.high) == pytest.approx(
        (np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)), abs=1e-6
    )


def test_correlation_of_equals_is_one_and_of_constants_nothing() -> None:
    x = np.array([0.1, 0.2, 0.4, 0.5, 0.7])
    found = analysis.correlation(x, x)
    assert found is not None and found.value == found.low == found.high == pytest.approx(1)
    assert analysis.correlation(x, np.full(5, 0.3)) is None
    assert analysis.correlation(x[:3], x[:3]) is None


def test_the_mean_has_students_interval(draws: np.random.Generator) -> None:
    values = draws.normal(2, 3, 25)
    found = analysis.mean(np.append(values, np.nan))
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found is not None and found.n == 25
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert analysis.mean(values[:1]) is None


def test_bins_hold_their_steps_also_where_pictures_differ() -> None:
    edges = analysis.timestep_bins(0, 500, 5)
    assert edges.tolist() == [0, 100, 200, 300, 400, 500]
    timesteps = np.array([[0, 99, 100, 499], [250, 260, 270, 280]])
    values = np.arange(16, dtype=np.float32).reshape(2, 2, 4)
    binned = analysis.bin_means(values, timesteps, edges)
    nan = np.nan
    np.testing.assert_array_equal(
        binned,
        [
            [[0.5, 2, nan, nan, 3], [4.5, 6, nan, nan, 7]],
            [[nan, nan, 9.5, nan, nan], [nan, nan, 13.5, nan, nan]],
        ],
    )
    np.testing.assert_array_equal(analysis.bin_means(values[:, 1], timesteps, edges), binned[:, 1])
    assert len(analysis.timestep_bins(0, 3, 10)) == 4


def test_gaps_and_decisions_by_hand() -> None:
    means = np.array([[0.5, 0.4, 0.9], [0.5, 0.4, 0.9], [0.4, 0.4, 0.9]])
    labels = np.array([1, 0, 0])
    np.testing.assert_allclose(analysis.gaps(means, labels), [[0.1, 0.5], [-0.1, 0.4], [0, 0.5]])
    assert analysis.decisions_right(means, labels).tolist() == [True, False, False]  # a tie last


def test_bin_accuracy_is_the_argmin_of_each_bin_with_wilsons_interval(
    errors: np.ndarray, labels: np.ndarray
) -> None:
    errors[:, :, 6:] += np.eye(K)[labels][:, :, None]  # the late half is always wrong
    timesteps = np.tile(np.arange(S) * 10, (N, 1))
    timesteps[:15, :4] = 115  # these pictures start late
    edges = np.array([0, 40, 60, 120, 130])
    binned = analysis.bin_means(errors, timesteps, edges)
    first, second, third, empty = analysis.bin_accuracy(binned, labels)
    hits = int((errors[15:, :, :4].mean(axis=2).argmin(axis=1) == labels[15:]).sum())
    expected = stats.binomtest(hits, N - 15).proportion_ci(method="wilson")
    assert first is not None and first.n == N - 15 and first.value == hits / (N - 15)
    assert (first.low, first.high) == pytest.approx((expected.low, expected.high))
    assert second is not None and second.n == N
    assert third is not None and third.value < 0.2
    assert empty is None


def test_separation_of_a_known_gap() -> None:
    gap = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    found = analysis.separation(gap)
    assert found is not None and found.n == 4
    assert found.value == pytest.approx(2.5 / np.sqrt(5 / 3))
    assert analysis.separation(np.full(9, 0.25)) is None
    assert analysis.separation(gap[:3]) is None


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_separation_covers_the_truth(draws: np.random.Generator, shape: str) -> None:
    """2000 data sets of 200 pictures: a 95 % interval holds the true d' nearly as often."""
    if shape == "normal":
        data, truth = draws.normal(1.5, 1, (2000, 200)), 1.5
    else:  # a gamma's mean over its standard deviation is the root of its shape
        data, truth = draws.gamma(4, 1, (2000, 200)), 2.0
    found = [analysis.separation(row) for row in data]
    covered = np.mean([f is not None and f.low <= truth <= f.high for f in found])
    assert 0.92 < covered < 0.97


def test_margins_split_by_difficulty_and_count_what_is_kept() -> None:
    d_p = np.linspace(0.1, 0.9, 9)
    labels = np.zeros(9, dtype=int)
    # Wrong classes are 20 % worse, and one of them 50 %.
    errors = np.stack([d_p, 1.2 * d_p, 1.5 * d_p], axis=1)[:, :, None].repeat(2, axis=2)
    found = analysis.margins(errors, labels, alpha=0.1)
    np.testing.assert_allclose(found.d_n, 1.2 * d_p)
    assert found.fixed == pytest.approx(0.1 * 0.5)
    assert found.easy.tolist() == [True] * 3 + [False] * 6
    assert found.hard.tolist() == [False] * 6 + [True] * 3
    # Gaps of the easy ones are .02 .04 .06, and .05 is asked; adaptively, 10 % where 20 % are kept.
    easy, hard = found.kept("fixed", found.easy), found.kept("fixed", found.hard)
    assert easy is not None and hard is not None
    assert (easy.value, easy.n, hard.value) == (pytest.approx(1 / 3), 3, 1)
    adaptive = found.kept("adaptive", found.easy)
    assert adaptive is not None and adaptive.value == 1
    other = analysis.margins(errors, labels, 0.1, fixed=0.3, d_nn=d_p[::-1].astype(np.float32))
    assert other.fixed == 0.3
    assert other.easy.tolist() == found.hard.tolist()


def test_class_errors_are_paired_over_steps(draws: np.random.Generator) -> None:
    # Steps differ a thousandfold more than classes do.
    errors = 100 * draws.random(S) + np.array([[0.3], [0.1], [0.2]]) + 0.01 * draws.random((3, S))
    found = analysis.class_errors(errors)
    assert found.mean.argmin() == 1 and found.excess[1] == found.half[1] == 0
    expected = stats.ttest_rel(errors[0], errors[1]).confidence_interval()
    assert found.excess[0] - found.half[0] == pytest.approx(expected.low)
    assert found.excess[0] + found.half[0] == pytest.approx(expected.high)
    assert np.isnan(analysis.class_errors(errors[:, :1]).half).all()


def test_no_network_library_is_loaded() -> None:
    script = "import sys, emodc.analysis; print(sorted(sys.modules))"
    command = [sys.executable, "-c", script]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'emodc.analysis'" in modules
    assert "'torch'" not in modules and "'diffusers'" not in modules


def test_public_names_exist_and_others_do_not() -> None:
    import emodc

    for name in emodc.__all__:
        assert getattr(emodc, name).__module__.startswith("emodc.")
    with pytest.raises(AttributeError, match="no attribute 'EmoDX'"):
        _ = emodc.EmoDX
