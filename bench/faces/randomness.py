"""Addressed randomness: every number drawn is a function of a written address.

Only `Generator.random`, `Generator.standard_normal` and raw Philox words are used, never
`choice` or `integers`, whose algorithms have changed between numpy releases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Colour = tuple[float, float, float]
"""RGB, each in [0, 255]."""

_NORMAL_LIMIT = 2.5
"""Normal draws are clipped at this many standard deviations, so that no face is an outlier."""


def address_key(*address: str | int) -> int:
    """Returns a 128-bit key for an address such as `(seed, "train", "identity", 12)`."""
    text = "/".join(f"{type(part).__name__}:{part}" for part in address)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


class RandomStream:
    """A stream of random draws that begins at an address.

    Args:
        address: Strings and integers that name the stream; equal addresses give equal draws.
    """

    def __init__(self, *address: str | int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=address_key(*address)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draws from [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def normal(self, sd: float) -> float:
        """Draws from a normal of mean 0, clipped at 2.5 standard deviations."""
        draw = float(self._generator.standard_normal())
        return sd * min(_NORMAL_LIMIT, max(-_NORMAL_LIMIT, draw))

    def chance(self, probability: float) -> bool:
        """Is true with the given probability."""
        return float(self._generator.random()) < probability

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Picks one option, with probability proportional to its weight (equal by default)."""
        shares = [1.0] * len(options) if weights is None else list(weights)
        left = float(self._generator.random()) * sum(shares)
        for option, share in zip(options, shares, strict=True):
            left -= share
            if left < 0:
                return option
        return options[-1]

    def colour(self, low: float, high: float) -> Colour:
        """Draws an RGB colour with each channel in [low, high)."""
        return (self.uniform(low, high), self.uniform(low, high), self.uniform(low, high))


def bell_noise(key: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns noise of mean 0 and variance 1, near normal, the same on every machine.

    Each value is the sum of four random bytes, centred and scaled: integers until the last step.

    Args:
        key: A non-negative integer below 2**128.
        shape: The shape of the result.
    """
    count = int(np.prod(shape))
    words = np.random.Philox(key=key).random_raw((count + 1) // 2)
    byte_sums = words.astype("<u8").view(np.uint8).reshape(-1, 4)[:count].sum(1, dtype=np.int64)
    variance_of_a_byte = (256**2 - 1) / 12
    noise: NDArray[np.float64] = (byte_sums - 510) / (4 * variance_of_a_byte) ** 0.5
    return noise.reshape(shape)
