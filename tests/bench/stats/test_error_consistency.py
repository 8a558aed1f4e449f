"""Error consistency: against statsmodels, by hand, and where it has no value."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from bench import stats as metrics
from bench.util import rng


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_kappa_of_right_and_wrong(seed: int) -> None:
    source = rng.generator("kappa", seed)
    one = source.random(80) < 0.7
    other = np.where(source.random(80) < 0.5, one, source.random(80) < 0.6)
    table = [
        [(one & other).sum(), (one & ~other).sum()],
        [(~one & other).sum(), (~one & ~other).sum()],
    ]
    expected = cohens_kappa(np.array(table)).kappa
    assert metrics.error_consistency(one, other) == pytest.approx(expected)
    assert metrics.error_consistency(other, one) == pytest.approx(expected)


def test_values_by_hand() -> None:
    half = [True, True, False, False]
    assert metrics.error_consistency(half, half) == 1
    assert metrics.error_consistency(half, half[::-1]) == -1
    assert metrics.error_consistency(half, [True, False, True, False]) == 0


def test_one_that_is_always_right_or_wrong_says_nothing() -> None:
    always, mixed = [True] * 4, [True, True, True, False]
    for one, other in ((always, mixed), (mixed, always), (always, always), ([True], [False])):
        assert metrics.error_consistency(one, other) is None


@pytest.mark.parametrize(("one", "other"), [([], []), ([True], [True, False])])
def test_it_needs_the_same_samples(one: list[bool], other: list[bool]) -> None:
    with pytest.raises(ValueError, match="same samples"):
        metrics.error_consistency(one, other)
