"""Near-identical pictures are found, different ones are not, also where there are many."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from bench.data.on_disk.examine import BYTES, COARSE_BYTES, likeness_hash
from bench.data.on_disk.verify import COARSE_LIMIT, FINE_LIMIT, near_identical
from bench.faces import generate
from bench.util import rng


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """280 drawn faces of 40 persons."""
    return list(generate(3, "near", range(280)))


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def pairs_found(pictures: list[np.ndarray], copies: list[np.ndarray]) -> int:
    groups = near_identical([likeness_hash(p) for p in (*pictures, *copies)]).groups
    return int((groups[: len(pictures)] == groups[len(pictures) :]).sum())


def test_different_faces_are_different(faces: list[np.ndarray]) -> None:
    found = near_identical([likeness_hash(face) for face in faces])
    assert len(set(found.groups.tolist())) == len(faces)
    assert not found.plain.any()


def test_copies_are_found(faces: list[np.ndarray]) -> None:
    some = faces[:100]
    assert pairs_found(some, [as_jpeg(face, 95) for face in some]) >= 99
    assert pairs_found(some, [resized(face, 100) for face in some]) >= 98
    assert pairs_found(some, [as_jpeg(resized(face, 224), 95) for face in some]) >= 98
    brighter = [np.clip(face.astype(int) + 10, 0, 255).astype(np.uint8) for face in some]
    assert pairs_found(some, brighter) >= 99
    assert pairs_found(some, [face[:, ::-1] for face in some]) == 0


def test_flat_pictures_and_shades_are_no_copies_of_each_other() -> None:
    flat = [np.full((30, 30, 3), value, np.uint8) for value in range(0, 250, 50)]
    shade = np.broadcast_to(np.arange(40, dtype=np.uint8)[None, :, None] * 5, (40, 40, 3))
    shades = [shade, shade[:, ::-1], shade.transpose(1, 0, 2), shade // 2]
    pictures = [*flat, *shades, np.zeros((1, 1, 3), np.uint8)]
    found = near_identical([likeness_hash(picture) for picture in pictures])
    assert found.plain.all()
    assert len(set(found.groups.tolist())) == len(pictures)


def test_no_pictures() -> None:
    found = near_identical([])
    assert len(found.groups) == len(found.plain) == 0


def flipped(hashed: np.ndarray, coarse: int, fine: int, draws: np.random.Generator) -> np.ndarray:
    bits = np.unpackbits(hashed)
    edge = 8 * COARSE_BYTES
    bits[draws.choice(edge, coarse, replace=False)] ^= 1
    bits[edge + draws.choice(8 * BYTES - edge, fine, replace=False)] ^= 1
    return np.packbits(bits)


def test_every_pair_within_the_limits_is_found_among_60_000_in_seconds() -> None:
    draws = rng.generator("near")
    hashes = draws.integers(0, 256, (60_000, BYTES), dtype=np.uint8)
    for number in range(200):
        hashes[30_000 + number] = flipped(
            hashes[number], number % (COARSE_LIMIT + 1), number % (FINE_LIMIT + 1), draws
        )
    hashes[40_000] = flipped(hashes[300], COARSE_LIMIT + 1, 0, draws)
    hashes[40_001] = flipped(hashes[301], 0, FINE_LIMIT + 1, draws)
    hashes[50_000:] = hashes[400]  # thousands of copies
    started = time.monotonic()
    groups = near_identical([row.tobytes() for row in hashes]).groups
    assert time.monotonic() - started < 30  # 0.7 s where nothing else runs
    assert (groups[:200] == groups[30_000:30_200]).all()
    assert groups[300] != groups[40_000] and groups[301] != groups[40_001]
    assert (groups[50_000:] == groups[400]).all()
    assert len(set(groups.tolist())) == 60_000 - 200 - 10_000


def test_likeness_by_way_of_others_is_one_group(faces: list[np.ndarray]) -> None:
    draws = rng.generator("chain")
    chain = [np.frombuffer(likeness_hash(faces[0]), np.uint8)]
    for _ in range(5):
        chain.append(flipped(chain[-1], 3, 10, draws))
    groups = near_identical([link.tobytes() for link in chain]).groups
    assert len(set(groups.tolist())) == 1
