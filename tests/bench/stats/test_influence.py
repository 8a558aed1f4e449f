"""Macro-F1 as a mean over samples: against its definition, the jackknife and simulated samples."""

import numpy as np
import pytest
from scipy import stats

from bench.stats import confusion, macro_f1, macro_f1_scores, scale_scores
from emodc.decisions.fit import temperature

TRUE = np.array([[0.28, 0.05, 0.02, 0.0], [0.04, 0.30, 0.03, 0.01], [0.03, 0.06, 0.17, 0.01]])


def test_the_mean_over_samples_is_macro_f1() -> None:
    counts = np.array([[5, 2, 0, 1], [3, 9, 1, 0], [0, 4, 2, 0]])
    scores = macro_f1_scores(counts)
    assert (counts * scores).sum() / counts.sum() == pytest.approx(macro_f1(counts))


def test_a_sample_moves_macro_f1_by_its_score() -> None:
    counts = 1000 * np.array([[5, 2, 0, 1], [3, 9, 1, 0], [0, 4, 2, 0]])
    scores, n = macro_f1_scores(counts), counts.sum()
    for cell in np.ndindex(counts.shape):
        more = counts.copy()
        more[cell] += 1
        moved = (macro_f1(more) - macro_f1(counts)) * (n + 1)
        assert moved == pytest.approx(scores[cell] - macro_f1(counts), abs=1e-3)


def test_a_class_that_does_not_occur_has_no_part() -> None:
    with_it = np.array([[3, 1, 0, 0], [1, 4, 0, 0], [0, 0, 0, 0]])
    without = np.array([[3, 1, 0], [1, 4, 0]])
    assert macro_f1_scores(with_it)[:2, :2] == pytest.approx(macro_f1_scores(without)[:, :2])


def test_coverage() -> None:
    """10,000 samples of 300: the mean plus and minus Student's t covers 94 to 96 %."""
    truth = macro_f1((TRUE * 10_000).round().astype(int))
    source = np.random.Generator(np.random.PCG64(3))
    tables = source.multinomial(300, TRUE.ravel(), 10_000).reshape(-1, *TRUE.shape)
    covered = 0
    for counts in tables:
        scores = macro_f1_scores(counts)
        mean = (counts * scores).sum() / 300
        error = np.sqrt((counts * (scores - mean) ** 2).sum() / 299 / 300)
        covered += abs(mean - truth) <= stats.t.ppf(0.975, 299) * error
    assert 0.94 <= covered / 10_000 <= 0.96


def test_codes_and_counts_agree() -> None:
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, -1, 1, 0])
    scores = macro_f1_scores(confusion(labels, predictions, 2))
    assert scores[labels, predictions].mean() == pytest.approx((2 / 4 + 2 / 3) / 2)


def test_a_sample_moves_the_scale_of_least_loss_by_its_score() -> None:
    draw = np.random.default_rng(4)
    logits = draw.normal(size=(500, 4))
    labels = np.where(draw.random(500) < 0.6, logits.argmax(axis=1), draw.integers(0, 4, 500))
    scale = temperature(-logits[:, :, None], labels)
    scores = scale_scores(logits, labels, scale)
    assert scores.mean() == pytest.approx(scale)
    for i in (0, 17, 401):
        again = np.append(np.arange(500), i)
        moved = (temperature(-logits[again][:, :, None], labels[again]) - scale) * 501
        assert moved == pytest.approx(scores[i] - scale, rel=0.02, abs=0.05)
