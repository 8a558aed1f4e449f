import numpy as np
import pytest
from scipy import stats

from emodc.decisions.decide import TIE, Decisions, Rule, Seen, decide
from emodc.decisions.rules import FullGrid, MajorityVote, PairedTTest, Stages, Threshold


def seen(errors, steps: int | None = None, alive=None) -> Seen:
    """One picture: errors (K, n) of `steps` cells."""
    table = np.array([errors], float)
    steps = steps or table.shape[2]
    alive = np.ones(table.shape[:2], bool) if alive is None else np.array([alive])
    return Seen(table, alive, np.zeros((1, steps), int), np.ones((1, steps)))


def constant(rule: Rule, *levels: float, steps: int = 100) -> Decisions:
    """The decision on one picture whose errors do not vary."""
    errors = np.repeat(np.array([levels], float), steps, axis=0).T[None]
    return decide(errors, np.arange(steps)[None], rule, ["a"])


def test_stages_of_the_public_code_take_330_of_700_evaluations() -> None:
    decided = constant(Stages(), 7, 6, 5, 4, 3, 2, 1)
    assert decided.winner == [6]
    assert decided.evaluations == [330]
    assert decided.seen.tolist() == [[20, 20, 20, 20, 50, 100, 100]]


def test_stages_keep_those_that_tie_with_the_last_kept() -> None:
    rule = Stages(keep=((1, 2), (2, 1)))
    assert rule.survivors(seen([[0], [1], [1], [2]], 2)).tolist() == [[True, True, True, False]]


def test_stages_beyond_the_grid_decide_at_its_end() -> None:
    assert Stages().looks(30) == (20, 30)
    assert Stages().looks(20) == (20,)
    assert constant(Stages(), 2, 1, 3, 4, steps=30).seen.tolist() == [[30, 30, 30, 20]]
    assert constant(Stages(), 2, 1, steps=200).steps == [100]


def test_the_full_grid_takes_evenly_spaced_steps() -> None:
    errors = np.zeros((1, 2, 10))
    errors[0, 0, [2, 7]] = -1  # the middles of two halves
    grid = np.arange(10)[None]
    errors[0, 1, [0, 1, 3, 4, 5]] = -3
    assert decide(errors, grid, FullGrid(), ["a"]).winner == [1]
    two = decide(errors, grid, FullGrid(count=2), ["a"])
    assert two.winner == [0] and two.evaluations == [4]


def test_the_paired_t_test_is_that_of_scipy() -> None:
    draw = np.random.default_rng(0)
    errors = draw.normal(size=(2, 25)) + np.array([[0.0], [0.5]])
    leader = errors.mean(axis=1).argmin()
    p = stats.ttest_rel(errors[1 - leader], errors[leader], alternative="greater").pvalue
    for level, stays in ((0.9 * p, 2), (1.1 * p, 1)):
        kept = PairedTTest(p=level).survivors(seen(errors, 100))
        assert kept.sum() == stays and kept[0, leader]


def test_the_paired_t_test_looks_from_its_minimum_on() -> None:
    errors = np.random.default_rng(0).normal(size=(1, 7, 100)) + np.arange(7)[:, None] * 9
    decided = decide(errors, np.zeros((1, 100), int), PairedTTest(), ["a"])
    assert decided.seen.tolist() == [[20] * 7] and decided.winner == [0]


def test_a_threshold_sends_away_what_is_further_above_the_best() -> None:
    rule = Threshold(margin=0.5)
    assert rule.survivors(seen([[1.0], [1.5], [1.6]])).tolist() == [[True, True, False]]
    assert constant(rule, 0, 0.4, 1.0).seen.tolist() == [[100, 100, 5]]


def test_a_majority_of_steps_can_differ_from_the_mean() -> None:
    errors = np.array([[[0.0, 0.0, 9.0], [1.0, 1.0, 0.0]]])
    grid = np.arange(3)[None]
    assert decide(errors, grid, MajorityVote(), ["a"]).winner == [0]
    assert decide(errors, grid, FullGrid(), ["a"]).winner == [1]


def test_a_majority_vote_ends_when_none_can_overtake() -> None:
    decided = constant(MajorityVote(), 1, 0)
    assert decided.winner == [1] and decided.steps == [51]


def test_steps_that_tie_have_no_vote() -> None:
    errors = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]])
    assert decide(errors, np.arange(3)[None], MajorityVote(), ["a"]).winner == [0]
    split = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    assert decide(split, np.arange(2)[None], MajorityVote(), ["a"]).winner == [TIE]


@pytest.mark.parametrize("rule", [Stages(), PairedTTest(), Threshold()])
def test_a_class_that_left_does_not_return(rule) -> None:
    errors = np.array([[1.0] * 20, [1.0] * 20, [np.nan] * 20])
    kept = rule.survivors(seen(errors, 100, [True, True, False]))
    assert kept.tolist() == [[True, True, False]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FullGrid(count=0), "at least one step"),
        (lambda: Stages(keep=()), "pairs"),
        (lambda: Stages(keep=((50, 2), (20, 3))), "ascending"),
        (lambda: Stages(keep=((20, 0), (50, 1))), "at least 1"),
        (lambda: PairedTTest(p=0.0), "probability"),
        (lambda: Threshold(margin=-0.1), "at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
