from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emodc.decisions.decide import (
    TIE,
    Decisions,
    Order,
    Rule,
    Seen,
    cell_weights,
    decide,
    evenly_spaced,
    growing_looks,
    look,
    lowest,
    spread,
    stratified,
    successive,
    visited,
)
from emodc.decisions.rules import (
    FullGrid,
    MajorityVote,
    PairedTTest,
    SequentialTest,
    Stages,
    Threshold,
)
from emodc.diffusion.noise import philox

RULES = [
    FullGrid(),
    FullGrid(count=3),
    Stages(),
    Stages(keep=((2, 2), (5, 1))),
    PairedTTest(p=0.1, minimum=3),
    Threshold(margin=0.3),
    MajorityVote(),
    SequentialTest(delta=0.3, minimum=2),
    SequentialTest(delta=0.3, order="random"),
    SequentialTest(delta=0.3, kind="bounded", bound=8.0),
]


@dataclass(frozen=True)
class Lengthy(Rule):
    """Sizes in proportion to timesteps; decides at the first cell."""

    order: Order = field(default="random", init=False)

    def looks(self, steps: int) -> tuple[int, ...]:
        return (1,)

    def sizes(self, timesteps, scale):
        return timesteps * scale

    def survivors(self, seen: Seen):
        return seen.alive


def traces(pictures: int, classes: int = 7, steps: int = 40, seed: int = 0):
    draw = np.random.default_rng(seed)
    errors = draw.normal(size=(pictures, classes, steps)) + draw.normal(size=(pictures, classes, 1))
    timesteps = np.sort(draw.integers(0, 500, (pictures, steps)), axis=1)
    return errors, timesteps, [f"picture {i}" for i in range(pictures)]


def stepwise(errors, timesteps, weights, rule: Rule, sample_id: str):
    """One picture as the live engine decides it: cells are measured when a look asks for them."""
    [factors] = cell_weights(None if weights is None else weights[None], 1, len(timesteps))
    cells = visited(rule, timesteps, factors, 0, sample_id)
    known = np.full((len(errors), len(cells)), np.nan)
    alive, seen = np.ones((1, len(errors)), bool), np.zeros(len(errors), int)
    looks = rule.looks(len(cells))
    for before, count in zip((0, *looks), looks, strict=False):
        asked = cells[before:count]
        known[alive[0], before:count] = (errors[:, asked] * factors[asked])[alive[0]]
        seen[alive[0]] = count
        own = Seen(known[None, :, :count], alive, timesteps[None, cells], factors[None, cells])
        alive, winner, done = look(rule, own, count == looks[-1])
        if done[0]:
            return winner[0], seen
    raise AssertionError("the last look did not decide")


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_replay_decides_as_measuring_step_by_step(rule: Rule, weighted: bool) -> None:
    errors, timesteps, ids = traces(30)
    weights = np.random.default_rng(1).integers(0, 3, timesteps.shape) / 2 if weighted else None
    replayed = decide(errors, timesteps, rule, ids, weights=weights)
    for i, sample_id in enumerate(ids):
        own = None if weights is None else weights[i]
        winner, seen = stepwise(errors[i], timesteps[i], own, rule, sample_id)
        assert winner == replayed.winner[i]
        np.testing.assert_array_equal(seen, replayed.seen[i])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_decision_depends_on_its_own_picture_only(rule: Rule) -> None:
    errors, timesteps, ids = traces(300)
    whole = decide(errors, timesteps, rule, ids)
    for subset in (np.arange(299, -1, -1), np.array([7, 3]), np.array([5])):
        part = decide(errors[subset], timesteps[subset], rule, [ids[i] for i in subset])
        np.testing.assert_array_equal(part.winner, whole.winner[subset])
        np.testing.assert_array_equal(part.seen, whole.seen[subset])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_classes_and_few_steps(rule: Rule, classes: int, steps: int) -> None:
    errors, timesteps, ids = traces(20, classes, steps)
    decided = decide(errors, timesteps, rule, ids)
    assert ((decided.winner >= TIE) & (decided.winner < classes)).all()
    assert (decided.seen >= 1).all() and (decided.steps <= steps).all()
    if steps == 1:
        np.testing.assert_array_equal(decided.winner, errors[:, :, 0].argmin(axis=1))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_classes_that_never_differ_tie(rule: Rule) -> None:
    errors, timesteps, ids = traces(5)
    errors[:, 1] = errors[:, 0] = errors.min(axis=1) - 5  # alike, and far below all others
    assert (decide(errors, timesteps, rule, ids).winner == TIE).all()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_looks_ascend_and_stay_within_the_grid(rule: Rule) -> None:
    for steps in (1, 2, 5, 19, 20, 21, 100, 1000):
        looks = rule.looks(steps)
        assert looks[0] >= 1 and looks[-1] <= steps
        assert (np.diff(looks) > 0).all()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_cell_is_visited_once(rule: Rule) -> None:
    timesteps, scale = np.arange(37) * 13, np.linspace(0.1, 3, 37)
    cells = rule.cells(timesteps, scale, 0, "a")
    assert len(set(cells.tolist())) == len(cells)
    assert set(cells.tolist()) <= set(range(37))
    if not isinstance(rule, FullGrid):
        assert len(cells) == 37


