"""Test splits for data sets whose owner made none: the same for everyone who has the same files."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from bench.data.readers.base import subject_folds

TEST_SHARE = 0.2


def held_out_pictures(base: Path, pictures: Iterable[tuple[str, str]]) -> set[str]:
    """The share of each class with the smallest hashes of the files' bytes, and one at least.

    Copies of a picture, and faces of one photograph, have one hash, so they fall on the same side.

    Args:
        base: What the paths are relative to.
        pictures: Path and label of each; a path may come several times.

    Returns:
        Paths of the test split.
    """
    hashes: dict[str, bytes] = {}
    members: dict[str, list[bytes]] = {}
    for path, label in pictures:
        if path not in hashes:
            hashes[path] = sha256((base / path).read_bytes()).digest()
        members.setdefault(label, []).append(hashes[path])
    chosen: set[bytes] = set()
    for found in members.values():
        chosen.update(sorted(found)[: max(1, round(TEST_SHARE * len(found)))])
    return {path for path, found in hashes.items() if found in chosen}


def held_out_persons(persons: Iterable[str]) -> set[str]:
    """The persons of the test split."""
    return {
        name for name, fold in subject_folds(persons, round(1 / TEST_SHARE)).items() if fold == 1
    }
