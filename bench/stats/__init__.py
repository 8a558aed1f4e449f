"""Uncertainty of what the bench reports: pure functions on numbers and arrays.

- `proportions`: Wilson, Clopper-Pearson, Newcombe, Tango; mean and range of several proportions
- `significance`: McNemar's exact test, the sign-flip test; Holm's correction
- `power`: the smallest difference that n samples can show

Intervals over samples and training seeds are in `bench.bootstrap`.
"""

from bench.stats.power import detectable_difference
from bench.stats.proportions import (
    Interval,
    clopper_pearson,
    mean_of_proportions,
    newcombe,
    range_of_proportions,
    tango,
    wilson,
    wilson_of_mean,
)
from bench.stats.significance import holm, mcnemar, sign_flip, split_evenly

__all__ = [
    "Interval",
    "clopper_pearson",
    "detectable_difference",
    "holm",
    "mcnemar",
    "mean_of_proportions",
    "newcombe",
    "range_of_proportions",
    "sign_flip",
    "split_evenly",
    "tango",
    "wilson",
    "wilson_of_mean",
]
