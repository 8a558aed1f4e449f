import itertools
from math import exp, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate

from emodc.decisions.decide import decide, successive
from emodc.decisions.rules import (
    DEFENSIVE,
    FullGrid,
    SequentialTest,
    against,
    betting_evidence,
    relative_gaps,
    student_evidence,
)


class Steep:
    """Gaps that fall with the timestep."""

    def at(self, timesteps):
        gaps = np.exp(-timesteps / 100)
        return gaps / gaps.mean(axis=1, keepdims=True)


def pair(differences) -> np.ndarray:
    """Errors (M, 2, n) of which the second class is worse by `differences` (M, n)."""
    gaps = np.asarray(differences, float)
    return np.stack([np.zeros_like(gaps), gaps], axis=1)


def student(differences, sizes, effect: float = 3.0) -> np.ndarray:
    """Evidence (M,) that the second class is worse."""
    return student_evidence(pair(differences), np.asarray(sizes, float), effect)[:, 0, 1]


def betting(differences, sizes, bound: float) -> np.ndarray:
    """Evidence (M,) that the second class is worse."""
    return betting_evidence(pair(differences), np.asarray(sizes, float), bound)[:, 1]


def defined(differences: list[float], sizes: list[float], effect: float) -> float:
    """The Student e-process as it is defined: integrals over effect and spread, cell by cell."""
    z, w, done = [], [], 0.0
    for i, d in enumerate(differences):
        left = sizes[i:]
        total = sum(left)
        s = sqrt(1 - sum((x / total) ** 2 for x in left))
        z.append((d / sizes[i] + done / total) / s)
        w.append(sum(sizes) / (total * s))
        done += d
    z_, w_ = np.array(z), np.array(w)

    def likelihood(log_sigma: float, g: float) -> float:
        # Right Haar prior of the spread: uniform in its logarithm.
        sigma = exp(log_sigma)
        return float(sigma ** -len(z) * np.exp(-0.5 * ((z_ / sigma - g * w_) ** 2).sum()))

    def prior(g: float) -> float:
        return 2 * exp(-0.5 * (g / effect) ** 2) / (effect * sqrt(2 * pi))

    above, _ = integrate.dblquad(lambda s, g: likelihood(s, g) * prior(g), 0, 9 * effect, -9, 9)
    null, _ = integrate.quad(lambda s: likelihood(s, 0.0), -9, 9)
    return log(above / null)


@pytest.mark.parametrize("effect", [0.5, 3.0])
@pytest.mark.parametrize("sizes", [[1.0] * 6, [2.0, 0.5, 1.0, 3.0, 0.7, 1.3]])
def test_the_student_e_process_is_its_definition(sizes: list[float], effect: float) -> None:
    differences = [1.0, 0.3, 1.4]
    found = student([differences], [sizes], effect)
    assert found[0] == pytest.approx(defined(differences, sizes, effect), rel=1e-4)


def test_the_next_cell_has_the_mean_that_the_null_says() -> None:
    """Enumerated: over what is left, drawn by size, D / x - m has mean 0 if all D add up to 0."""
    sizes = np.array([2.0, 0.5, 1.0, 3.0, 0.7])
    gaps = np.array([1.0, -0.2, 0.4, -2.0, 0.8])
    assert gaps.sum() == pytest.approx(0)
    for seen in itertools.permutations(range(5), 2):
        left = [i for i in range(5) if i not in seen]
        m = -gaps[list(seen)].sum() / sizes[left].sum()
        chances = sizes[left] / sizes[left].sum()
        assert (chances * (gaps[left] / sizes[left] - m)).sum() == pytest.approx(0)


def test_a_lower_mean_of_differences_lowers_the_evidence() -> None:
    draw = np.random.default_rng(0)
    gaps, sizes = draw.normal(size=(200, 8)) + 1, draw.uniform(0.5, 2, (200, 20))
    lower = gaps - 0.3 * sizes[:, :8]
    assert (student(lower, sizes) <= student(gaps, sizes)).all()


