"""The configuration of a run: YAML in, checked models out.

run.py            the whole run, read from YAML with errors that name the field
perturbations.py  which, at which levels, with which parameters

Data sets are in `bench.data.config`, classifiers in `bench.classifiers.kinds`. Every field that
determines a result goes into cell ids; the fields of `Execution` do not.
"""

from bench.classifiers.kinds.baseline import BaselineClassifier
from bench.classifiers.kinds.checkpoint import CheckpointClassifier
from bench.classifiers.kinds.control import ControlClassifier
from bench.classifiers.kinds.emodc import EmoDCClassifier, EvaluationConfig
from bench.classifiers.kinds.python import PythonClassifier
from bench.config.perturbations import Perturbations
from bench.config.run import Config, Execution, load, parse
from bench.data.config import ClipsData, CrossData, DataConfig, FacesData

__all__ = [
    "BaselineClassifier",
    "CheckpointClassifier",
    "ClipsData",
    "Config",
    "ControlClassifier",
    "CrossData",
    "DataConfig",
    "EmoDCClassifier",
    "EvaluationConfig",
    "Execution",
    "FacesData",
    "Perturbations",
    "PythonClassifier",
    "load",
    "parse",
]
