import random

import numpy as np
import torch

from bench.util import rng


def test_a_generator_is_a_function_of_its_address() -> None:
    first, again = (rng.generator(1, "a", 2).random(4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert rng.key(1, "a") != rng.key("1", "a")
    assert rng.key("a", "bc") != rng.key("ab", "c")


def test_a_fence_seeds_inside_and_restores_outside() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    expected = torch.rand(1).item(), np.random.random(), random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    drawn = []
    for _ in range(2):
        with rng.fenced("here"):
            drawn.append((torch.rand(1).item(), np.random.random(), random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert (torch.rand(1).item(), np.random.random(), random.random()) == expected  # noqa: NPY002
