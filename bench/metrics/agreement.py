"""Whether two classifiers fail on the same samples."""

import numpy as np
from numpy.typing import ArrayLike


def error_consistency(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cohen's kappa of two classifiers' being right or wrong on the same samples.

    R. Geirhos, K. Meding and F. A. Wichmann, "Beyond accuracy: quantifying trial-by-trial behaviour
    of CNNs and humans by measuring error consistency" (NeurIPS 2020), eqs. 1-3: of the agreement
    beyond what independent classifiers of these accuracies would show, the share that is found.
    kappa = (c_obs - c_exp) / (1 - c_exp) with c_exp = p q + (1 - p) (1 - q).

    Args:
        first: Whether the first classifier recognises each sample, bool (N,).
        second: The same of the second classifier on the same samples, bool (N,).

    Returns:
        In [-1, 1]; 0 for independent errors, 1 for errors on the same samples. None where either is
        always right or always wrong: agreement is then settled by the accuracies and says nothing.

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"{one.shape} and {other.shape} are not the same samples")
    n, right, others = len(one), int(one.sum()), int(other.sum())
    if {right, others} & {0, n}:
        return None
    expected = right * others + (n - right) * (n - others)  # n^2 c_exp
    observed = n * int((one == other).sum())  # n^2 c_obs
    return (observed - expected) / (n**2 - expected)
