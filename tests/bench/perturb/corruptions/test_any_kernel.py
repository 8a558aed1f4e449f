"""Random words, RAF-DB-C's mixes, and that every kernel is in a preset, whose tests hold for it."""

import numpy as np
import pytest
from kernel_families import CONSTANTS, KERNELS

from bench.perturb import CORRUPTIONS, presets
from bench.perturb.corruptions.loops import normals, uniform_words
from bench.util import rng

SEVERITIES = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_in_a_preset(name: str) -> None:
    """With its own constants: `test_corruptions` then holds for it."""
    levels = [c.levels for c in CORRUPTIONS.values() if c.kernel is KERNELS[name]]
    assert CONSTANTS[name] in levels and len(CONSTANTS[name]) == 5


def test_words_are_uniform_and_normal() -> None:
    words = uniform_words(rng.generator("words"), 400_003)
    assert words.size == 400_003 and words.dtype == np.uint16
    counts = np.bincount(words >> 8, minlength=256)
    assert ((counts - words.size / 256) ** 2 / (words.size / 256)).sum() < 350  # chi2, 255 dof
    table = normals(FakeDraws(), 1 << 16).astype(float)
    moments = [(table**power).mean() for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, (0, 1, 0, 3), atol=5e-3)
    assert table.var() == pytest.approx(1, abs=1e-4) and abs(table).max() < 4.4


class FakeDraws(np.random.Generator):
    """Raw words that hold every 16-bit number once."""

    def __init__(self) -> None:
        super().__init__(np.random.Philox(0))

    @property
    def bit_generator(self) -> "FakeDraws":  # type: ignore[override]
        return self

    def random_raw(self, count: int) -> np.ndarray:
        return np.arange(4 * count, dtype="<u2").view("<u8")


def test_mixes_name_known_corruptions() -> None:
    known = {"brightness_up", "brightness_down", "contrast_down", "pixelate"}
    known |= {"gaussian_noise", "motion_blur"}
    assert len(presets.MIXES) == 5
    for rows in presets.MIXES.values():
        assert len(rows) == 5
        for parts in rows:
            assert {name for name, _ in parts} <= known
            assert {severity for _, severity in parts} <= set(SEVERITIES)
