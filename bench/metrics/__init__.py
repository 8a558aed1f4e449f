"""What is measured on predictions: pure functions on arrays, one estimator each.

- `recognition`: confusion counts; accuracy (WAR), per-class recall, UAR, macro-F1
"""

from bench.metrics.recognition import accuracy, confusion, macro_f1, per_class_recall, uar

__all__ = ["accuracy", "confusion", "macro_f1", "per_class_recall", "uar"]
