"""What is stored of decisions that were made without measuring everything: means and logits."""

import numpy as np

from emodc.decide import TIE, Decisions
from emodc.estimates import Floats
from emodc.orders import chances


def means_of(errors: Floats, decisions: Decisions, sizes: Floats) -> Floats:
    """Mean errors over all cells, estimated from those that were measured.

    Of a class that stayed, the mean over its cells, each weighed by one over how likely it was to
    be visited: a sequential test prefers early timesteps, where errors are greater. One that left
    was not measured where the others were: the best class's estimate, plus the mean difference of
    the two where both were measured.

    Args:
        errors: (N, K, S), NaN where nothing was measured.
        decisions: What was decided of them.
        sizes: How likely cells were to be visited early, (N, S); see `emodc.decide.Rule.sizes`.

    Returns:
        (N, K).
    """
    pictures = zip(errors.astype(np.float64), decisions.seen, sizes, strict=True)
    return np.stack([_means(*one) for one in pictures])


def logits_of(means: Floats, decisions: Decisions, scale: float) -> np.ndarray:
    """Logits whose highest is the decision.

    -scale * mean error. A class that lost cannot come back: where an estimate or rounding would
    lift a loser to the winner's logit or above, it gets the next lower number. Of a tie the two
    highest are equal.

    Args:
        means: Of `means_of`, (N, K).
        decisions: What was decided.
        scale: Logits per unit of error.

    Returns:
        float32 (N, K).
    """
    logits = (-scale * means).astype(np.float32)
    for own, winner in zip(logits, decisions.winner.tolist(), strict=True):
        if winner == TIE:
            first, second = np.argsort(-own, kind="stable")[:2]
            own[second] = own[first]
        else:
            below = np.nextafter(own[winner], np.float32(-np.inf))
            losers = np.arange(len(own)) != winner
            own[losers] = np.minimum(own[losers], below)
    return logits


def _means(errors: Floats, seen: np.ndarray, sizes: Floats) -> Floats:
    """Of one picture's classes, (K,)."""
    stayed = seen == seen.max()
    means = np.full(len(errors), np.inf)
    means[stayed] = [_mean(own, int(seen.max()), sizes) for own in errors[stayed]]
    best = int(means.argmin())
    for label in np.flatnonzero(~stayed):
        means[label] = means[best] + _mean(errors[label] - errors[best], int(seen[label]), sizes)
    return means


def _mean(values: Floats, count: int, sizes: Floats) -> float:
    """Over all cells (S,), from the `count` first visited; NaN elsewhere."""
    known = np.isfinite(values)
    return float(np.average(values[known], weights=1 / chances(sizes, count)[known]))
