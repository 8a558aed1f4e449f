import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.clips import PADDINGS, SAMPLERS, sample_frames
from bench.util import rng
from bench.util.errors import UserError

FIXED = ("tsn_middle", "linspace", "former_dfer_middle")
RANDOM = tuple(name for name in SAMPLERS if name not in FIXED)
ALL = list(range(16))


class Extreme(np.random.Generator):
    """Draws the smallest or the largest number it may."""

    def __init__(self, largest: bool) -> None:
        super().__init__(np.random.Philox(0))
        self.largest = largest

    def integers(self, low, high=None, size=None, **_):  # type: ignore[no-untyped-def]
        low, high = (0, low) if high is None else (low, high)
        return np.full(size or (), high - 1 if self.largest else low)


def repeated(frames: list[int], times: int = 16) -> list[int]:
    return (frames * times)[:16]


@pytest.mark.parametrize(
    ("sampler", "count", "expected"),
    [
        ("tsn_middle", 1, repeated([0])),
        ("tsn_middle", 2, [0] + [1] * 15),
        ("tsn_middle", 15, [*range(15), 14]),
        ("tsn_middle", 16, ALL),
        # 17/16 a segment: its middles are 0.53, 1.59, ... and reach 9.03 at the ninth.
        ("tsn_middle", 17, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16]),
        # 6.25 a segment: 3.125, 9.375, 15.625, ...
        (
            "tsn_middle",
            100,
            [3, 9, 15, 21, 28, 34, 40, 46, 53, 59, 65, 71, 78, 84, 90, 96],
        ),
        ("linspace", 1, repeated([0])),
        ("linspace", 2, [0] + [1] * 15),
        ("linspace", 15, [*range(15), 14]),
        ("linspace", 16, ALL),
        # 16/15 apart: below 15 that is under one frame more, then the last frame.
        ("linspace", 17, [*range(15), 16]),
        # 6.6 apart.
        ("linspace", 100, [0, 6, 13, 19, 26, 33, 39, 46, 52, 59, 66, 72, 79, 85, 92, 99]),
        ("former_dfer_middle", 1, repeated([0])),
        ("former_dfer_middle", 2, repeated([0, 1])),
        ("former_dfer_middle", 9, repeated([0, 1])),
        # Starts at 14/16, 42/16, ... of the 14 places that have a successor.
        ("former_dfer_middle", 15, [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("former_dfer_middle", 16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ("former_dfer_middle", 17, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        # 99/8 = 12.375 a segment: 6.1875, 18.5625, ...
        (
            "former_dfer_middle",
            100,
            [6, 7, 18, 19, 30, 31, 43, 44, 55, 56, 68, 69, 80, 81, 92, 93],
        ),
    ],
)
def test_frames_of_evaluation_worked_by_hand(sampler: str, count: int, expected: list[int]) -> None:
    assert sample_frames(count, 16, sampler) == expected


@pytest.mark.parametrize(
    ("sampler", "count", "least", "most"),
    [
        ("tsn_random", 1, repeated([0]), repeated([0])),
        ("tsn_random", 2, [0] + [1] * 15, [0] + [1] * 15),
        ("tsn_random", 15, [*range(15), 14], [*range(15), 14]),
        ("tsn_random", 16, ALL, ALL),
        ("tsn_random", 17, ALL, ALL),
        ("tsn_random", 100, list(range(0, 96, 6)), list(range(5, 96, 6))),
        ("m3dfel_jitter", 1, repeated([0]), repeated([0])),
        ("m3dfel_jitter", 2, [0] * 8 + [1] * 8, repeated([1])),
        ("m3dfel_jitter", 15, [0, *range(15)], repeated([14])),
        ("m3dfel_jitter", 16, ALL, repeated([15])),
        ("m3dfel_jitter", 17, ALL, [15] + [16] * 15),
        (
            "m3dfel_jitter",
            100,
            [0, 6, 12, 18, 25, 31, 37, 43, 50, 56, 62, 68, 75, 81, 87, 93],
            [15, 21, 27, 33, 40, 46, 52, 58, 65, 71, 77, 83, 90, 96, 99, 99],
        ),
        ("former_dfer_random", 1, repeated([0]), repeated([0])),
        ("former_dfer_random", 2, repeated([0, 1]), repeated([0, 1])),
        ("former_dfer_random", 8, repeated([0, 1]), repeated([0, 1])),
        (
            "former_dfer_random",
            15,
            [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8],
            [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8],
        ),
        ("former_dfer_random", 17, ALL, [*range(1, 17)]),
        (
            "former_dfer_random",
            100,
            [0, 1, 12, 13, 24, 25, 36, 37, 48, 49, 60, 61, 72, 73, 84, 85],
            [11, 12, 23, 24, 35, 36, 47, 48, 59, 60, 71, 72, 83, 84, 95, 96],
        ),
        ("dense_1", 1, repeated([0]), repeated([0])),
        ("dense_1", 2, [0] + [1] * 15, [0] + [1] * 15),
        ("dense_1", 15, [*range(15), 14], [*range(15), 14]),
        ("dense_1", 16, ALL, ALL),
        ("dense_1", 17, ALL, ALL),
        ("dense_1", 100, ALL, list(range(83, 99))),
        ("dense_4", 1, repeated([0]), repeated([0])),
        ("dense_4", 2, repeated([1]), repeated([1])),
        ("dense_4", 15, [0, 7] + [14] * 14, [0, 7] + [14] * 14),
        ("dense_4", 17, [0, 5, 11] + [16] * 13, [0, 5, 11] + [16] * 13),
        # 64/15 apart, from 0 and from 35.
        (
            "dense_4",
            100,
            [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 46, 51, 55, 59, 63],
            [35, 39, 43, 47, 52, 56, 60, 64, 69, 73, 77, 81, 86, 90, 94, 98],
        ),
    ],
)
def test_bounds_of_random_frames_worked_by_hand(
    sampler: str, count: int, least: list[int], most: list[int]
) -> None:
    assert sample_frames(count, 16, sampler, draws=Extreme(largest=False)) == least
    assert sample_frames(count, 16, sampler, draws=Extreme(largest=True)) == most


@pytest.mark.parametrize(
    ("sampler", "padding", "expected"),
    [
        ("tsn_middle", "edge", [*range(10), *[9] * 6]),
        ("tsn_middle", "first", [0] * 16),
        # The clip twice is 20 frames, 1.25 a segment: 0.625, 1.875, 3.125, ...
        ("tsn_middle", "tile", [0, 1, 3, 4, 5, 6, 8, 9, 0, 1, 3, 4, 5, 6, 8, 9]),
        ("tsn_random", "tile", [*range(10), *range(6)]),
        # 19/15 apart in the clip twice.
        ("linspace", "tile", [0, 1, 2, 3, 5, 6, 7, 8, 0, 1, 2, 3, 5, 6, 7, 9]),
    ],
)
def test_ten_frames_as_sixteen(sampler: str, padding: str, expected: list[int]) -> None:
    assert sample_frames(10, 16, sampler, padding, rng.generator("frames")) == expected


@given(
    st.integers(1, 200),
    st.integers(1, 16).map(lambda half: 2 * half),
    st.sampled_from(SAMPLERS),
    st.sampled_from(list(PADDINGS)),
    st.integers(0),
)
def test_frames_are_always_in_the_clip(
    count: int, length: int, sampler: str, padding: str, seed: int
) -> None:
    frames = sample_frames(count, length, sampler, padding, rng.generator(seed))
    assert len(frames) == length
    assert all(type(frame) is int and 0 <= frame < count for frame in frames)
    assert frames == sample_frames(count, length, sampler, padding, rng.generator(seed))
    if count >= length and sampler != "m3dfel_jitter" and not sampler.startswith("former"):
        assert frames == sorted(frames)


@given(st.integers(1, 200), st.sampled_from(FIXED))
def test_evaluation_does_not_draw(count: int, sampler: str) -> None:
    draws = rng.generator("untouched")
    with_draws = sample_frames(count, 16, sampler, draws=draws)
    assert with_draws == sample_frames(count, 16, sampler)
    assert draws.random() == rng.generator("untouched").random()


@pytest.mark.parametrize("sampler", RANDOM)
def test_random_samplers_need_draws(sampler: str) -> None:
    with pytest.raises(ValueError, match="needs draws"):
        sample_frames(100, 16, sampler)
    chosen = {tuple(sample_frames(100, 16, sampler, draws=rng.generator(i))) for i in range(20)}
    assert len(chosen) > 10


def test_names_and_numbers_that_do_not_exist() -> None:
    with pytest.raises(UserError, match=r"frame sampler called 'tsn'.*tsn_"):
        sample_frames(20, 16, "tsn")
    with pytest.raises(UserError, match="padding of short clips called 'edges'"):
        sample_frames(20, 16, padding="edges")
    for count, length in ((0, 16), (16, 0)):
        with pytest.raises(ValueError, match="cannot be sampled"):
            sample_frames(count, length)
    with pytest.raises(ValueError, match="in pairs"):
        sample_frames(20, 15, "former_dfer_middle")
