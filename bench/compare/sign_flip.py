"""The exact sign-flip test."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom


def sign_flip(differences: ArrayLike) -> float:
    """Exact two-sided p value of paired differences: could each as well have the other sign?

    R. A. Fisher, "The design of experiments" (1935), sec. 21; E. J. G. Pitman, "Significance tests
    which may be applied to samples from any populations", JRSS Supplement 4 (1937): if two
    classifiers are exchangeable on every picture, all 2^N choices of signs are equally likely, and
    the p value is the share of them whose sum is at least as far from 0 as the one seen. Pictures
    are the units, so the outcomes of one picture in several cells or trainings, which hang
    together, are flipped together; the trainings are taken as given.

    Differences of -1, 0 and 1, one outcome per picture, make it McNemar's exact test. The sums are
    whole numbers, so their distribution is built up exactly and nothing is drawn.

    Args:
        differences: How much oftener the second classifier recognises each picture, whole numbers
            (N,).

    Returns:
        A probability in [0, 1]; 1 where the differences are all 0.

    Raises:
        ValueError: If there is no difference.
    """
    values = np.asarray(differences, np.int64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"differences are one per picture, at least one, not {values.shape}")
    sizes, counts = np.unique(np.abs(values[values != 0]), return_counts=True)
    reach = int((sizes * counts).sum())
    chances = np.zeros(2 * reach + 1)  # of the sums -reach..reach
    chances[reach] = 1.0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        before, chances = chances, np.zeros_like(chances)
        for positive, chance in enumerate(binom.pmf(np.arange(count + 1), count, 0.5)):
            # The part that moves beyond the ends is 0: no sum is larger than `reach`.
            chances += chance * np.roll(before, size * (2 * positive - count))
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(values.sum()))
    return min(1.0, float(chances[far].sum()))
