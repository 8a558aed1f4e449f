"""What is measured on predictions: pure functions on arrays, one estimator each.

- `recognition`: confusion counts; accuracy (WAR), per-class recall, UAR, macro-F1
- `influence`: macro-F1 as a mean over samples, for its interval
"""

from bench.metrics.influence import macro_f1_scores
from bench.metrics.recognition import (
    Counts,
    accuracy,
    confusion,
    macro_f1,
    per_class_recall,
    uar,
)

__all__ = [
    "Counts",
    "accuracy",
    "confusion",
    "macro_f1",
    "macro_f1_scores",
    "per_class_recall",
    "uar",
]
