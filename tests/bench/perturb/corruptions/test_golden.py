"""What holds for every corruption of every preset."""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_corruptions import ADDRESS, FILE, checksums, picture

from bench import faces
from bench.perturb import CORRUPTIONS, SEVERITIES, Corruption
from bench.util import rng

GOLDEN = json.loads(FILE.read_text())

# Of the default run, over all severities: cells on disk are keyed by them.
CHECKSUMS = {
    "gaussian_noise": "941a9a85b8563763",
    "gaussian_blur": "19d6c075bfddd77c",
}

# Severities that are no farther from the clean picture than the one before, by the constants of
# imagecorruptions. Mean absolute differences that the package itself (imagecorruptions-imaug 1.1.5)
# makes at severities 1-5, on 400 drawn faces with a standard error of 0.05-1.6:
#   snow  42.0 70.6 71.3 86.6 103.9   spatter 2.0 6.1 8.8 6.3 10.0   frost 59.3 69.2 75.7 74.5 77.2
# and on 40 faces: glass blur 8.3 8.4 12.7 12.2 13.4. Snow's second and third are equal within
# the error: its constants trade the number of flakes for their brightness. RAF-DB-C's darkened
# mixes: what the published fourth severity takes from contrast, or gives back, brings darkened
# pixels nearer to where they were.
NOT_FARTHER = {
    "snow": 3,
    "spatter": 4,
    "frost": 4,
    "glass_blur": 4,
    "noise_low_light_low_contrast": 4,
    "motion_blur_low_light_low_contrast": 4,
    "pixelate_low_light_low_contrast": 4,
}


@pytest.fixture(params=CORRUPTIONS.values(), ids=CORRUPTIONS)
def corruption(request: pytest.FixtureRequest) -> Corruption:
    found: Corruption = request.param
    return found


@functools.cache
def drawn_faces() -> np.ndarray:
    """Forty drawn faces, uint8 (40, 64, 64, 3)."""
    return np.stack(
        [faces.draw(faces.sample_face(0, "test", index, drawing=1)) for index in range(40)]
    )


def corrupted(
    corruption: Corruption, severity: int, ids: Sequence[int], threads: int = 1
) -> np.ndarray:
    """Some of the drawn faces, by number."""
    return corruption.batch(
        drawn_faces()[list(ids)],
        severity,
        seed=3,
        dataset="faces",
        sample_ids=[str(i) for i in ids],
        threads=threads,
    )


def noise_of(height: int, width: int) -> np.ndarray:
    return rng.generator("any size", height, width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def test_pixels_are_pinned(corruption: Corruption) -> None:
    """A promise: whoever changes one raises the corruption's version (see golden_corruptions)."""
    assert checksums(corruption) == GOLDEN[corruption.name]


def test_every_pin_is_of_a_corruption() -> None:
    assert list(GOLDEN) == list(CORRUPTIONS)


@pytest.mark.parametrize("name", CHECKSUMS)
def test_pixels_of_the_default_run_stay(name: str) -> None:
    total = hashlib.sha256()
    for severity in SEVERITIES:
        total.update(CORRUPTIONS[name](picture(), severity, **ADDRESS).tobytes())
    assert total.hexdigest()[:16] == CHECKSUMS[name]


@pytest.fixture(scope="module")
def elsewhere() -> list[dict[str, str]]:
    """The checksums as two new processes find them, which may use one and two threads."""
    script = FILE.parents[2] / "helpers" / "golden_corruptions.py"
    started = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
        environment = os.environ | dict.fromkeys(names, threads) | {"PYTHONPATH": str(Path.cwd())}
        started.append(
            subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE)
        )
    return [json.loads(process.communicate(timeout=120)[0]) for process in started]


def test_processes_and_their_threads_make_the_same_pixels(
    corruption: Corruption, elsewhere: list[dict[str, str]]
) -> None:
    for found in elsewhere:
        assert found[corruption.name] == GOLDEN[corruption.name]


def test_threads_of_libraries_make_the_same_pixels(corruption: Corruption) -> None:
    """On a picture that is large enough for OpenCV to share it among threads."""
    large, made = noise_of(200, 300), []
    before = cv2.getNumThreads(), torch.get_num_threads()
    try:
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            torch.set_num_threads(threads)
            made.append(corruption(large, len(corruption.levels), **ADDRESS))
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
    np.testing.assert_array_equal(*made)


def test_a_picture_depends_on_itself_alone(corruption: Corruption) -> None:
    """Bit-equal one by one, in batches of any size and order, and shared by threads."""
    for severity in corruption.severities:
        together = corrupted(corruption, severity, range(7))
        backwards = corrupted(corruption, severity, range(6, -1, -1))[::-1]
        apart = [corrupted(corruption, severity, ids) for ids in ([0], [1, 2], [3, 4, 5, 6])]
        np.testing.assert_array_equal(backwards, together)
        np.testing.assert_array_equal(np.concatenate(apart), together)
        for threads in (2, 3, 9):
            shared = corrupted(corruption, severity, range(7), threads=threads)
            np.testing.assert_array_equal(shared, together)
        single = corruption(drawn_faces()[6], severity, seed=3, dataset="faces", sample_id="6")
        np.testing.assert_array_equal(single, together[6])


def test_severity_zero_is_the_identity(corruption: Corruption) -> None:
    np.testing.assert_array_equal(corruption(picture(), 0, **ADDRESS), picture())


