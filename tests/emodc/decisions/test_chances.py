"""How likely cells are to be visited early."""

from collections.abc import Callable

import numpy as np
import pytest

from emodc.analysis import Floats
from emodc.decisions.decide import Ints, chances, stratified, successive

Order = Callable[[Floats, np.random.Generator], Ints]


@pytest.mark.parametrize("count", [1, 7, 29])
def test_chances_add_up_to_the_count(count: int) -> None:
    sizes = np.geomspace(0.1, 5, 30)
    found = chances(sizes, count)
    assert found.sum() == pytest.approx(count)
    assert (np.diff(found) > -1e-12).all() and 0 < found.min() < found.max() <= 1


def test_alike_cells_have_alike_chances_and_all_are_certain_in_the_end() -> None:
    np.testing.assert_allclose(chances(np.full(20, 3.0), 5), 0.25)
    np.testing.assert_array_equal(chances(np.geomspace(0.1, 5, 20), 20), 1.0)


@pytest.mark.parametrize(("order", "near"), [(successive, 0.04), (stratified, 0.1)])
def test_they_are_how_often_orders_visit(order: Order, near: float) -> None:
    sizes, orders = np.linspace(0.2, 3, 50), 3000
    visited = np.zeros(50)
    for number in range(orders):
        visited[order(sizes, np.random.default_rng(number))[:15]] += 1
    np.testing.assert_allclose(visited / orders, chances(sizes, 15), atol=near)
