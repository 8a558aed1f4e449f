"""Corrupted clips: what stays the same from frame to frame is a choice, and it is made here.

What a frame becomes depends on (seed, data set, sample, corruption, severity, frame) and on nothing
else, so any part of a clip can be asked for in any order.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from bench.perturb.base import Corruption
from bench.util import rng
from bench.util.errors import unknown

#: "camera": the same draws for all frames, as of dirt on a lens or of a motion of the camera.
#: "sensor": fresh draws for each frame, as of a sensor's noise.
Temporal = Literal["camera", "sensor"]


def corrupt_clip(
    corruption: Corruption,
    frames: np.ndarray,
    severity: int,
    *,
    seed: int,
    dataset: str,
    sample_id: str,
    temporal: Temporal,
    numbers: Sequence[int] | None = None,
    burst: range | None = None,
) -> np.ndarray:
    """Frames of a corrupted clip; a corruption that draws nothing is the same in both ways.

    With "camera" a frame becomes what it would become as the sample's picture, so classifiers of
    pictures, who see the middle frame, and classifiers of clips meet the same bytes.

    Args:
        corruption: Which.
        frames: uint8 RGB (T, H, W, 3).
        severity: From 1 on; 0 returns the frames unchanged.
        seed: Run seed.
        dataset: Name of the data set.
        sample_id: Of the clip.
        temporal: What is drawn anew; see `Temporal`.
        numbers: Of the frames in their clip, (T,); not given, 0 to T - 1.
        burst: Numbers of the frames that are corrupted, as of `drawn_burst`; not given, all.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        ValueError: If frames and numbers differ in number, or there is no such temporal choice.
    """
    numbers = range(len(frames)) if numbers is None else numbers
    if len(numbers) != len(frames):
        raise ValueError(f"{len(frames)} frames cannot have {len(numbers)} numbers")
    if temporal not in ("camera", "sensor"):
        raise ValueError(f'temporal is "camera" or "sensor", not {temporal!r}')
    chosen = [i for i, number in enumerate(numbers) if burst is None or number in burst]
    result = frames.copy()
    if not chosen:
        return result
    names = [sample_id if temporal == "camera" else f"{sample_id}#{numbers[i]}" for i in chosen]
    result[chosen] = corruption.batch(
        frames[chosen], severity, seed=seed, dataset=dataset, sample_ids=names
    )
    return result


def drawn_burst(
    count: int, share: float, *, seed: int, dataset: str, sample_id: str, corruption: str
) -> range:
    """A stretch of a clip, anywhere in it, for `corrupt_clip`.

    Args:
        count: Frames of the clip, at least 1.
        share: Of them, rounded up to whole frames, in (0, 1].
        seed: Run seed.
        dataset: Name of the data set.
        sample_id: Of the clip.
        corruption: Name of what is to happen in the burst.
    """
    length = min(count, int(np.ceil(share * count - 1e-9)))
    draws = rng.generator(seed, dataset, sample_id, corruption, "burst", str(share))
    start = int(draws.integers(count - length + 1))
    return range(start, start + length)


def _dropped(count: int, share: float, draws: np.random.Generator) -> np.ndarray:
    """Each frame but the first is lost with probability `share`; the one before it is repeated."""
    kept = draws.random(count) >= share
    kept[0] = True
    return np.maximum.accumulate(np.where(kept, np.arange(count), 0))


def _frozen(count: int, share: float, draws: np.random.Generator) -> np.ndarray:
    """The last `share` of the frames, give or take a tenth of all, repeat the one before them."""
    until = 1.0 - share + draws.uniform(-0.1, 0.1)
    return np.minimum(np.arange(count), max(0, int(until * count) - 1))


def _slowed(count: int, factor: float, draws: np.random.Generator) -> np.ndarray:
    """One frame in `factor` is kept and repeated; its place is drawn."""
    every = int(factor)
    phase = int(draws.integers(every))
    return np.maximum(0, (np.arange(count) + phase) // every * every - phase)


_Defect = Callable[[int, float, np.random.Generator], np.ndarray]

#: What can happen to a clip in time, with its constant at severities 1-5.
DEFECTS: Mapping[str, tuple[_Defect, tuple[float, ...]]] = MappingProxyType(
    {
        "frame_drop": (_dropped, (0.1, 0.2, 0.3, 0.5, 0.7)),
        "freeze": (_frozen, (0.2, 0.35, 0.5, 0.65, 0.8)),
        "frame_rate": (_slowed, (2.0, 3.0, 4.0, 6.0, 8.0)),
    }
)


def shown_frames(
    defect: str, count: int, severity: int, *, seed: int, dataset: str, sample_id: str
) -> list[int]:
    """Which frame of a clip is seen in the place of each, under a defect in time.

    No frame comes from the future, and none that comes later is older.

    Args:
        defect: A name in `DEFECTS`.
        count: Frames of the clip, at least 1.
        severity: 0 (every frame in its place) to 5.
        seed: Run seed.
        dataset: Name of the data set.
        sample_id: Of the clip.

    Returns:
        Frame numbers, (count,), for `ClipDataSet.clip`.

    Raises:
        UserError: If there is no such defect.
    """
    if defect not in DEFECTS:
        raise unknown("defect in time", defect, DEFECTS)
    if severity == 0:
        return list(range(count))
    law, levels = DEFECTS[defect]
    draws = rng.generator(seed, dataset, sample_id, defect, severity)
    return [int(number) for number in law(count, levels[severity - 1], draws)]
