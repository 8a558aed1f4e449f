"""Gaussian, shot, impulse and speckle noise (Hendrycks and Dietterich 2019, arXiv 1903.12261).

Each is stated as the distribution of a pixel's uint8 result, `transitions` draws from it. Results
are truncated to uint8, as imagecorruptions truncates them: the mean is half a level low.
"""

import functools
from collections.abc import Sequence

import numpy as np
from scipy import special

from bench.perturb.corruptions.pictures import checked
from bench.perturb.corruptions.transitions import alias_table, transit

#: imagecorruptions' constants at severities 1-5.
GAUSSIAN_NOISE_SCALE = (0.08, 0.12, 0.18, 0.26, 0.38)
SHOT_NOISE_PHOTONS = (60.0, 25.0, 12.0, 5.0, 3.0)
IMPULSE_NOISE_AMOUNT = (0.03, 0.06, 0.09, 0.17, 0.27)
SPECKLE_NOISE_SCALE = (0.15, 0.2, 0.35, 0.45, 0.6)

_VALUES = np.arange(256)[:, None]
_ABOVE = np.arange(1, 256)[None, :]  # a result is <= k exactly if the pixel is below level k + 1


def gaussian_noise(
    pictures: np.ndarray, scale: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Add white noise.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        scale: Standard deviation on the scale [0, 1], above 0.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ValueError: The scale is not above 0, or the batch is none.
    """
    return transit(checked(pictures, draws), _gaussian_table(_positive("scale", scale)), draws)


def shot_noise(
    pictures: np.ndarray, photons: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Count photons: a Poisson number, whose mean is `photons` where the picture is white.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        photons: Mean count at white, above 0: fewer photons, more noise.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ValueError: The number of photons is not above 0, or the batch is none.
    """
    return transit(checked(pictures, draws), _shot_table(_positive("photons", photons)), draws)


def impulse_noise(
    pictures: np.ndarray, amount: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Salt and pepper: replace values by 0 or 255, one as often as the other.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        amount: Share of values replaced, above 0 and at most 1; channels are drawn apart.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ValueError: The amount is outside its range, or the batch is none.
    """
    if not 0 < amount <= 1:
        raise ValueError(f"The amount of noise is a share above 0 and at most 1, not {amount}.")
    return transit(checked(pictures, draws), _impulse_table(amount), draws)


def speckle_noise(
    pictures: np.ndarray, scale: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Multiply by white noise around 1: bright pixels scatter most.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        scale: Standard deviation relative to the pixel's value, above 0.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ValueError: The scale is not above 0, or the batch is none.
    """
    return transit(checked(pictures, draws), _speckle_table(_positive("scale", scale)), draws)


def _positive(name: str, value: float) -> float:
    """The value, if it is a number above 0."""
    if not 0 < value < np.inf:
        raise ValueError(f"The {name} of noise is a finite number above 0, not {value}.")
    return float(value)


@functools.lru_cache(maxsize=32)
def _gaussian_table(scale: float) -> np.ndarray:
    distances = np.arange(-254, 256)  # level k + 1 less the pixel's value
    below = special.ndtr(distances / (255.0 * scale))
    return alias_table(_closed(below[_ABOVE - _VALUES + 254]))


@functools.lru_cache(maxsize=32)
def _shot_table(photons: float) -> np.ndarray:
    # The result of n photons, in the order of operations that decides where truncation falls.
    results = (np.minimum(np.arange(np.ceil(photons) + 1) / photons, 1.0) * 255).astype(np.uint8)
    most = np.searchsorted(results, _ABOVE) - 1  # the highest count with a result below the level
    return alias_table(_closed(special.pdtr(most, _VALUES / 255.0 * photons)))


@functools.lru_cache(maxsize=32)
def _impulse_table(amount: float) -> np.ndarray:
    return alias_table(_closed(amount / 2 + (1 - amount) * (_VALUES < _ABOVE)))


@functools.lru_cache(maxsize=32)
def _speckle_table(scale: float) -> np.ndarray:
    below = np.ones((256, 255))  # black stays black
    below[1:] = special.ndtr((_ABOVE / _VALUES[1:] - 1.0) / scale)
    return alias_table(_closed(below))


def _closed(below: np.ndarray) -> np.ndarray:
    """Cumulative distributions (256, 256): P(result <= 255) = 1 joins those of 0-254."""
    return np.concatenate([below, np.ones((256, 1))], axis=1)
