import numpy as np
import pytest
from kernel_families import corrupted, scene

from bench.perturb.corruptions import face
from bench.util import rng

GREY = np.full((20, 100, 100, 3), 128, np.uint8)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_patch_hides_its_share(share: float) -> None:
    draws = [rng.generator("patch", number) for number in range(20)]
    black = np.zeros((20, 100, 140, 3), np.uint8)
    hidden = [(one.any(axis=-1)).mean() for one in face.patch(black, share, draws)]
    np.testing.assert_allclose(hidden, share, atol=0.006)


@pytest.mark.parametrize(
    ("name", "hidden", "free"),
    [("mask", (75, 50), (38, 30)), ("sunglasses", (38, 33), (75, 50)), ("hand", None, (4, 4))],
)
def test_things_lie_where_the_face_has_its_parts(
    name: str, hidden: tuple[int, int] | None, free: tuple[int, int]
) -> None:
    for severity in (1, 3, 5):
        changed = (corrupted(name, GREY, severity) != GREY).any(axis=-1)
        assert not changed[(slice(None), *free)].any()
        if hidden is not None:
            assert changed[(slice(None), *hidden)].all() or name == "mask"
    assert hidden is None or changed[(slice(None), *hidden)].all()


def test_things_follow_the_face() -> None:
    lower = corrupted("sunglasses", GREY, 3, eyes=0.6, mouth=0.97)
    changed = (lower != GREY).any(axis=(0, 2, 3))
    assert 55 <= np.flatnonzero(changed).mean() <= 63
    with pytest.raises(ValueError, match="above the mouth"):
        corrupted("mask", GREY, 1, eyes=0.8)


def test_framing_moves_pixels_as_stated() -> None:
    picture = scene(101, 101)[None]
    np.testing.assert_array_equal(face.head_crop(picture, zoom=1.0), picture)
    np.testing.assert_array_equal(face.head_crop(picture, zoom=1.7)[0, 50, 50], picture[0, 50, 50])
    turned = face.misaligned_rotation(picture, 90, [rng.generator("turn")])[0]
    quarter = [np.rot90(picture[0], k) for k in (1, 3)]
    assert min(np.abs(turned.astype(int) - one).max() for one in quarter) <= 1
    small = face.misaligned_scale(picture, 0.5)[0]
    np.testing.assert_array_equal(small[50, 50], picture[0, 50, 50])
    np.testing.assert_array_equal(small[26:75, 26:75], picture[0, 2:99:2, 2:99:2])
    np.testing.assert_array_equal(small[0, 0], picture[0, 0, 0])  # the edge is repeated


def test_shift_is_as_far_as_stated_in_every_direction() -> None:
    y, x = np.indices((100, 100))
    ramp = np.stack([x, y, x], axis=-1).astype(np.uint8)
    draws = [rng.generator("shift", number) for number in range(60)]
    moved = face.misaligned_shift(np.stack([ramp] * 60), 0.2, draws)
    steps = moved[:, 50, 50, :2].astype(float) - 50
    np.testing.assert_allclose(np.hypot(*steps.T), 20, atol=1)
    assert len({(dx > 0, dy > 0) for dx, dy in steps}) == 4


def test_low_light_has_the_stated_light_and_noise() -> None:
    draws = [rng.generator("dark", number) for number in range(20)]
    dark = face.low_light(GREY, 2.2, 0.5, 300, 0.004, draws) / 255.0
    light = 0.5 * (128 / 255) ** 2.2
    assert (dark**2.2).mean() == pytest.approx(light, rel=0.01)
    assert (dark**2.2).std() == pytest.approx(np.sqrt(light / 300 + 0.004**2), rel=0.02)


def test_low_resolution_has_few_details_left() -> None:
    noise = rng.generator("details").integers(0, 256, (1, 100, 100, 3), dtype=np.uint8)
    spectrum = np.abs(np.fft.rfft2(face.low_resolution(noise, 0.2)[0, ..., 0])) ** 2
    assert spectrum[15:86, 15:].sum() < 0.02 * (spectrum.sum() - spectrum[0, 0])
    np.testing.assert_array_equal(face.low_resolution(noise, 1.0), noise)
