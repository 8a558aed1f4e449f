"""Which frames of a clip a classifier sees.

Published results of clip classifiers hang on how frames are sampled, so each sampler is that of a
named project, short clips and oddities included. `sample_frames` is the door to all of them.

T is the number of frames asked for, N the number of frames in the clip.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np

from bench.errors import unknown

#: For evaluation: nothing random, so that results differ by the classifier alone.
DEFAULT_SAMPLER = "tsn_middle"
DEFAULT_PADDING = "edge"


def tsn_random(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """One random frame from each of T equal segments of N // T frames, N >= T.

    Training of DFER-CLIP and IAL. The N % T last frames of a clip are in no segment.
    """
    size = count // length
    return (np.arange(length) * size + draws.integers(size, size=length)).tolist()


def tsn_middle(count: int, length: int) -> list[int]:
    """The middle frame of each of T equal segments, N >= T: evaluation of DFER-CLIP and IAL."""
    return [(2 * segment + 1) * count // (2 * length) for segment in range(length)]


def linspace(count: int, length: int) -> list[int]:
    """T frames from the first to the last, equally far apart: evaluation of DFEW's authors.

    With T = N, as for the clips of 16 frames in S2D, these are all frames.
    """
    return np.linspace(0, count - 1, length).astype(int).tolist()


def m3dfel_jitter(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """T equally spaced frames, each moved forward by 0 to T - 1, at most to the last one.

    Training and evaluation of M3DFEL. Frames may come out of order; short clips repeat some.
    """
    jitter = draws.integers(length, size=length)
    return np.minimum(np.arange(length) * count // length + jitter, count - 1).tolist()


def former_dfer_random(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """Two consecutive frames at a random place of each of T / 2 segments: training of Former-DFER.

    Clips of T / 2 frames or fewer are their first two frames, over and over.
    """
    segments = _pairs(length)
    size = (count - 1) // segments
    if size == 0:
        return _followed([0] * segments, count)
    starts = np.arange(segments) * size + draws.integers(size, size=segments)
    return _followed(starts.tolist(), count)


def former_dfer_middle(count: int, length: int) -> list[int]:
    """Two consecutive frames at the middle of each of T / 2 segments: evaluation of Former-DFER.

    Clips of T / 2 + 1 frames or fewer are their first two frames, over and over.
    """
    segments = _pairs(length)
    if count <= segments + 1:
        return _followed([0] * segments, count)
    return _followed(tsn_middle(count - 1, segments), count)


def dense(count: int, length: int, draws: np.random.Generator, stride: int) -> list[int]:
    """T frames of a random window of T * stride frames: training of MAE-DFER.

    They are spread over the whole window, hence a little more than `stride` apart. Shorter clips
    are taken whole, in N // stride frames, and the last one is repeated.
    """
    window = length * stride
    if count <= window:
        spread = np.linspace(0, count, count // stride)
        repeated = np.full(length - len(spread), count)
        return np.minimum(np.concatenate([spread, repeated]), count - 1).astype(int).tolist()
    start = int(draws.integers(count - window))
    spread = np.linspace(start, start + window, length)
    return np.minimum(spread, start + window - 1).astype(int).tolist()


def _pairs(length: int) -> int:
    if length % 2:
        raise ValueError(f"frames come in pairs here, so {length} of them cannot be sampled")
    return length // 2


def _followed(starts: Sequence[int], count: int) -> list[int]:
    """Each frame and the one after it, if there is one."""
    return [frame for start in starts for frame in (start, min(start + 1, count - 1))]


_FIXED: Mapping[str, Callable[[int, int], list[int]]] = {
    "tsn_middle": tsn_middle,
    "linspace": linspace,
    "former_dfer_middle": former_dfer_middle,
}
_RANDOM: Mapping[str, Callable[[int, int, np.random.Generator], list[int]]] = {
    "tsn_random": tsn_random,
    "m3dfel_jitter": m3dfel_jitter,
    "former_dfer_random": former_dfer_random,
    "dense_1": partial(dense, stride=1),  # MAE-DFER on FERV39k
    "dense_4": partial(dense, stride=4),  # MAE-DFER on DFEW
}
_PADDED = frozenset({"tsn_random", "tsn_middle", "linspace"})

SAMPLERS = (*_FIXED, *_RANDOM)

#: How N frames become T or more: the last one repeated (DFER-CLIP), nothing but the first one
#: (IAL), or the whole clip as often as needed (DFEW's authors).
PADDINGS: Mapping[str, Callable[[int, int], list[int]]] = MappingProxyType(
    {
        "edge": lambda count, length: [min(frame, count - 1) for frame in range(length)],
        "first": lambda count, length: [0] * length,
        "tile": lambda count, length: [*range(count)] * -(-length // count),
    }
)


def sample_frames(
    count: int,
    length: int,
    sampler: str = DEFAULT_SAMPLER,
    padding: str = DEFAULT_PADDING,
    draws: np.random.Generator | None = None,
) -> list[int]:
    """Numbers of the frames to show, each in [0, count).

    Args:
        count: Frames in the clip, N.
        length: Frames asked for, T.
        sampler: A name in `SAMPLERS`.
        padding: A name in `PADDINGS`: what `tsn_random`, `tsn_middle` and `linspace` do with clips
            shorter than T. The others have rules of their own.
        draws: Where random samplers draw from; the others ignore it.

    Raises:
        UserError: If there is no such sampler or padding.
        ValueError: If a count is below 1, T does not suit the sampler, or draws are missing.
    """
    if sampler not in SAMPLERS:
        raise unknown("frame sampler", sampler, SAMPLERS)
    if padding not in PADDINGS:
        raise unknown("padding of short clips", padding, PADDINGS)
    if count < 1 or length < 1:
        raise ValueError(f"{length} frames of a clip of {count} cannot be sampled")
    short = count < length and sampler in _PADDED
    frames = PADDINGS[padding](count, length) if short else range(count)
    if sampler in _FIXED:
        chosen = _FIXED[sampler](len(frames), length)
    elif draws is None:
        raise ValueError(f"the frame sampler {sampler!r} is random and needs draws")
    else:
        chosen = _RANDOM[sampler](len(frames), length, draws)
    return [frames[number] for number in chosen]
