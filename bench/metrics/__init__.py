"""What is measured on predictions: pure functions on arrays, one estimator each.

- `recognition`: confusion counts; accuracy (WAR), per-class recall, UAR, macro-F1
- `robustness`: CE, rCE, mCE; drops and curves over severities; flips and changed decisions
- `calibration`: forecasts of logits; ECE, NLL, Brier; accuracy against coverage
- `agreement`: error consistency of two classifiers
- `influence`: macro-F1, ratios, kappa, AURC and scales as means over samples, for intervals
"""

from bench.metrics.agreement import error_consistency
from bench.metrics.calibration import (
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
from bench.metrics.influence import (
    Scores,
    aurc_scores,
    kappa_scores,
    macro_f1_scores,
    macro_f1_trials,
    ratio_scores,
    scale_scores,
    selective_scores,
)
from bench.metrics.recognition import (
    Counts,
    accuracy,
    confusion,
    macro_f1,
    per_class_recall,
    uar,
)
from bench.metrics.robustness import (
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

__all__ = [
    "Counts",
    "Forecasts",
    "Reliability",
    "Scores",
    "accuracy",
    "adaptive_ece",
    "adaptive_reliability",
    "area_under_curve",
    "aurc",
    "aurc_scores",
    "brier",
    "brier_scores",
    "confusion",
    "corruption_error",
    "ece",
    "error_consistency",
    "flip_probability",
    "flip_rate",
    "flip_shares",
    "forecasts",
    "half_drop",
    "kappa_scores",
    "macro_f1",
    "macro_f1_scores",
    "macro_f1_trials",
    "mean_corruption_error",
    "nll",
    "nll_scores",
    "per_class_recall",
    "ratio_scores",
    "relative_corruption_error",
    "relative_drop",
    "reliability",
    "scale_scores",
    "selective_accuracy",
    "selective_scores",
    "uar",
]
