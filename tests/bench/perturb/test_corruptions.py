import hashlib
import itertools

import numpy as np
import pytest

from bench import rng
from bench.perturb import CORRUPTIONS, SEVERITIES, Corruption

ADDRESS = {"seed": 0, "dataset": "faces", "sample_id": "a"}

# The pixels of a corruption are a promise: RESULT_VERSION and `version` rise when they change.
CHECKSUMS = {
    "gaussian_noise": "941a9a85b8563763",
    "gaussian_blur": "19d6c075bfddd77c",
}


@pytest.fixture(params=CORRUPTIONS.values(), ids=CORRUPTIONS)
def corruption(request: pytest.FixtureRequest) -> Corruption:
    found: Corruption = request.param
    return found


def picture() -> np.ndarray:
    """Stripes of several widths, one direction per channel."""
    y, x = np.indices((64, 64))
    return np.stack([x * 9, y * 5, (x + y) * 3], axis=-1).astype(np.uint8)


def test_pixels_are_pinned(corruption: Corruption) -> None:
    total = hashlib.sha256()
    for severity in SEVERITIES:
        total.update(corruption(picture(), severity, **ADDRESS).tobytes())
    assert total.hexdigest()[:16] == CHECKSUMS[corruption.name]


def test_severity_zero_is_the_identity(corruption: Corruption) -> None:
    np.testing.assert_array_equal(corruption(picture(), 0, **ADDRESS), picture())


def test_distance_grows_with_severity(corruption: Corruption) -> None:
    clean = picture().astype(float)
    distances = [
        np.abs(corruption(picture(), severity, **ADDRESS) - clean).mean() for severity in SEVERITIES
    ]
    assert distances[0] > 1
    assert all(low < high for low, high in itertools.pairwise(distances))


@pytest.mark.parametrize("shape", [(1, 1, 3), (32, 48, 3), (224, 224, 3)])
def test_any_size_works(corruption: Corruption, shape: tuple[int, int, int]) -> None:
    pixels = rng.generator("any size").integers(0, 256, shape, dtype=np.uint8)
    corrupted = corruption(pixels, 5, **ADDRESS)
    assert corrupted.shape == shape and corrupted.dtype == np.uint8


def test_noise_is_addressed_by_every_part() -> None:
    noise = CORRUPTIONS["gaussian_noise"]
    reference = noise(picture(), 2, **ADDRESS)
    np.testing.assert_array_equal(reference, noise(picture(), 2, **ADDRESS))
    for change in ({"seed": 1}, {"dataset": "x"}, {"sample_id": "b"}):
        assert (noise(picture(), 2, **(ADDRESS | change)) != reference).mean() > 0.5


def test_noise_has_the_stated_standard_deviation() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = CORRUPTIONS["gaussian_noise"]
    for severity, sigma in zip(SEVERITIES[:3], noise.levels, strict=False):
        spread = (noise(grey, severity, **ADDRESS) / 255.0).std()
        assert spread == pytest.approx(sigma, rel=0.03)


def test_blur_is_scaled_to_the_face() -> None:
    """The same scene at twice the size, blurred, looks the same when shrunk again."""
    draws = rng.generator("scene")
    coarse = draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    small, large = (coarse.repeat(k, axis=0).repeat(k, axis=1) for k in (4, 8))
    blur = CORRUPTIONS["gaussian_blur"]
    blurred = blur(large, 3, **ADDRESS).reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(blurred - blur(small, 3, **ADDRESS)).mean() < 1.5
