"""Discriminative baselines: networks, one training procedure, checkpoints."""

from baselines.networks import BaselineCheckpointError, FaceClassifier

__all__ = ["BaselineCheckpointError", "FaceClassifier"]
