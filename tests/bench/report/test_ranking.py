"""Bold only what is distinguishable: marks against scipy's and statsmodels' tests."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel
from statsmodels.stats.multitest import multipletests

from bench.report.ranking import RankedScores, Ranking
from bench.report.ranking import rank as rank_named
from bench.stats import detectable_difference
from bench.store.cells import FAMILIES


def scores(values: object, seeds: tuple[int, ...] = (0,), first: int = 0) -> RankedScores:
    array = np.atleast_2d(np.asarray(values, float))
    ids = np.array([f"s{i:04d}" for i in range(first, first + array.shape[1])], object)
    return RankedScores(seeds, ids, array)


def rank(columns: dict[int, list[RankedScores | None]]) -> Ranking:
    return rank_named(columns, ["a", "b", "c", "d"])


def right(n: int, count: int, start: int = 0) -> np.ndarray:
    """`count` of `n` samples recognised, from `start` on."""
    return np.roll(np.arange(n) < count, start).astype(float)


def mcnemar_p(one: np.ndarray, other: np.ndarray) -> float:
    b, c = int((one > other).sum()), int((one < other).sum())
    return min(1.0, 2 * binom.cdf(min(b, c), b + c, 0.5))


def test_a_clear_winner_is_best() -> None:
    found = rank({3: [scores(right(100, 60)), scores(right(100, 90)), scores(right(100, 55))]})
    assert found.marks == {(1, 3): "best"}
    assert found.tests == 3


def test_what_cannot_be_told_from_the_highest_is_tied() -> None:
    found = rank({1: [scores(right(100, 60)), scores(right(100, 90)), scores(right(100, 89))]})
    assert found.marks == {(1, 1): "tied", (2, 1): "tied"}


def test_equal_classifiers_are_tied() -> None:
    assert rank({0: [scores(right(50, 30))] * 3}).marks == {(r, 0): "tied" for r in range(3)}


def test_marks_follow_holm_over_all_pairs_of_the_table() -> None:
    source = np.random.Generator(np.random.PCG64(5))
    seen = set()
    for skill in np.linspace(0, 0.25, 12):
        columns = {
            c: [
                (source.random(80) < p).astype(float)
                for p in (0.4, 0.4 + skill / 4, 0.4 + 2 * skill)
            ]
            for c in (0, 1)
        }
        found = rank({c: [scores(v) for v in own] for c, own in columns.items()})
        pairs = [(c, i, j) for c in columns for i in range(3) for j in range(i + 1, 3)]
        raw = [mcnemar_p(columns[c][i], columns[c][j]) for c, i, j in pairs]
        p = dict(zip(pairs, multipletests(raw, method="holm")[1], strict=True))
        for c, own in columns.items():
            best = int(np.argmax([v.mean() for v in own]))
            tied = [r for r in range(3) if r != best and p[c, min(r, best), max(r, best)] >= 0.05]
            expected = dict.fromkeys((best, *tied), "tied") if tied else {best: "best"}
            assert {r: m for (r, k), m in found.marks.items() if k == c} == expected
            seen |= set(expected.values())
    assert seen == {"best", "tied"}


def test_shares_are_compared_by_a_paired_t_test() -> None:
    source = np.random.Generator(np.random.PCG64(7))
    base = source.integers(0, 6, 40) / 5
    for shift in (0.02, 0.3):
        other = np.clip(base + shift * source.random(40), 0, 1)
        found = rank({0: [scores(base), scores(other)]})
        alone = ttest_rel(base, other).pvalue < 0.05
        assert found.marks == ({(1, 0): "best"} if alone else {(0, 0): "tied", (1, 0): "tied"})


def test_differences_that_do_not_vary_are_sure() -> None:
    low, high = np.full(40, 0.25), np.full(40, 0.5)
    assert rank({0: [scores(low), scores(high)]}).marks == {(1, 0): "best"}
    assert rank({0: [scores(low), scores(low)]}).marks == {(0, 0): "tied", (1, 0): "tied"}


def test_every_training_has_to_agree() -> None:
    high, low = np.stack([right(100, 90)] * 2), np.stack([right(100, 60), right(100, 88)])
    found = rank({0: [scores(high, (0, 1)), scores(low, (0, 1))]})
    assert found.marks == {(0, 0): "tied", (1, 0): "tied"}  # seed 1 shows no difference
    assert found.tests == 2


@pytest.mark.parametrize(
    "entries",
    [
        [scores(right(40, 30)), None],
        [scores(right(40, 30)), scores(right(40, 10), first=3)],
        [scores(right(40, 30)), scores(right(40, 10), seeds=(1,))],
    ],
)
def test_what_does_not_pair_is_not_ranked(entries: list[RankedScores | None]) -> None:
    assert rank({0: entries}) == Ranking({})
    assert (rank({0: entries}).short, rank({0: entries}).remarks) == ("", ())


def test_few_samples_are_not_ranked_and_said() -> None:
    found = rank({0: [scores(right(29, 29)), scores(right(29, 0))]})
    assert (dict(found.marks), found.tests) == ({}, 0)
    assert found.remarks == ("Columns with under 30 samples (attacks: 500) are not ranked.",)


def test_missing_rows_keep_their_places() -> None:
    found = rank({2: [None, scores(right(100, 20)), None, scores(right(100, 95))]})
    assert found.marks == {(3, 2): "best"}


def test_trainings_that_disagree_on_the_sign_are_tied() -> None:
    one, other = np.stack([right(200, 180), right(200, 20)]), np.stack([right(200, 60)] * 2)
    found = rank({0: [scores(one, (0, 1)), scores(other, (0, 1))]})
    assert found.marks == {(0, 0): "tied", (1, 0): "tied"}


def test_two_trainings_that_agree_may_not_speak_for_others() -> None:
    # Ahead in both trainings, by 50 points and by 20: a t interval of two seeds holds 0.
    one, other = np.stack([right(200, 180), right(200, 120)]), np.stack([right(200, 80)] * 2)
    found = rank({0: [scores(one, (0, 1)), scores(other, (0, 1))]})
    assert found.marks == {(0, 0): "tied", (1, 0): "tied"}
    alone = rank({0: [scores(one[0]), scores(other[0])]})
    assert alone.marks == {(0, 0): "best"}


def test_most_of_a_column_are_ranked_and_others_named() -> None:
    entries = [scores(right(100, 60)), scores(right(100, 99), seeds=(1,)), scores(right(100, 90))]
    found = rank({0: entries})
    assert found.marks == {(2, 0): "best"}
    assert found.remarks == ("Not ranked, on other samples or trainings: b.",)


def test_the_note_says_what_could_be_found() -> None:
    entries = [scores(right(400, 200)), scores(right(400, 200, start=40))]  # 80 differ
    found = rank({0: entries})
    assert found.detectable == detectable_difference(400, 0.2, 0.05)
    assert found.short.endswith(f"detectable difference: {100 * found.detectable:.1f} points")


def test_one_draw_of_a_noisy_classifier_is_not_ranked() -> None:
    """It gave two answers to one picture, so that a repeat may turn the order."""

    def entry(deterministic: bool) -> Any:
        manifest = SimpleNamespace(deterministic=deterministic)
        return SimpleNamespace(
            cell=SimpleNamespace(about=FAMILIES["corruption"]),
            results=(SimpleNamespace(manifest=manifest),),
            seeds=(0,),
            each=(SimpleNamespace(ids=np.arange(100).astype(object)),),
            right=right(100, 90)[None],
        )

    assert RankedScores.of(entry(False)) is None
    assert RankedScores.mean([entry(True), entry(False)]) is None
    assert RankedScores.of(entry(True)) is not None
    assert RankedScores.mean([entry(True), entry(True)]) is not None


@pytest.mark.parametrize(
    ("family", "n", "ranked"),
    [
        ("corruption", 100, True),
        ("corruption", 29, False),
        ("attack", 100, False),
        ("attack", 499, False),
        ("attack", 500, True),
        ("draws", 499, False),
    ],
)
def test_attacks_need_more_pictures_to_rank(family: str, n: int, ranked: bool) -> None:
    def entry(count: int) -> Any:
        manifest = SimpleNamespace(deterministic=True)
        return SimpleNamespace(
            cell=SimpleNamespace(about=FAMILIES[family]),
            results=(SimpleNamespace(manifest=manifest),),
            seeds=(0,),
            each=(SimpleNamespace(ids=np.arange(n).astype(object)),),
            right=right(n, count)[None],
        )

    strong, weak = entry(n - 1), entry(1)
    found = rank({0: [RankedScores.of(strong), RankedScores.of(weak)]})
    mean = rank({0: [RankedScores.mean([strong]), RankedScores.mean([weak])]})
    assert (found.marks, found.unranked) == (({(0, 0): "best"}, False) if ranked else ({}, True))
    assert mean == found
    assert ranked == (found.remarks == ())
