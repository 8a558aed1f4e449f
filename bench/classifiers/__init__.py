"""The one door to classifiers: EmoDC, baselines, a user's own.

base.py            what the sweep asks of any classifier
diffusion.py       EmoDC, and its matched control
discriminative.py  a network with logits: a baseline, or a user's own
load.py            from a config's entry to a classifier
class_order.py     whether a classifier's outputs are named in the right order

With `training`, the only part of the bench that imports models of emodc or baselines.
"""

from bench.classifiers.base import Classifier, Measurement
from bench.classifiers.discriminative import load_python
from bench.classifiers.load import load_classifier

__all__ = ["Classifier", "Measurement", "load_classifier", "load_python"]
