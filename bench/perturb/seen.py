"""Which corruptions resemble what a classifier was trained with: "seen in training".

A table that compares a classifier which met noise in training with one that did not compares
trainings, too, and has to say so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

#: What training in this bench shows besides clean pictures. A denoiser, and its control on the same
#: trunk, learn from pictures in Gaussian noise, and pictures are moved by a few pixels.
_SHIFTED = ("shift", "translation")
_BY_KIND = {"emodc": ("noise", *_SHIFTED), "control": ("noise", *_SHIFTED), "baseline": _SHIFTED}


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


def trained_with(training: Mapping[str, Any]) -> tuple[str, ...]:
    """What a manifest's `training` says was seen besides clean pictures.

    What a user has declared, and what the recipe's kind implies.
    """
    declared: Iterable[str] = training.get("trained_with", ())
    return tuple(dict.fromkeys([*declared, *_BY_KIND.get(training.get("kind", ""), ())]))


def seen(training: Mapping[str, Any], corruption: str) -> bool:
    """Whether a classifier of this training has seen a corruption, or one alike."""
    return any(alike(declared, corruption) for declared in trained_with(training))


def known_names(corruptions: Iterable[str]) -> list[str]:
    """What may be declared: kinds, and corruptions with and without their preset."""
    found = dict.fromkeys(["noise", "blur"])
    for name in corruptions:
        found |= dict.fromkeys([name, name.rpartition(".")[2]])
    return list(found)
