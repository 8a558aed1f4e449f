"""Which cells are visited, in what order, and after how many a rule looks. Arrays only."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from emodc.analysis.estimates import Floats

Ints = NDArray[np.intp]

#: Points per cell that a stratified order is drawn with, as a power of 2.
FINENESS = 3


def cell_weights(weights: Floats | None, pictures: int, steps: int) -> Floats:
    """Factors of errors, float64 (N, S); 1 where there are no weights.

    Args:
        weights: (N, S), at least 0; cells of weight 0 are not measured.
        pictures: N.
        steps: S.

    Raises:
        ValueError: If they are of another shape, negative or not finite, or a picture's are all 0.
    """
    if weights is None:
        return np.ones((pictures, steps))
    if weights.shape != (pictures, steps):
        raise ValueError(f"weights of {pictures} pictures x {steps} steps are not {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    if not weights.any(axis=1).all():
        raise ValueError("a picture none of whose cells has a weight above 0 cannot be decided")
    return weights.astype(np.float64)


def spread(steps: int) -> Ints:
    """All positions, such that any number of first ones is spread evenly: bit-reversed counting.

    J. G. van der Corput, "Verteilungsfunktionen" (1935), in base 2.
    """
    bits = max(1, (steps - 1).bit_length())
    counted = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return np.array([position for position in counted if position < steps], np.intp)


def evenly_spaced(total: int, count: int) -> Ints:
    """Positions of `count` of `total` things: the middle of each of `count` equal parts."""
    return (2 * np.arange(count) + 1) * total // (2 * count)


def growing_looks(first: int, steps: int, ratio: int = 8) -> tuple[int, ...]:
    """Every count from `first`, further apart as they grow: by n / ratio; `steps` is the last."""
    found = []
    count = min(first, steps)
    while count < steps:
        found.append(count)
        count += max(1, count // ratio)
    return (*found, steps)


def successive(sizes: Floats, draw: np.random.Generator) -> Ints:
    """All positions; the next is drawn from what is left, with chances in proportion to sizes (S,).

    As the order of arrival of exponential waiting times (Rosen 1972, doi 10.1214/aoms/1177692692).
    """
    return np.argsort(draw.exponential(size=len(sizes)) / sizes, kind="stable")


def stratified(sizes: Floats, draw: np.random.Generator) -> Ints:
    """Like `successive`, but any number of first positions is spread evenly over the sizes.

    The points of a van der Corput sequence, scrambled after Owen (1995, doi
    10.1007/978-1-4612-2552-2_19), fall on an interval divided in proportion to sizes (S,): each
    point is uniform, the first 2^m of them lie in as many equal parts. A position comes when it is
    hit first; the few that never are come last.
    """
    digits = (len(sizes) - 1).bit_length() + FINENESS
    count = 2**digits
    flips = draw.integers(0, 2, count)
    point, node = np.zeros(1, np.intp), np.ones(1, np.intp)
    for _ in range(digits):  # of all numbers with so many low digits: the next one is 0, then 1
        flip = flips[node]
        point = np.concatenate([2 * point + flip, 2 * point + 1 - flip])
        node = np.concatenate([2 * node, 2 * node + 1])
    ends = np.cumsum(sizes) / np.sum(sizes)
    hit = np.minimum(np.searchsorted(ends, (point + 0.5) / count, side="right"), len(sizes) - 1)
    first = np.full(len(sizes), count)
    first[hit[::-1]] = np.arange(count)[::-1]  # the last assignment stays
    return np.lexsort((draw.permutation(len(sizes)), first))


def chances(sizes: Floats, count: int) -> Floats:
    """How likely each position is to be among the first `count`, (S,); they add up to it.

    1 - exp(-t x) for sizes x: what `successive` orders of many positions come to (Rosen 1972, doi
    10.1214/aoms/1177692692), and `stratified` ones nearly. Divided by them, a sum over the cells
    that were visited stands for one over all (Horvitz & Thompson 1952, doi
    10.1080/01621459.1952.10483446).

    Args:
        sizes: Positive, (S,).
        count: From 1 to S.
    """
    relative = sizes / sizes.mean()
    if count >= len(sizes):
        return np.ones(len(sizes))
    highest = np.log(2 * len(sizes)) / relative.min()  # there they add up to S - 1/2 at least
    time = brentq(lambda t: float(-np.expm1(-t * relative).sum()) - count, 0.0, highest)
    found: Floats = -np.expm1(-time * relative)
    return found
