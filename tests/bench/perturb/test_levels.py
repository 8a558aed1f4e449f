"""Continuous levels: noise and blur are as strong as they say."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from bench.perturb import CONTINUOUS
from bench.util import rng

SIGMA, BLUR, SNR = (
    CONTINUOUS[name]
    for name in ("gaussian_noise_sigma", "gaussian_blur_sigma", "gaussian_noise_snr")
)
IDS = ["a", "b", "c"]
ADDRESS = {"seed": 0, "dataset": "faces"}


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Smooth, with structure, of mean levels that differ, away from black and white."""
    draws = rng.generator("levels").normal(size=(3, 96, 80, 3))
    smooth = ndimage.gaussian_filter(draws, (0, 6, 6, 0))
    means = np.array([90, 128, 160])[:, None, None, None]
    return np.clip(means + 12 * smooth / smooth.std(), 60, 190).astype(np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one.astype(float) - other) / 255


@pytest.mark.parametrize("level", [0.01, 0.02, 0.05, 0.06])
def test_noise_has_its_standard_deviation(pictures: np.ndarray, level: float) -> None:
    changed = SIGMA.batch(pictures, SIGMA.level(level), sample_ids=IDS, **ADDRESS)
    each = difference(changed, pictures).reshape(3, -1)
    rounding = 1 / 255**2 / 12
    np.testing.assert_allclose(each.std(axis=1), np.sqrt(level**2 + rounding), rtol=0.02)
    np.testing.assert_allclose(each.mean(axis=1), 0, atol=4 * level / np.sqrt(each.shape[1]))


@pytest.mark.parametrize("level", [40, 30, 20])
def test_noise_has_its_ratio_to_the_power_of_each_picture(
    pictures: np.ndarray, level: float
) -> None:
    changed = SNR.batch(pictures, SNR.level(level), sample_ids=IDS, **ADDRESS)
    power = ((pictures / 255) ** 2).mean(axis=(1, 2, 3))
    noise = (difference(changed, pictures) ** 2).mean(axis=(1, 2, 3)) - 1 / 255**2 / 12
    assert np.ptp(power) > 0.1
    np.testing.assert_allclose(10 * np.log10(power / noise), level, atol=0.2)


@pytest.mark.parametrize("level", [0.1, 0.5, 1, 2, 7.3])
def test_blur_is_that_of_scipy(pictures: np.ndarray, level: float) -> None:
    changed = BLUR.batch(pictures, BLUR.level(level), sample_ids=IDS, **ADDRESS)
    expected = ndimage.gaussian_filter(pictures.astype(float), (0, level, level, 0), mode="nearest")
    assert np.abs(changed - expected).max() <= 1
    if level >= 0.5:
        assert (changed != pictures).any()


@pytest.mark.parametrize("one", CONTINUOUS.values(), ids=CONTINUOUS)
def test_a_picture_is_changed_alike_alone_and_among_others(one, pictures: np.ndarray) -> None:
    severity = one.level(one.levels[1])
    together = one.batch(pictures, severity, sample_ids=IDS, **ADDRESS)
    for place in (2, 0, 1):
        alone = one.batch(pictures[[place]], severity, sample_ids=[IDS[place]], **ADDRESS)
        np.testing.assert_array_equal(alone[0], together[place])
    if one.random:
        for address in (
            {"seed": 1, "dataset": "faces", "sample_ids": IDS},
            {"seed": 0, "dataset": "others", "sample_ids": IDS},
            {"seed": 0, "dataset": "faces", "sample_ids": ["d", "e", "f"]},
        ):
            assert (one.batch(pictures, severity, **address) != together).mean() > 0.5


@pytest.mark.parametrize("one", CONTINUOUS.values(), ids=CONTINUOUS)
def test_the_usual_levels_go_from_mild_to_strong(one, pictures: np.ndarray) -> None:
    far = [
        np.abs(
            difference(one.batch(pictures, one.level(v), sample_ids=IDS, **ADDRESS), pictures)
        ).mean()
        for v in one.levels
    ]
    assert far == sorted(far) and far[0] > 0


def test_a_black_picture_has_no_power() -> None:
    black = np.zeros((1, 8, 8, 3), np.uint8)
    changed = SNR.batch(black, "10 dB", sample_ids=["a"], **ADDRESS)
    assert not changed.any()
    assert SIGMA.batch(black, "0.1", sample_ids=["a"], **ADDRESS).any()


def test_levels_as_text_and_their_bounds(pictures: np.ndarray) -> None:
    assert (SIGMA.level(0.05), BLUR.level(1.0), SNR.level(30)) == ("0.05", "1", "30 dB")
    assert SNR.level(-0.0) == "0 dB" and SNR.level(-2.5) == "-2.5 dB"
    for one, level in ((SIGMA, 0), (SIGMA, 1.1), (BLUR, 0), (SNR, 61), (SNR, float("nan"))):
        with pytest.raises(ValueError, match=one.name):
            one.level(level)
    with pytest.raises(ValueError, match="one each"):
        SIGMA.batch(pictures, "0.05", sample_ids=["a"], **ADDRESS)


GOLDEN = {
    "gaussian_noise_sigma": "fcd965a41195ae7c",
    "gaussian_blur_sigma": "713789b65cb12d3a",
    "gaussian_noise_snr": "36ca68beff02fecd",
}


@pytest.mark.parametrize("one", CONTINUOUS.values(), ids=CONTINUOUS)
def test_pixels_stay_what_they_are(one) -> None:
    """Cells on disk are keyed by `parameters`: other pixels need another `version`."""
    draws = rng.generator("golden levels")
    pictures = draws.integers(0, 256, (2, 20, 17, 3), dtype=np.uint8)
    found = b"".join(
        one.batch(pictures, one.level(v), sample_ids=["a", "b"], **ADDRESS).tobytes()
        for v in one.levels
    )
    assert hashlib.blake2b(found, digest_size=8).hexdigest() == GOLDEN[one.name]
    assert one.parameters() == {"name": one.name, "version": 1}
