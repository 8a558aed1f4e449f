"""Hashes by which pictures that only differ in encoding or size are alike.

Both are difference hashes (dHash, N. Krawetz, 2013) with the signs of the differences between
neighbours in a small grey picture, along rows and along columns. The coarse one is searched, the
fine one decides: among aligned faces the common 64 bits of one direction are equal for many
different people.
"""

import cv2
import numpy as np

COARSE_SIDE, FINE_SIDE = 8, 16

#: Length of a hash: 128 coarse and 512 fine bits.
BYTES = 2 * (COARSE_SIDE**2 + FINE_SIDE**2) // 8

#: Bytes of the coarse part, which comes first.
COARSE_BYTES = 2 * COARSE_SIDE**2 // 8


def likeness_hash(picture: np.ndarray) -> bytes:
    """The coarse and the fine hash of a picture, `BYTES` long.

    Args:
        picture: uint8 RGB (H, W, 3).
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    signs = [bits for side in (COARSE_SIDE, FINE_SIDE) for bits in _signs(grey, side)]
    return np.packbits(np.concatenate(signs)).tobytes()


def _signs(grey: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the grey value rises to the right, and downwards; bool (side * side,) each."""
    rows = cv2.resize(grey, (side + 1, side), interpolation=cv2.INTER_AREA)
    columns = cv2.resize(grey, (side, side + 1), interpolation=cv2.INTER_AREA)
    return (rows[:, 1:] > rows[:, :-1]).ravel(), (columns[1:] > columns[:-1]).ravel()
