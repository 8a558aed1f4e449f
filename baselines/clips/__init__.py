"""Networks of clips: X3D, HDF's modules DAM and DSM, 3D ResNets, M3DFEL, frame by frame."""

from baselines.clips.classifier import NETWORKS, ClipClassifier
from baselines.clips.hdf import DistributionalAttention

__all__ = ["NETWORKS", "ClipClassifier", "DistributionalAttention"]