def test_scale_and_what_all_classes_share_do_not_matter() -> None:
    draw = np.random.default_rng(0)
    errors, sizes = draw.normal(size=(4, 3, 8)), draw.uniform(0.5, 2, (4, 20))
    found = student_evidence(errors, sizes, 3.0)
    shared = draw.normal(size=(4, 1, 8))
    np.testing.assert_allclose(student_evidence(7 * errors + shared, sizes, 3.0), found)
    np.testing.assert_allclose(student_evidence(errors, 5 * sizes, 3.0), found)


def null_populations(pictures: int, steps: int, seed: int):
    """Differences in the order of visiting whose sum is exactly 0, and their sizes."""
    draw = np.random.default_rng(seed)
    sizes = draw.uniform(0.3, 3, steps)
    order = np.stack([successive(sizes, draw) for _ in range(pictures)])
    gaps = draw.normal(size=(pictures, steps)) * sizes
    gaps -= sizes * (gaps.sum(axis=1, keepdims=True) / sizes.sum())
    return np.take_along_axis(gaps, order, axis=1), sizes[order]


@pytest.mark.parametrize("n", [1, 2, 5, 10, 18])
def test_e_processes_are_not_expected_to_grow_at_the_boundary(n: int) -> None:
    gaps, sizes = null_populations(20_000, 20, seed=n)
    bound = float(np.abs(gaps / sizes).max())
    for values in (np.exp(student(gaps[:, :n], sizes)), np.exp(betting(gaps[:, :n], sizes, bound))):
        assert values.mean() - 4 * values.std() / sqrt(len(values)) <= 1


@given(
    arrays(np.int8, 5, elements=st.integers(-3, 3)),
    arrays(np.int8, 5, elements=st.integers(1, 3)),
    st.integers(1, 4),
)
def test_betting_is_exact_for_every_bounded_population(gaps, sizes, n: int) -> None:
    """Enumerated over all orders, the mean capital is at most 1 whenever the null holds."""
    values, own = gaps.astype(float), sizes.astype(float)
    values -= own * max(values.sum() / own.sum(), 0)
    orders = np.array(list(itertools.permutations(range(5))))
    drawn = own[orders]
    chances = (drawn / drawn[:, ::-1].cumsum(axis=1)[:, ::-1]).prod(axis=1)
    assert chances.sum() == pytest.approx(1)
    bound = max(float((-values / own).max()), 1e-3) * (1 + 1e-9)
    capital = np.exp(betting(values[orders][:, :n], drawn, bound))
    assert (chances * capital).sum() <= 1 + 1e-6


def test_betting_is_certain_when_the_rest_cannot_make_up() -> None:
    assert betting([[1.0, 1.0, 1.0]], np.ones((1, 5)), 1.0) == np.inf  # 3 seen, 2 left
    assert betting([[1.0, 1.0]], np.ones((1, 4)), 1.0) < np.inf  # a tie is possible
    assert betting([[1.0, 1.0]], [[2.0, 2.0, 0.5, 1.0]], 1.0) == np.inf  # 1.5 of the sizes left


def test_the_capital_of_a_bet_is_followed_by_hand() -> None:
    """The first bet is nothing; the second is the largest fraction on a gain seen before."""
    found = betting([[0.5, 0.5]], np.ones((1, 5)), 1.0)
    m = -0.5 / 4
    gain = (0.5 - m) / (m + 1)
    assert found[0] == pytest.approx(log(1 + min(0.99, 0.5 / (0.25 + 0.02)) * gain))


def test_evidence_against_a_class_is_the_mean_over_those_that_beat_it() -> None:
    pairs = np.full((1, 3, 3), np.nan)
    pairs[0, 0, 2], pairs[0, 1, 2], pairs[0, 0, 1] = log(8), log(2), log(6)
    assert np.exp(against(pairs)[0]).tolist() == pytest.approx([0, 3, 5])


def test_evidence_is_that_of_each_pair_alone() -> None:
    draw = np.random.default_rng(3)
    errors, sizes = draw.normal(size=(6, 4, 9)), draw.uniform(0.5, 2, (6, 30))
    errors[:, 2, 5:] = np.nan  # had left
    whole = student_evidence(errors, sizes, 3.0)
    for j, k in itertools.permutations([0, 1, 3], 2):
        alone = student(errors[:, k] - errors[:, j], sizes)
        np.testing.assert_allclose(whole[:, j, k], alone, rtol=1e-9)
    assert np.isnan(whole[:, 2]).all() and np.isnan(whole[:, :, 2]).all()