def test_ids_and_seed_address_the_order() -> None:
    rule = SequentialTest(order="random")
    grid = np.arange(50), np.ones(50)
    first = rule.cells(*grid, 0, "a")
    np.testing.assert_array_equal(first, rule.cells(*grid, 0, "a"))
    assert (first != rule.cells(*grid, 0, "b")).any()
    assert (first != rule.cells(*grid, 1, "a")).any()


def test_sizes_say_how_early_cells_come() -> None:
    timesteps = np.array([1, 2, 5])
    first = [Lengthy().cells(timesteps, np.ones(3), 0, str(i))[0] for i in range(4000)]
    shares = np.bincount(first, minlength=3) / 4000
    np.testing.assert_allclose(shares, [1 / 8, 2 / 8, 5 / 8], atol=0.03)


def test_successive_sampling_draws_in_proportion_from_what_is_left() -> None:
    sizes = np.array([1.0, 2.0, 5.0])
    orders = [tuple(successive(sizes, philox(0, i))) for i in range(4000)]
    for order, chance in {(2, 1, 0): 5 / 8 * 2 / 3, (0, 1, 2): 1 / 8 * 2 / 7}.items():
        assert orders.count(order) / 4000 == pytest.approx(chance, abs=0.03)


@given(st.integers(0, 10_000), st.integers(3, 6))
def test_first_cells_of_a_stratified_order_lie_in_equal_parts_of_the_sizes(seed, digits) -> None:
    count = 2**digits
    order = stratified(np.ones(64), np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(64))
    assert len(set((order[:count] // (64 // count)).tolist())) == count


def test_a_stratified_order_follows_the_sizes() -> None:
    sizes = np.array([8.0, 4.0, 2.0, 1.0, 1.0])
    first = [stratified(sizes, philox(0, i))[0] for i in range(4000)]
    np.testing.assert_allclose(np.bincount(first) / 4000, sizes / 16, atol=0.03)
    big = np.array([stratified(sizes, philox(0, i))[:2] for i in range(50)])
    assert (big == 0).any(axis=1).all()  # half of all sizes: one of the first two


def test_a_cell_too_small_to_be_hit_comes_last() -> None:
    order = stratified(np.array([1.0, 1e-9, 1.0]), philox(0))
    assert order[-1] == 1 and len(order) == 3


def test_cells_of_weight_zero_are_not_measured() -> None:
    errors, timesteps, ids = traces(4, steps=10)
    weights = np.ones((4, 10))
    weights[:, 5:] = 0
    decided = decide(errors, timesteps, FullGrid(), ids, weights=weights)
    assert (decided.seen == 5).all()
    np.testing.assert_array_equal(decided.winner, errors[:, :, :5].mean(axis=2).argmin(axis=1))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 7)), r"2 pictures x 8 steps are not \(2, 7\)"),
        (np.array([[1.0] * 8, [-1.0] * 8]), "not negative"),
        (np.array([[1.0] * 8, [np.nan] * 8]), "finite"),
        (np.array([[1.0] * 8, [0.0] * 8]), "none of whose cells"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: np.ndarray, message: str) -> None:
    errors, timesteps, ids = traces(2, steps=8)
    with pytest.raises(ValueError, match=message):
        decide(errors, timesteps, FullGrid(), ids, weights=weights)


def test_weights_change_the_full_decision() -> None:
    errors = np.array([[[0.0, 3.0], [1.0, 1.0]]])
    grid = np.array([[0, 1]])
    assert decide(errors, grid, FullGrid(), ["a"]).winner == [1]
    weights = np.array([[4.0, 1.0]])
    assert decide(errors, grid, FullGrid(), ["a"], weights=weights).winner == [0]


def test_evaluations_and_steps_are_counted_from_what_was_seen() -> None:
    decided = Decisions(np.array([0]), np.array([[5, 3, 5]]))
    assert decided.evaluations == [13] and decided.steps == [5]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_incomplete_traces_are_refused(value: float) -> None:
    errors, timesteps, ids = traces(2)
    errors[1, 0, 3] = value
    with pytest.raises(ValueError, match="cannot be replayed"):
        decide(errors, timesteps, FullGrid(), ids)


def test_shapes_that_do_not_fit_are_refused() -> None:
    errors, timesteps, ids = traces(2)
    with pytest.raises(ValueError, match="1 ids"):
        decide(errors, timesteps, FullGrid(), ids[:1])
    with pytest.raises(ValueError, match="timesteps"):
        decide(errors, timesteps[:, 1:], FullGrid(), ids)


def test_no_pictures_are_no_decisions() -> None:
    empty = decide(np.zeros((0, 3, 4)), np.zeros((0, 4), int), Stages(), [])
    assert empty.winner.shape == (0,) and empty.seen.shape == (0, 3)


def test_the_lowest_is_alone_or_a_tie() -> None:
    assert lowest(np.array([[1.0, 0.0, 2.0], [1.0, 0.0, 0.0]])).tolist() == [1, TIE]


def test_spread_positions_begin_far_apart() -> None:
    assert spread(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert spread(6).tolist() == [0, 4, 2, 1, 5, 3]
    assert spread(1).tolist() == [0]


def test_evenly_spaced_positions_are_middles_of_equal_parts() -> None:
    assert evenly_spaced(100, 4).tolist() == [12, 37, 62, 87]
    assert evenly_spaced(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_looks_grow_with_the_count() -> None:
    assert growing_looks(5, 20, ratio=4) == (5, 6, 7, 8, 10, 12, 15, 18, 20)
    assert growing_looks(5, 3) == (3,)
