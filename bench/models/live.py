"""Logits and evaluations of decisions that were made without measuring everything."""

import numpy as np

from emodc.decide import TIE, Decisions
from emodc.estimates import Floats


def logits_of(errors: Floats, decisions: Decisions, scale: float) -> np.ndarray:
    """Logits whose highest is the decision.

    A class that stayed has -scale * its mean error. One that left was not measured where the others
    were, so its mean is estimated: the best class's, plus the mean difference of the two where
    both were measured. It cannot come back: where an estimate or rounding would lift a loser to
    the winner's logit or above, it gets the next lower number. Of a tie the two highest are equal.

    Args:
        errors: (N, K, S), NaN where nothing was measured.
        decisions: What was decided of them.
        scale: Logits per unit of error.

    Returns:
        float32 (N, K).
    """
    found = np.stack(
        [
            _means(own.astype(np.float64), seen)
            for own, seen in zip(errors, decisions.seen, strict=True)
        ]
    )
    logits = (-scale * found).astype(np.float32)
    for own, winner in zip(logits, decisions.winner.tolist(), strict=True):
        if winner == TIE:
            first, second = np.argsort(-own, kind="stable")[:2]
            own[second] = own[first]
        else:
            below = np.nextafter(own[winner], np.float32(-np.inf))
            losers = np.arange(len(own)) != winner
            own[losers] = np.minimum(own[losers], below)
    return logits


def _means(errors: Floats, seen: np.ndarray) -> Floats:
    """Mean errors of one picture's classes over all that the best was measured at, (K,)."""
    stayed = seen == seen.max()
    cells = np.isfinite(errors[stayed][0])
    means = np.where(stayed, errors[:, cells].mean(axis=1), np.inf)
    best = int(means.argmin())
    for label in np.flatnonzero(~stayed):
        both = np.isfinite(errors[label])
        means[label] = means[best] + (errors[label, both] - errors[best, both]).mean()
    return means