def test_classes_that_do_not_differ_are_no_evidence() -> None:
    errors = np.random.default_rng(0).normal(size=(3, 1, 6)).repeat(2, axis=1)
    evidence = student_evidence(errors, np.ones((3, 20)), 3.0)
    assert (evidence[:, 0, 1] < 0).all() and (evidence[:, 1, 0] < 0).all()


def simulated(pictures: int, gap: float, seed: int = 0):
    draw = np.random.default_rng(seed)
    timesteps = np.tile(np.arange(2, 502, 5), (pictures, 1))
    size = Steep().at(timesteps)[:, None]
    errors = (draw.normal(size=(pictures, 7, 100)) * 0.3 + gap * np.arange(7)[:, None]) * size
    return errors, timesteps, [str(i) for i in range(pictures)]


def test_clear_pictures_need_few_steps() -> None:
    errors, timesteps, ids = simulated(200, 1.0)
    decided = decide(errors, timesteps, SequentialTest(profile=Steep()), ids)
    assert (decided.winner == 0).all()
    assert decided.steps.mean() < 12


def test_a_profile_that_is_right_saves_evaluations() -> None:
    errors, timesteps, ids = simulated(200, 0.2)
    with_it = decide(errors, timesteps, SequentialTest(profile=Steep()), ids)
    without = decide(errors, timesteps, SequentialTest(), ids)
    assert with_it.evaluations.mean() < 0.7 * without.evaluations.mean()


def test_a_smaller_delta_takes_more() -> None:
    errors, timesteps, ids = simulated(200, 0.1)
    taken = [
        decide(errors, timesteps, SequentialTest(delta=d, profile=Steep()), ids).evaluations.mean()
        for d in (0.001, 0.01, 0.1)
    ]
    assert taken[0] > taken[1] > taken[2]


def test_what_is_not_decided_early_is_the_full_decision() -> None:
    errors, timesteps, ids = simulated(200, 0.001)
    decided = decide(errors, timesteps, SequentialTest(profile=Steep()), ids)
    late = decided.steps == 100
    full = decide(errors, timesteps, FullGrid(), ids).winner
    assert late.sum() > 50
    kept = decided.seen[late, full[late]] == 100  # the others lost the winner before
    assert (decided.winner[late][kept] == full[late][kept]).all() and kept.mean() > 0.98


def test_weights_multiply_the_sizes() -> None:
    rule = SequentialTest(profile=Steep())
    timesteps, scale = np.arange(0, 500, 50)[None], np.linspace(1, 2, 10)[None]
    np.testing.assert_allclose(
        rule.sizes(timesteps, scale), relative_gaps(Steep(), timesteps) * scale
    )


def test_the_bound_is_one_of_differences_per_size() -> None:
    gaps = np.random.default_rng(0).normal(size=(5, 6))
    alike = np.ones((5, 20))
    np.testing.assert_allclose(betting(gaps * 2, alike * 2, 4.0), betting(gaps, alike, 4.0))


def test_no_cell_counts_for_nothing() -> None:
    class Negative:
        def at(self, timesteps):
            return np.where(timesteps < 250, -1.0, 3.0)

    gaps = relative_gaps(Negative(), np.array([[0, 499]]))
    assert gaps.tolist() == [[DEFENSIVE, 3 * (1 - DEFENSIVE) + DEFENSIVE]]
    assert relative_gaps(None, np.array([[0, 499]])).tolist() == [[1, 1]]


def test_orders_by_kind() -> None:
    assert SequentialTest().order == "stratified"
    assert SequentialTest(order="random").order == "random"
    assert SequentialTest(kind="bounded", bound=1.0).order == "random"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delta": 0.0}, "probability"),
        ({"delta": 1.0}, "probability"),
        ({"kind": "bounded"}, "needs a bound"),
        ({"kind": "bounded", "bound": 0.0}, "needs a bound"),
        ({"kind": "bounded", "bound": 1.0, "order": "stratified"}, "'random' only"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequentialTest(**settings)
