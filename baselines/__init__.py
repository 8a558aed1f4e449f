"""Discriminative baselines: networks, one training procedure, checkpoints."""

from baselines.checkpoints import BaselineCheckpointError
from baselines.networks import FaceClassifier

__all__ = ["BaselineCheckpointError", "FaceClassifier"]
