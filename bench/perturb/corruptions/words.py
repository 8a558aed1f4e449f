"""Random fields from raw 16-bit words.

numpy promises that a bit generator's raw words stay the same in its future versions; of the
distributions drawn from them it promises nothing, and it takes longer over them.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVELS = 1 << 16


def uniform_words(draws: np.random.Generator, count: int) -> NDArray[np.uint16]:
    """The next `count` words, each value of 0..65535 equally likely."""
    raw = draws.bit_generator.random_raw((count + 3) // 4)
    return np.asarray(raw).astype("<u8", copy=False).view("<u2")[:count]


def uniforms(draws: np.random.Generator, count: int) -> NDArray[np.float64]:
    """`count` numbers from the 65,536 centres of equal cells of (0, 1)."""
    return (uniform_words(draws, count) + 0.5) / LEVELS


def normals(draws: np.random.Generator, count: int) -> NDArray[np.float32]:
    """`count` standard normal numbers, from 65,536 quantiles.

    Their mean is 0, their variance 1 to within 1e-4, and none lies beyond 4.33.
    """
    return _quantiles()[uniform_words(draws, count)]


@cache
def _quantiles() -> NDArray[np.float32]:
    table: NDArray[np.float32] = special.ndtri((np.arange(LEVELS) + 0.5) / LEVELS).astype("f4")
    table.flags.writeable = False
    return table
