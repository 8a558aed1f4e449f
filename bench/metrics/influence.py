"""What each sample contributes to a ratio of counts, so that means of samples give its interval."""

import numpy as np
from numpy.typing import NDArray

from bench.metrics.recognition import Counts, macro_f1


def macro_f1_scores(counts: Counts) -> NDArray[np.float64]:
    """Macro-F1 as a mean over samples: the score of a sample with each label and prediction.

    K. Takahashi et al., "Confidence interval for micro-averaged F1 and macro-averaged F1 scores",
    Applied Intelligence 52 (2022): the delta method. F1 of a class is 2 TP / (labels + predictions)
    and moves with one more sample by (2 [both are the class] - F1 ([label is] + [prediction is])) /
    (share of labels + share of predictions). Added to macro-F1 itself, these have macro-F1 as their
    mean over the samples, and its standard error as that of their mean.

    Args:
        counts: Of `bench.metrics.confusion`, (K, K + 1), at least one sample.

    Returns:
        Scores by label and prediction, ties last, (K, K + 1). They are no fractions: a wrong
        prediction of a rare class is far below 0.

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    centre = macro_f1(counts)
    classes = len(counts)
    total = counts.sum(axis=1) + counts[:, :-1].sum(axis=0)
    present = total > 0
    weight = counts.sum() / np.maximum(total, 1) * present / present.sum()
    f1 = 2 * np.diag(counts) / np.maximum(total, 1)
    scores = np.full(counts.shape, centre)
    scores -= (weight * f1)[:, None]
    scores[:, :-1] -= weight * f1
    scores[np.arange(classes), np.arange(classes)] += 2 * weight
    return scores
