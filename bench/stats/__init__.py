"""One estimator each: metrics, intervals and tests, as pure functions on numbers and arrays.

- `recognition`: accuracy, UAR, macro F1, error consistency
- `robustness`: CE, mCE, drops, areas under curves, flip rates
- `calibration`: ECE, Brier score, selective accuracy
- `influence`: what each sample contributes to a score that is no mean, so that it can be resampled
- `proportions`: Wilson, Clopper-Pearson, Newcombe, Tango; mean and range of several proportions
- `significance`: McNemar's exact test, the sign-flip test; Holm's correction; what a test can find
- `bootstrap`: intervals over samples, and over training seeds and samples
"""

from bench.stats.calibration import (
    Forecasts,
    Reliability,
    adaptive_ece,
    adaptive_reliability,
    aurc,
    brier,
    brier_scores,
    ece,
    forecasts,
    nll,
    nll_scores,
    reliability,
    selective_accuracy,
)
from bench.stats.influence import (
    SampleScores,
    aurc_scores,
    kappa_scores,
    macro_f1_scores,
    macro_f1_trials,
    ratio_scores,
    scale_scores,
    selective_scores,
)
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
from bench.stats.recognition import (
    Counts,
    accuracy,
    confusion,
    error_consistency,
    macro_f1,
    per_class_recall,
    uar,
)
from bench.stats.robustness import (
    area_under_curve,
    corruption_error,
    flip_probability,
    flip_rate,
    flip_shares,
    half_drop,
    mean_corruption_error,
    relative_corruption_error,
    relative_drop,
)
from bench.stats.significance import detectable_difference, holm, mcnemar, sign_flip, split_evenly

__all__ = [
    "Counts",
    "Forecasts",
    "Interval",
    "Reliability",
    "SampleScores",
    "accuracy",
    "adaptive_ece",
    "adaptive_reliability",
    "area_under_curve",
    "aurc",
    "aurc_scores",
    "brier",
    "brier_scores",
    "clopper_pearson",
    "confusion",
    "corruption_error",
    "detectable_difference",
    "ece",
    "error_consistency",
    "flip_probability",
    "flip_rate",
    "flip_shares",
    "forecasts",
    "half_drop",
    "holm",
    "kappa_scores",
    "macro_f1",
    "macro_f1_scores",
    "macro_f1_trials",
    "mcnemar",
    "mean_corruption_error",
    "mean_of_proportions",
    "newcombe",
    "nll",
    "nll_scores",
    "per_class_recall",
    "range_of_proportions",
    "ratio_scores",
    "relative_corruption_error",
    "relative_drop",
    "reliability",
    "scale_scores",
    "selective_accuracy",
    "selective_scores",
    "sign_flip",
    "split_evenly",
    "tango",
    "uar",
    "wilson",
    "wilson_of_mean",
]
