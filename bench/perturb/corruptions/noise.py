"""Gaussian, shot, impulse and speckle noise (Hendrycks and Dietterich 2019, arXiv 1903.12261).

Each is stated as the distribution of a pixel's uint8 result and drawn by one table look-up per
value. Results are truncated to uint8, as imagecorruptions truncates them: the mean is half a level
low.
"""

import functools
from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy import special

from bench.perturb.corruptions.loops import checked, rounded

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


def white_noise(
    pictures: np.ndarray, sigma: float | np.ndarray, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Add white noise in double precision, rounded to the nearest level: the default run's.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation on the scale [0, 1]; one for all, or of each, (N, 1, 1, 1).
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    noise = np.stack([own.standard_normal(pictures.shape[1:]) for own in draws])
    return rounded(pictures / 255.0 + sigma * noise)


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


# ------------------------------------------------------------------------------------------------
# Noise of independent pixels as one random word and one table look-up per value
#
# Noise that treats every channel of every pixel alike and apart is a transition matrix: row v holds
# the distribution of the uint8 result of a pixel of value v. Walker's alias method (Walker 1977,
# doi 10.1145/355744.355749) samples a row with one comparison: 8 bits of a random word choose a
# column, the other 24 decide between the column and its alias. Probabilities are exact to 2^-32.
#
# Words are Philox4x32-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405), computed here because
# a counter-based generator can be evaluated many words at a time, which numpy's cannot.
# ------------------------------------------------------------------------------------------------

_LEVELS = 256
_BLOCK = 256  # counters evaluated together; four words each
_TOTAL = 2.0**32  # what a row's probability of 1 is counted as


def alias_table(cumulative: np.ndarray) -> np.ndarray:
    """The alias table of a transition matrix.

    Args:
        cumulative: float64 (256, 256): P(result <= column | value = row); the last column is 1.

    Returns:
        uint32 (65536,), entry 256 v + column: alias in the low 8 bits, above it the number of
        2^24 at which the alias takes over from the column.
    """
    bounds = np.rint(np.clip(cumulative, 0.0, 1.0) * _TOTAL).astype(np.int64)
    table: np.ndarray = _alias_rows(np.diff(bounds, axis=1, prepend=0))
    table.flags.writeable = False
    return table


def transit(
    pictures: np.ndarray, table: np.ndarray, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Replace every value by a draw from its row of the transition matrix.

    Args:
        pictures: uint8 (N, H, W, 3), contiguous.
        table: As `alias_table` makes it.
        draws: One generator per picture; a word of each is the key of the picture's stream.

    Returns:
        uint8 (N, H, W, 3).
    """
    words = np.array([generator.bit_generator.random_raw() for generator in draws], np.uint64)
    keys = np.stack([words & 0xFFFFFFFF, words >> 32], axis=1).astype(np.uint32)
    result = np.empty_like(pictures)
    count = len(pictures)
    _transit(pictures.reshape(count, -1), keys, table, result.reshape(count, -1))
    return result


@njit(cache=True, nogil=True)
def _alias_rows(counts: np.ndarray) -> np.ndarray:
    """Vose's construction in integers: every column holds 2^24 of a row's 2^32."""
    capacity = 1 << 24
    table = np.empty(_LEVELS * _LEVELS, np.uint32)
    poor = np.empty(_LEVELS, np.int64)
    rich = np.empty(_LEVELS, np.int64)
    for value in range(_LEVELS):
        left = counts[value].copy()
        poor_count = rich_count = 0
        for column in range(_LEVELS):
            if left[column] < capacity:
                poor[poor_count] = column
                poor_count += 1
            else:
                rich[rich_count] = column
                rich_count += 1
        while poor_count > 0:
            poor_count -= 1
            column, alias = poor[poor_count], rich[rich_count - 1]
            table[value * _LEVELS + column] = np.uint32((left[column] << 8) | alias)
            left[alias] -= capacity - left[column]
            if left[alias] < capacity:
                rich_count -= 1
                poor[poor_count] = alias
                poor_count += 1
        for column in rich[:rich_count]:  # full to the brim: threshold 0, the column's own alias
            table[value * _LEVELS + column] = np.uint32(column)
    return table


@njit(cache=True, nogil=True)
def _philox(key_0: np.uint32, key_1: np.uint32, first: int, words: np.ndarray) -> None:
    """Philox4x32-10 of counters first, first + 1, ...; `words` is uint32 (4, counters).

    The 32-bit state is kept in the low halves of 64-bit words, which a compiler turns into vectors
    without repacking; the high halves hold what nobody reads.
    """
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for i in range(words.shape[1]):
        x_0, x_1, x_2, x_3 = np.uint64(first + i), np.uint64(0), np.uint64(0), np.uint64(0)
        round_0, round_1 = np.uint64(key_0), np.uint64(key_1)
        for _ in range(10):
            product_0 = (x_0 & low) * np.uint64(0xD2511F53)
            product_1 = (x_2 & low) * np.uint64(0xCD9E8D57)
            x_0, x_1 = (product_1 >> half) ^ x_1 ^ round_0, product_1
            x_2, x_3 = (product_0 >> half) ^ x_3 ^ round_1, product_0
            round_0 += np.uint64(0x9E3779B9)
            round_1 += np.uint64(0xBB67AE85)
        words[0, i], words[1, i] = np.uint32(x_0), np.uint32(x_1)
        words[2, i], words[3, i] = np.uint32(x_2), np.uint32(x_3)


@njit(cache=True, nogil=True)
def _transit(pictures: np.ndarray, keys: np.ndarray, table: np.ndarray, result: np.ndarray) -> None:
    """`transit` on flat pictures (N, values): a block of words, then its look-ups."""
    words = np.empty((4, _BLOCK), np.uint32)
    flat = words.ravel()
    for n in range(len(pictures)):
        for start in range(0, pictures.shape[1], 4 * _BLOCK):
            _philox(keys[n, 0], keys[n, 1], start // 4, words)
            values = pictures[n, start : start + 4 * _BLOCK]
            out = result[n, start : start + 4 * _BLOCK]
            for i in range(len(values)):
                word = flat[i]
                column = word >> np.uint32(24)
                entry = table[(np.uint32(values[i]) << np.uint32(8)) | column]
                kept = (word & np.uint32(0xFFFFFF)) < (entry >> np.uint32(8))
                out[i] = np.uint8(column) if kept else np.uint8(entry)
