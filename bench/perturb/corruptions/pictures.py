"""What is asked of a batch of pictures."""

from collections.abc import Sequence

import numpy as np


def checked(pictures: np.ndarray, draws: Sequence[np.random.Generator] | None = None) -> np.ndarray:
    """The batch in C order, if it is one.

    Args:
        pictures: uint8 RGB (N, H, W, 3), no side empty.
        draws: One generator per picture, where the corruption is random.

    Returns:
        The same pictures, contiguous in memory.

    Raises:
        ValueError: The shape or type is another, or generators and pictures differ in number.
    """
    shape = pictures.shape
    if pictures.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        raise ValueError(
            f"Corruptions take uint8 RGB pictures of shape (N, H, W, 3); these are "
            f"{pictures.dtype} {shape}. Convert grey to RGB and stack pictures of one size."
        )
    if draws is not None and len(draws) != len(pictures):
        raise ValueError(
            f"There are {len(pictures)} pictures but {len(draws)} generators: one each is needed."
        )
    return np.ascontiguousarray(pictures)
