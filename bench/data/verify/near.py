"""Near-identical pictures among hundreds of thousands, by their likeness hashes.

Two pictures are near-identical if at most 4 of the 128 coarse bits and at most 32 of the 512 fine
bits of their `likeness_hash` differ. Measured on pictures that are different, and on copies:

- Of the 18 million pairs of 6,000 drawn faces the nearest differ in 5 coarse and 57 fine bits; of
  the 20,706 pairs of 204 photographs of 102 faces in one pose, light and frame, smiling and not, in
  8 and 75. None is within both limits, or either.
- Copies as JPEG of quality 95, resized from 64 to 100, 100 to 224 or 224 to 100 pixels, or a little
  brighter are within both at least 98 times in 100; as JPEG of quality 75 about four in five of
  those of 64 pixels and nearly all of those of 224. Cropped or turned copies are not found.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.data.on_disk.likeness import BYTES, COARSE_BYTES, FINE_SIDE

COARSE_LIMIT, FINE_LIMIT = 4, 32

#: Fewer bits of a fine half than these, set or not, and the picture is too plain to tell by them.
_PLAIN = 16

#: Two hashes that differ in at most 4 bits agree in 4 of 8 pieces of 16 bits.
_PIECES = 8

#: With how many neighbours a picture is compared among those that agree in the same pieces. Where
#: more do, most of the picture is the same in all of them (a frame, a black half), and other pieces
#: tell them apart; the limit keeps such a data set from taking hours.
_NEIGHBOURS = 64


class Near(NamedTuple):
    """What `near_identical` found.

    Attributes:
        groups: Of each hash, int64 (N,): equal numbers are near-identical, directly or by way of
            others. Numbers of plain pictures are theirs alone.
        plain: Which were not compared, bool (N,).
    """

    groups: np.ndarray
    plain: np.ndarray


def near_identical(hashes: list[bytes]) -> Near:
    """Group near-identical pictures, in memory and time that grow with their number.

    Args:
        hashes: Of `likeness_hash`.
    """
    count = len(hashes)
    bits = np.frombuffer(b"".join(hashes), np.uint8).reshape(count, BYTES)
    plain = _plain(bits)
    compared = np.flatnonzero(~plain)
    # Equal hashes first: thousands of copies would be millions of pairs.
    unique, places = np.unique(bits[compared], axis=0, return_inverse=True)
    linked = _linked(unique)
    groups = np.arange(count) + (linked.max(initial=-1) + 1)
    groups[compared] = linked[places.ravel()]
    return Near(groups, plain)


def _plain(bits: np.ndarray) -> np.ndarray:
    """Whether rows or columns hardly rise or hardly fall, as in flat pictures and plain shades."""
    half = FINE_SIDE**2 // 8
    plain = np.zeros(len(bits), bool)
    for start in (COARSE_BYTES, COARSE_BYTES + half):
        rises = np.bitwise_count(bits[:, start : start + half]).sum(axis=1, dtype=np.int64)
        plain |= (rises < _PLAIN) | (rises > FINE_SIDE**2 - _PLAIN)
    return plain


def _linked(bits: np.ndarray) -> np.ndarray:
    """Group numbers of different hashes, int64 (N,)."""
    pieces = np.ascontiguousarray(bits[:, :COARSE_BYTES]).view(np.uint16)
    words = np.ascontiguousarray(bits).view(np.uint64)
    groups = np.arange(len(bits))
    for chosen in combinations(range(_PIECES), _PIECES - COARSE_LIMIT):
        keys = np.ascontiguousarray(pieces[:, chosen]).view(np.uint64).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.arange(len(order))
        for step in range(1, _NEIGHBOURS + 1):
            starts = starts[: np.searchsorted(starts, len(order) - step)]
            starts = starts[ordered[starts] == ordered[starts + step]]
            if not len(starts):
                break
            groups = _joined(groups, words, order[starts], order[starts + step])
    return groups


def _joined(
    groups: np.ndarray, words: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Groups after the near-identical of these pairs are put together."""
    apart = groups[first] != groups[second]
    first, second = first[apart], second[apart]
    differ = np.bitwise_count(words[first] ^ words[second])
    coarse = COARSE_BYTES // 8
    alike = (differ[:, :coarse].sum(axis=1) <= COARSE_LIMIT) & (
        differ[:, coarse:].sum(axis=1, dtype=np.int64) <= FINE_LIMIT
    )
    if not alike.any():
        return groups
    first, second = groups[first[alike]], groups[second[alike]]
    edges = coo_array((np.ones(len(first), bool), (first, second)), (len(groups), len(groups)))
    joined: np.ndarray = connected_components(edges, directed=False)[1]
    return joined[groups]
