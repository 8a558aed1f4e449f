from unittest import mock

import imagecorruptions
import numpy as np
import pytest

from bench.perturb.corruptions import blur, disk
from bench.perturb.corruptions.disk import antialiased_disk, factored
from bench.util import rng

SEVERITIES = range(1, 6)


def noisy(height: int, width: int) -> np.ndarray:
    """Smooth shades under noise: what photographs are like to a blur."""
    y, x = np.indices((height, width))
    shades = np.stack([128 + 90 * np.sin(x / 9), y * 255 / height, (x + y) * 127 / width], -1)
    noise = rng.generator("noisy", height, width).normal(0, 3, shades.shape)
    return np.clip(shades + noise, 0, 255).astype(np.uint8)


def squares() -> np.ndarray:
    """All 256 greys in flat squares: where a mean is an integer, the last bit decides."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(10, 0).repeat(10, 1)
    return grey[..., None].repeat(3, 2)


def ramp() -> np.ndarray:
    """One level a row: symmetric weights make every mean an integer."""
    return np.arange(200, dtype=np.uint8)[:, None, None].repeat(50, 1).repeat(3, 2)


PICTURES = {
    "noisy": noisy(112, 112),
    "larger": noisy(224, 200),
    "random": rng.generator("random").integers(0, 256, (33, 57, 3), dtype=np.uint8),
    "two levels": rng.generator("two").integers(0, 2, (48, 40, 3), dtype=np.uint8) * 255,
    "squares": squares(),
    "ramp": ramp(),
    "white": np.full((40, 40, 3), 255, np.uint8),
    "black": np.zeros((40, 40, 3), np.uint8),
}


@pytest.fixture(params=PICTURES)
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    found: np.ndarray = PICTURES[request.param]
    return found


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_is_imagecorruptions(picture: np.ndarray, severity: int) -> None:
    theirs = imagecorruptions.corrupt(picture, severity, corruption_name="gaussian_blur")
    ours = blur.gaussian_blur(picture[None], blur.GAUSSIAN_BLUR_SIGMA[severity - 1])[0]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_blur_is_imagecorruptions(picture: np.ndarray, severity: int) -> None:
    theirs = imagecorruptions.corrupt(picture, severity, corruption_name="defocus_blur")
    ours = disk.defocus_blur(picture[None], *disk.DEFOCUS_BLUR[severity - 1])[0]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_zoom_blur_is_imagecorruptions(picture: np.ndarray, severity: int) -> None:
    theirs = imagecorruptions.corrupt(picture, severity, corruption_name="zoom_blur")
    ours = blur.zoom_blur(picture[None], blur.ZOOM_BLUR_FACTORS[severity - 1])[0]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("angle", [-45.0, -33.3, 0.0, 12.5, 44.9])
def test_motion_blur_of_an_angle_is_imagecorruptions(
    picture: np.ndarray, severity: int, angle: float
) -> None:
    with mock.patch("numpy.random.uniform", return_value=angle) as drawn:
        theirs = imagecorruptions.corrupt(picture, severity, corruption_name="motion_blur")
    drawn.assert_called_once_with(-45, 45)
    ours = np.empty_like(picture)
    blur.smear(picture, *blur.MOTION_BLUR[severity - 1], angle, ours)
    np.testing.assert_array_equal(ours, theirs)


def test_motion_blur_draws_its_angle_from_90_degrees() -> None:
    """A bright point is smeared; where its tail ends is the angle."""
    point = np.zeros((81, 81, 3), np.uint8)
    point[40, 40] = 255
    pictures = np.repeat(point[None], 200, axis=0)
    smeared = blur.motion_blur(pictures, 20, 15.0, [rng.generator("a", i) for i in range(200)])
    angles = []
    for picture in smeared[..., 0]:
        y, x = np.nonzero(picture)
        far = np.argmax((y - 40) ** 2 + (x - 40) ** 2)
        angles.append(np.degrees(np.arctan2(40 - y[far], 40 - x[far])))
    np.testing.assert_allclose(np.quantile(angles, [0.1, 0.5, 0.9]), [-36, 0, 36], atol=9)
    assert max(np.abs(angles)) < 47


@pytest.mark.parametrize("severity", SEVERITIES)
def test_glass_blur_is_like_imagecorruptions(severity: int) -> None:
    """Mean, spread and reach of what changes: of pixels, and of neighbours together."""
    picture = noisy(160, 160)
    reference = imagecorruptions.corruptions.glass_blur
    theirs = [reference(picture, severity, seed=i).astype(np.uint8) for i in range(8)]
    draws = [rng.generator("glass", severity, i) for i in range(8)]
    ours = blur.glass_blur(np.repeat(picture[None], 8, 0), *blur.GLASS_BLUR[severity - 1], draws)
    a, b = (np.stack(list(x)).astype(float) - picture for x in (ours, theirs))
    assert a.mean() == pytest.approx(b.mean(), abs=0.1)
    assert a.std() == pytest.approx(b.std(), rel=0.03)
    for axis in (1, 2):
        shifted = [
            np.mean(np.take(x, range(1, 160), axis) * np.take(x, range(159), axis)) for x in (a, b)
        ]
        assert shifted[0] == pytest.approx(shifted[1], rel=0.06)
    # Between pictures: what is random, apart from what blurring does to all alike.
    assert a.var(0).mean() == pytest.approx(b.var(0).mean(), rel=0.05)


def test_glass_blur_leaves_the_order_of_flat_pictures() -> None:
    grey = np.full((1, 30, 30, 3), 77, np.uint8)
    result = blur.glass_blur(grey, 0.7, 1, 2, [rng.generator("flat")])
    assert set(np.unique(result)) <= {75, 76, 77}


@pytest.mark.parametrize("sigma", [0.2, 0.7, 1.8, 4.0, 15.0])
def test_gaussian_blur_of_any_sigma_is_scipys(picture: np.ndarray, sigma: float) -> None:
    ours = blur.gaussian_blur(picture[None], sigma)[0]
    np.testing.assert_array_equal(ours, blur._reference(picture, sigma))


@pytest.mark.parametrize("radius", [1.0, 2.6, 6.25, 7.0, 7.9, 8.0, 9.3, 15.0])
@pytest.mark.parametrize("alias_blur", [0.1, 0.5, 1.0])
def test_defocus_blur_of_any_radius_is_the_reference(radius: float, alias_blur: float) -> None:
    kernel = antialiased_disk(radius, alias_blur)
    for picture in (PICTURES["noisy"], PICTURES["random"], np.full((1, 3, 3), 200, np.uint8)):
        ours = disk.defocus_blur(picture[None], radius, alias_blur)[0]
        np.testing.assert_array_equal(ours, disk._reference(picture, kernel))


def test_a_disk_weighs_one_inside_its_grid() -> None:
    assert antialiased_disk(6, 0.5).sum() == pytest.approx(1, abs=1e-6)
    # At 8 and 10 the softened rim is folded back, as in imagecorruptions: pictures get brighter.
    assert antialiased_disk(8, 0.5).sum() == pytest.approx(1.013, abs=1e-3)


def test_few_values_are_computed_twice() -> None:
    """The share of doubtful values of a noisy picture, which the speed rests on."""
    for sigma in blur.GAUSSIAN_BLUR_SIGMA:
        assert 2 * blur._rounding_error(blur._half_kernel(sigma)) < 1e-3
    for radius, alias_blur in disk.DEFOCUS_BLUR:
        assert 2 * factored(radius, alias_blur)[1] < 1e-3
