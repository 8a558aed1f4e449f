import copy
from typing import Any

import pytest

from bench.sweep.verify import golden_changes

GOLDEN: dict[str, dict[str, Any]] = {
    "pixels": {"clean 0": "aa"},
    "cells": {
        "emodc clean 0": {"n": 70, "accuracy": 0.9, "d_p": 0.4, "mean_logit": -20.0},
        "emodc pgd 2/255": {"n": 14, "accuracy": 0.5, "d_p": 0.9, "mean_logit": -20.0},
    },
}


def moved(path: tuple[str, ...], value: object) -> list[str]:
    found = copy.deepcopy(GOLDEN)
    target: dict = found
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return golden_changes(GOLDEN, found)


def test_equal_results_are_quiet() -> None:
    assert golden_changes(GOLDEN, copy.deepcopy(GOLDEN)) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("pixels", "clean 0"), "ab", "must be identical"),
        (("cells", "emodc clean 0", "n"), 69, "n 70 -> 69"),
        (("cells", "emodc clean 0", "accuracy"), 0.95, "accuracy 0.9 -> 0.95"),
        (("cells", "emodc clean 0", "d_p"), 0.402, "d_p 0.4 -> 0.402"),
        (("cells", "emodc clean 0", "d_p"), float("nan"), "d_p"),
        (("cells", "emodc clean 0", "d_p"), None, "d_p"),
        (("pixels", "new 1"), "cc", "appeared"),
    ],
)
def test_what_moved_is_said(path: tuple[str, ...], value: object, words: str) -> None:
    changes = moved(path, value)
    assert len(changes) == 1
    assert words in changes[0]


def test_small_differences_of_processors_are_accepted() -> None:
    assert moved(("cells", "emodc clean 0", "d_p"), 0.4005) == []
    assert moved(("cells", "emodc clean 0", "accuracy"), 0.9 + 1 / 70) == []
    assert moved(("cells", "emodc pgd 2/255", "accuracy"), 0.5 + 1 / 14) == []
    assert len(moved(("cells", "emodc pgd 2/255", "accuracy"), 0.5 + 2 / 14)) == 1


def test_a_cell_that_is_gone_is_said() -> None:
    left = {"emodc pgd 2/255": GOLDEN["cells"]["emodc pgd 2/255"]}
    found = {"pixels": GOLDEN["pixels"], "cells": left}
    assert golden_changes(GOLDEN, found) == ["emodc clean 0: is gone"]
