"""Discriminative baselines: networks, one training procedure, checkpoints."""

from baselines.checkpoints import CheckpointError
from baselines.networks import FaceClassifier

__all__ = ["CheckpointError", "FaceClassifier"]