def test_pictures_are_not_written_to(corruption: Corruption) -> None:
    pixels = noise_of(40, 40)
    pixels.flags.writeable = False
    copy = pixels.copy()
    result = corruption(pixels, 3, **ADDRESS)
    np.testing.assert_array_equal(pixels, copy)
    assert not np.shares_memory(result, pixels)


def test_distance_grows_with_severity(corruption: Corruption) -> None:
    """With the same draws at every severity: the same photograph of frost, the same drops."""
    clean, distances = drawn_faces().astype(int), []
    for level in corruption.levels:
        alone = dataclasses.replace(corruption, levels=(level,))
        distances.append(np.abs(corrupted(alone, 1, range(40)) - clean).mean())
    assert distances[0] > 1
    steps = enumerate(itertools.pairwise(distances), start=2)
    fallen = {severity for severity, (lower, higher) in steps if lower >= higher}
    assert fallen <= {NOT_FARTHER.get(corruption.name.rpartition(".")[2])}
    assert distances[0] < distances[-1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (32, 32), (48, 31), (512, 512)])
def test_any_size_works(corruption: Corruption, shape: tuple[int, int]) -> None:
    last = len(corruption.levels)
    for severity in (1, last) if shape[0] < 512 else (last,):
        result = corruption(noise_of(*shape), severity, **ADDRESS)
        assert result.shape == (*shape, 3) and result.dtype == np.uint8


def test_flat_grey_pictures_work(corruption: Corruption) -> None:
    """Red, green and blue alike everywhere: no hue, no edge, no contrast to divide by."""
    for grey in (np.full((40, 40, 3), level, np.uint8) for level in (0, 77, 255)):
        for severity in corruption.severities:
            result = corruption(grey, severity, **ADDRESS)
            assert result.shape == grey.shape and result.dtype == np.uint8


def test_other_arrays_are_refused(corruption: Corruption) -> None:
    """No batch, grey, with alpha, empty, or no bytes."""
    wrong = [np.zeros(shape, np.uint8) for shape in ((9, 9, 3), (1, 9, 9, 1), (1, 9, 9, 4))]
    for pixels in [*wrong, np.zeros((1, 0, 9, 3), np.uint8), np.zeros((1, 9, 9, 3))]:
        ids = [str(i) for i in range(len(pixels))]
        with pytest.raises(ValueError, match="uint8 RGB pictures of shape"):
            corruption.batch(pixels, 1, seed=0, dataset="faces", sample_ids=ids)


def test_every_picture_needs_an_id(corruption: Corruption) -> None:
    with pytest.raises(ValueError, match="40 pictures but 1 sample ids"):
        corruption.batch(drawn_faces(), 1, seed=0, dataset="faces", sample_ids=["a"])


def test_draws_are_addressed_by_every_part(corruption: Corruption) -> None:
    """Another seed, data set, sample, name or severity is another draw, where there are draws."""
    last = len(corruption.levels)
    alike = dataclasses.replace(corruption, levels=corruption.levels[-1:] * last)

    def pixels(of: Corruption = alike, severity: int = last, **change: int | str) -> np.ndarray:
        """Of eight faces: a draw may have few values, such as left and right."""
        address = {"seed": 0, "dataset": "faces", "people": "a"} | change
        ids = [f"{address['people']}{i}" for i in range(8)]
        seed, dataset = int(address["seed"]), str(address["dataset"])
        return of.batch(drawn_faces()[:8], severity, seed=seed, dataset=dataset, sample_ids=ids)

    np.testing.assert_array_equal(pixels(), pixels())
    for other in (
        pixels(seed=1),
        pixels(dataset="x"),
        pixels(people="b"),
        pixels(severity=last - 1),
        pixels(dataclasses.replace(alike, name="another")),
    ):
        assert (other != pixels()).any() == corruption.random


def test_global_generators_are_not_touched(corruption: Corruption) -> None:
    """Neither read nor advanced: numpy's, Python's, torch's and OpenCV's (see `cv2.setRNGSeed`)."""

    def next_draws() -> tuple[object, ...]:
        drawn = cv2.randu(np.empty(4, np.uint8), 0, 256).ravel().tolist()
        return drawn, random.random(), np.random.random(), torch.rand(3).tolist()  # noqa: NPY002

    found = []
    for severity in (None, 1, len(corruption.levels)):
        with rng.fenced("global state"):
            cv2.setRNGSeed(5)
            if severity is not None:
                corruption(drawn_faces()[0], severity, **ADDRESS)
            found.append(next_draws())
    assert found[0] == found[1] == found[2]


def test_noise_has_the_stated_standard_deviation() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = CORRUPTIONS["gaussian_noise"]
    for severity, level in zip(SEVERITIES[:3], noise.levels, strict=False):
        spread = (noise(grey, severity, **ADDRESS) / 255.0).std()
        assert spread == pytest.approx(level["sigma"], rel=0.03)


def test_blur_is_scaled_to_the_face() -> None:
    """The same scene at twice the size, blurred, looks the same when shrunk again."""
    draws = rng.generator("scene")
    coarse = draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    small, large = (coarse.repeat(k, axis=0).repeat(k, axis=1) for k in (4, 8))
    blur = CORRUPTIONS["gaussian_blur"]
    blurred = blur(large, 3, **ADDRESS).reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(blurred - blur(small, 3, **ADDRESS)).mean() < 1.5
