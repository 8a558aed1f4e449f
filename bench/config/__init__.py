"""The configuration of a run: YAML in, checked models out.

run.py      the whole run
data.py     its data
perturbations.py    which, at which levels, with which parameters
emodc.py    an EmoDC: objectives, stages, prompts, evaluation
reading.py  from YAML, with errors that name the field

Every field that determines a result goes into cell ids; the fields of `Execution` do not.
"""

from bench.config.emodc import (
    ControlClassifier,
    EmoDCClassifier,
    EvaluationConfig,
    PromptTexts,
    Stage,
    StagedClassifier,
)
from bench.config.perturbations import Perturbations
from bench.config.reading import load, parse
from bench.config.run import (
    BaselineClassifier,
    CheckpointClassifier,
    ClassifierConfig,
    Config,
    Execution,
    PythonClassifier,
)
from bench.data.config import ClipsData, CrossData, DataConfig, FacesData

__all__ = [
    "BaselineClassifier",
    "CheckpointClassifier",
    "ClassifierConfig",
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
    "PromptTexts",
    "PythonClassifier",
    "Stage",
    "StagedClassifier",
    "load",
    "parse",
]
