"""What holds for every kernel of weather, colour, digital and faces."""

import hashlib
import itertools

import cv2
import numpy as np
import pytest
from kernel_families import CONSTANTS, KERNELS, corrupted, is_random, scene

from bench import rng
from bench.data.faces import generate
from bench.perturb.kernels import mixes
from bench.perturb.kernels.words import normals, uniform_words

SEVERITIES = (1, 2, 3, 4, 5)
FACES = generate(0, "val", range(40))

# The pixels of a kernel are a promise: one checksum per severity on `scene(48, 64)`.
CHECKSUMS = {
    "snow": "e9d94e99 20f2918b 87d7fcf1 52695c2e 12dd9e21",
    "frost": "da9ab5d2 733e3211 df69a673 31ac263e cb0b1aea",
    "fog": "0fccd8e2 e8165215 40c28d90 6b7dc164 003c2d7f",
    "spatter": "99bf8801 a7fc10af 8db33309 e73a6598 edbe3587",
    "brightness": "15dcd330 094ff92b 84be763e aea2fb5d 99329b37",
    "contrast": "edb9193e d4a7f672 b78d8847 827f8130 1a0b332f",
    "saturate": "2e4ae61c 5abf1582 751a52c6 98886aac 74e37223",
    "pixelate": "cc84af5c bdcb3b7a f63ec5e4 e01a44b6 2d629836",
    "jpeg_compression": "1334e155 3a6f2b23 48a6f2c2 b7962b7a 8ae72f51",
    "elastic_transform": "4c783a79 0f4894c6 302f541b 4821a3c1 503f5a3b",
    "patch": "81b61ad6 7c456640 2d5627d8 2a84e7b3 91d4898e",
    "mask": "85dacb5e 67de23d2 800a244a 7705683f 6418f8b7",
    "sunglasses": "11d76174 337bc006 6570bfa4 e04e1ba1 aeabd5a7",
    "hand": "c38b6365 93d91876 a5bc272e 0690c040 710a3977",
    "misaligned_rotation": "852a3d14 e9db48b6 21591107 c090e587 e0869467",
    "misaligned_shift": "1eec4920 2b82e8d1 9cda6968 922aafb7 3f06bebd",
    "misaligned_scale": "61eba9d3 979eefac 1c043816 ab1a6dc5 0e8fe26a",
    "head_crop": "35a395b3 7b436650 33a9367a 9c33b23c 3e567b9a",
    "low_light": "06430412 72235a3f 78863795 9f4bb010 1ef3e269",
    "low_resolution": "8babdf5e c3d34662 7ff7e80b 33626a3a 66077c38",
    "jpeg_resave": "e30c7731 e80e6399 38d19454 2deb9d63 2a1e71c9",
}


@pytest.fixture(params=KERNELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_pixels_are_pinned(name: str) -> None:
    found = [
        hashlib.sha256(corrupted(name, scene(48, 64)[None], severity).tobytes()).hexdigest()[:8]
        for severity in SEVERITIES
    ]
    assert " ".join(found) == CHECKSUMS[name]


def test_a_picture_depends_on_nothing_but_itself(name: str) -> None:
    pictures = rng.generator("pictures").integers(0, 256, (5, 40, 56, 3), dtype=np.uint8)
    before = pictures.copy()
    together = corrupted(name, pictures, 4)
    alone = [corrupted(name, pictures[i : i + 1], 4, first=i)[0] for i in range(5)]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(pictures, before)
    threads = cv2.getNumThreads()
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            np.testing.assert_array_equal(corrupted(name, pictures, 4), together)
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (32, 32), (33, 90), (512, 512)])
def test_any_size_works(name: str, shape: tuple[int, int]) -> None:
    pictures = rng.generator("sizes").integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    for severity in (1, 5):
        result = corrupted(name, pictures, severity)
        assert result.shape == pictures.shape and result.dtype == np.uint8


def test_distance_grows_with_severity(name: str) -> None:
    if name == "saturate":
        pytest.skip("its first two severities take colour away, the others add it")
    pictures = FACES if name != "frost" else np.concatenate([FACES] * 5)  # six photographs
    distances = [
        np.abs(corrupted(name, pictures, severity).astype(int) - pictures).mean()
        for severity in SEVERITIES
    ]
    # The package: flakes become fewer, frost takes more light away, mud follows water.
    exceptions = {"snow": {3}, "frost": {4}, "spatter": {4}}.get(name, set())
    for severity, (low, high) in enumerate(itertools.pairwise(distances), start=2):
        assert (high > low) == (severity not in exceptions), (severity, distances)


def test_draws_differ_from_picture_to_picture(name: str) -> None:
    first, *others = corrupted(name, np.stack([scene(64, 64)] * 8), 3)
    assert any((first != other).any() for other in others) == is_random(name)


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


def test_what_is_no_batch_is_refused(name: str) -> None:
    for wrong in (scene(32, 32), scene(32, 32)[None, ..., :1], scene(32, 32)[None] / 255.0):
        with pytest.raises(ValueError, match="Corruptions take uint8 RGB"):
            corrupted(name, wrong, 1)


def test_mixes_name_known_corruptions() -> None:
    known = {"brightness_up", "brightness_down", "contrast_down", "pixelate"}
    known |= {"gaussian_noise", "motion_blur"}
    assert len(mixes.MIXES) == 5
    for rows in mixes.MIXES.values():
        assert len(rows) == 5
        for parts in rows:
            assert {name for name, _ in parts} <= known
            assert {severity for _, severity in parts} <= set(SEVERITIES)


def test_every_kernel_has_five_severities(name: str) -> None:
    assert len(CONSTANTS[name]) == 5
