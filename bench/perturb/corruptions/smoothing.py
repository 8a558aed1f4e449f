"""Gaussian smoothing of random fields, equal to the last bit on every machine."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.perturb.corruptions import loops

Border = Literal["edge", "mirror"]


def smoothed(
    field: NDArray[np.float32], sigmas: tuple[float, float], truncate: float, border: Border
) -> NDArray[np.float32]:
    """A Gaussian filter in single precision.

    Args:
        field: (H, W).
        sigmas: Standard deviations between rows and between columns, in pixels.
        truncate: The filter ends after so many standard deviations.
        border: "edge" repeats the last pixel, "mirror" reflects including it.

    Returns:
        (H, W).
    """
    weights = [_gaussian(sigma, truncate) for sigma in sigmas]
    rows, columns = (
        _indices(length, half.size - 1, border)
        for length, half in zip(field.shape, weights, strict=True)
    )
    return loops.smoothed(field, weights[0], weights[1], rows, columns)


@lru_cache(maxsize=64)
def _gaussian(sigma: float, truncate: float) -> NDArray[np.float32]:
    """Weights at distance 0, 1, ...; with both sides they add up to 1."""
    distance = np.arange(int(truncate * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


@lru_cache(maxsize=64)
def _indices(length: int, reach: int, border: Border) -> NDArray[np.int64]:
    """What stands at -reach..length+reach-1."""
    places = np.arange(-reach, length + reach)
    if border == "edge":
        return places.clip(0, length - 1)
    places %= 2 * length
    return np.minimum(places, 2 * length - 1 - places)
