"""Glass blur: pixels copied from random neighbours between two Gaussian blurs."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from bench.perturb.corruptions.gaussian import gaussian_blur
from bench.perturb.corruptions.pictures import checked


def glass_blur(
    pictures: np.ndarray,
    sigma: float,
    max_delta: int,
    iterations: int,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Blur, scatter pixels over their neighbourhood, and blur again.

    The published codes mean to swap neighbours, but swap views of an array: the pixel is
    overwritten and its neighbour stays. What is published is what is computed here.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation of both blurs in pixels, above 0.
        max_delta: A neighbour is from -max_delta to max_delta - 1 away, along each axis.
        iterations: How often all pixels are visited; 1 or more.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: A constant is outside its range, or the batch is none.
    """
    pictures = checked(pictures, draws)
    if not (1 <= max_delta <= 127 and iterations >= 1):
        raise ValueError(
            "Glass blur takes a max_delta from 1 to 127 pixels and 1 iteration or more, not "
            f"{max_delta} and {iterations}."
        )
    height, width = pictures.shape[1:3]
    visits = max(0, height - 2 * max_delta) * max(0, width - 2 * max_delta)
    blurred = gaussian_blur(pictures, sigma)
    for picture, generator in zip(blurred, draws, strict=True):
        words = generator.bit_generator.random_raw((iterations * visits + 1) // 2)
        _scatter(picture, max_delta, iterations, words.view(np.uint32))
    return gaussian_blur(blurred, sigma)


@njit(cache=True, nogil=True)
def _scatter(picture: np.ndarray, max_delta: int, iterations: int, words: np.ndarray) -> None:
    """Overwrite each pixel away from the border by a neighbour, from the last pixel to the first.

    Half a word makes one coordinate: multiplied by their number and shifted, it is uneven by less
    than their number in 65,536.
    """
    height, width, _ = picture.shape
    choices = np.uint32(2 * max_delta)
    used = 0
    for _ in range(iterations):
        for y in range(height - max_delta, max_delta, -1):
            for x in range(width - max_delta, max_delta, -1):
                word = words[used]
                used += 1
                right = np.int64(((word & np.uint32(0xFFFF)) * choices) >> np.uint32(16))
                down = np.int64(((word >> np.uint32(16)) * choices) >> np.uint32(16))
                source = picture[y + down - max_delta, x + right - max_delta]
                for c in range(3):
                    picture[y, x, c] = source[c]
