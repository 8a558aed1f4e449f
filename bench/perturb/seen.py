"""Which corruptions resemble what a classifier was trained with: "seen in training".

A table that compares a classifier which met noise in training with one that did not compares
trainings, too, and has to say so. What a training shows is in `bench.classifiers.kinds`.
"""

from collections.abc import Iterable


def words(name: str) -> frozenset[str]:
    """The words of a corruption's name without its preset: "raf_db_c.motion_blur", motion, blur."""
    return frozenset(name.rpartition(".")[2].split("_"))


def alike(declared: str, corruption: str) -> bool:
    """Whether training with `declared` lets a classifier see what `corruption` does.

    Args:
        declared: A corruption, or a kind such as "noise" or "blur", which stands for all of them.
        corruption: A test corruption or sequence; one of a preset is alike the same of another,
            and a mix is alike each of its parts.
    """
    return words(declared) <= words(corruption)


def known_names(corruptions: Iterable[str]) -> list[str]:
    """What may be declared: kinds, and corruptions with and without their preset."""
    found = dict.fromkeys(["noise", "blur"])
    for name in corruptions:
        found |= dict.fromkeys([name, name.rpartition(".")[2]])
    return list(found)
