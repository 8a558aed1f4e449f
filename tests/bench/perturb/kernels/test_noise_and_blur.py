"""What holds for all nine noises and blurs alike."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bench import rng
from bench.perturb.kernels import blur, noise

Draws = Sequence[np.random.Generator]
Kernel = Callable[[np.ndarray, int, Draws], np.ndarray]

#: Name -> the kernel at imagecorruptions' constants of severity 1-5 (index 0-4).
KERNELS: dict[str, Kernel] = {
    "gaussian_noise": lambda p, s, d: noise.gaussian_noise(p, noise.GAUSSIAN_NOISE_SCALE[s], d),
    "shot_noise": lambda p, s, d: noise.shot_noise(p, noise.SHOT_NOISE_PHOTONS[s], d),
    "impulse_noise": lambda p, s, d: noise.impulse_noise(p, noise.IMPULSE_NOISE_AMOUNT[s], d),
    "speckle_noise": lambda p, s, d: noise.speckle_noise(p, noise.SPECKLE_NOISE_SCALE[s], d),
    "gaussian_blur": lambda p, s, d: blur.gaussian_blur(p, blur.GAUSSIAN_BLUR_SIGMA[s]),
    "defocus_blur": lambda p, s, d: blur.defocus_blur(p, *blur.DEFOCUS_BLUR[s]),
    "motion_blur": lambda p, s, d: blur.motion_blur(p, *blur.MOTION_BLUR[s], d),
    "zoom_blur": lambda p, s, d: blur.zoom_blur(p, blur.ZOOM_BLUR_FACTORS[s]),
    "glass_blur": lambda p, s, d: blur.glass_blur(p, *blur.GLASS_BLUR[s], d),
}
RANDOM = [name for name in KERNELS if "noise" in name] + ["motion_blur", "glass_blur"]

# The pixels are a promise: whoever changes one of these changes published results.
CHECKSUMS = {
    "gaussian_noise": "eea35ed52fdc 50cb69c429e2 1e5427df6107 cdd74d2c5575 61f70214c236",
    "shot_noise": "6b307535ede8 a3d7130c1941 03973d794518 cfc891e4de2e acc6e0da2c27",
    "impulse_noise": "f8b85288e166 c77ecf27dd74 fcd150b5c123 62da437a6796 f850879fb4e8",
    "speckle_noise": "3465fef208de ced324cc75d5 a36af1105e03 4c7c3c21d050 7f24a71ca360",
    "gaussian_blur": "b925ebfd35e6 c792dc264f41 f95771dddb85 b30f22f3a203 e9b3e2bb3605",
    "defocus_blur": "38eedf9aeb4a 87685f3ec0c4 3086ca229f9f c8c1ba3bb0a9 7fd2247e23f9",
    "motion_blur": "3e501ba47f26 d12e4abaa055 70e3687c642c ebda68ec7b2f dea834f4fa93",
    "zoom_blur": "259631dfb637 dd283fc3150d 5c14e0d68cae 7ed3f0ffcb9c 15132483c240",
    "glass_blur": "59066b11175a 6f2a58361879 f1f0b2d81ca1 44e7a3a2706d 27eeb16aa3e9",
}


@pytest.fixture(params=KERNELS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def scene(height: int, width: int) -> np.ndarray:
    """Stripes of several widths, one direction per channel, with a black and a white corner."""
    y, x = np.indices((height, width))
    picture = np.stack([x * 9, y * 5, (x + y) * 3], axis=-1).astype(np.uint8)
    picture[: height // 3, : width // 3] = 0
    picture[-height // 3 :, -width // 3 :] = 255
    return picture


def batch(count: int, height: int = 40, width: int = 48) -> np.ndarray:
    return rng.generator("batch", height, width).integers(
        0, 256, (count, height, width, 3), dtype=np.uint8
    )


def draws(ids: Sequence[int]) -> list[np.random.Generator]:
    return [rng.generator("kernels", i) for i in ids]


def test_pixels_are_pinned(name: str) -> None:
    found = [
        hashlib.sha256(KERNELS[name](scene(64, 64)[None], s, draws([s])).tobytes()).hexdigest()[:12]
        for s in range(5)
    ]
    assert found == CHECKSUMS[name].split()


def test_a_picture_depends_on_itself_alone(name: str) -> None:
    """Bit-equal alone, in a batch, in another order and computed by two threads at once."""
    pictures, kernel = batch(6), KERNELS[name]
    together = kernel(pictures, 4, draws(range(6)))
    for i in range(6):
        np.testing.assert_array_equal(kernel(pictures[i : i + 1], 4, draws([i]))[0], together[i])
    backwards = kernel(pictures[::-1], 4, draws(range(5, -1, -1)))
    np.testing.assert_array_equal(backwards[::-1], together)
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(lambda ids: kernel(pictures[ids], 4, draws(ids)), ([0, 1, 2], [3, 4, 5]))
        np.testing.assert_array_equal(np.concatenate(list(halves)), together)


@pytest.mark.parametrize("name", RANDOM)
def test_generators_make_the_difference(name: str) -> None:
    pictures = np.repeat(batch(1), 2, axis=0)
    one, other = KERNELS[name](pictures, 2, draws([1, 2]))
    assert (one != other).mean() > 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (32, 32), (7, 50), (512, 512)])
def test_any_size_works(name: str, shape: tuple[int, int]) -> None:
    pictures = batch(1, *shape)
    before = pictures.copy()
    result = KERNELS[name](pictures, 4, draws([0]))
    assert result.shape == pictures.shape and result.dtype == np.uint8
    np.testing.assert_array_equal(pictures, before)


def test_distance_grows_with_severity(name: str) -> None:
    pictures = np.stack([scene(96, 96)] * 4)
    distances = [
        np.abs(KERNELS[name](pictures, s, draws(range(4))).astype(int) - pictures).mean()
        for s in range(5)
    ]
    assert distances[0] > 0.5
    rises = [low < high for low, high in itertools.pairwise(distances)]
    # Glass blur's severities trade reach for repetition: imagecorruptions' fourth is milder.
    assert all(rises) or (name == "glass_blur" and sum(rises) >= 2 and distances[4] > distances[0])


@pytest.mark.parametrize(
    "wrong",
    [batch(1)[0], batch(1)[..., :1], batch(1).astype(np.float32), batch(1)[:, :0]],
    ids=["no batch", "grey", "float", "empty"],
)
def test_other_arrays_are_refused(name: str, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 RGB pictures of shape"):
        KERNELS[name](wrong, 0, draws(range(len(wrong))))


@pytest.mark.parametrize("name", RANDOM)
def test_every_picture_needs_a_generator(name: str) -> None:
    with pytest.raises(ValueError, match="2 pictures but 1 generators"):
        KERNELS[name](batch(2), 0, draws([0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, d: noise.gaussian_noise(p, 0, d), "scale"),
        (lambda p, d: noise.speckle_noise(p, float("nan"), d), "scale"),
        (lambda p, d: noise.shot_noise(p, -1, d), "photons"),
        (lambda p, d: noise.impulse_noise(p, 1.5, d), "share"),
        (lambda p, d: blur.gaussian_blur(p, 0), "sigma"),
        (lambda p, d: blur.defocus_blur(p, 0.5, 0.1), "radius"),
        (lambda p, d: blur.motion_blur(p, 0, 3, d), "radius"),
        (lambda p, d: blur.zoom_blur(p, [0.9]), "factors"),
        (lambda p, d: blur.glass_blur(p, 1, 0, 1, d), "max_delta"),
    ],
)
def test_constants_out_of_range_are_refused(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(batch(1), draws([0]))
