"""Baseline checkpoints: weights as safetensors beside a JSON card with architecture and classes."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from baselines.networks import FaceClassifier
from baselines.packaged import PACKAGES, PackagedNetwork


class BaselineCheckpointError(ValueError):
    """A checkpoint folder that is incomplete, damaged or of another kind."""


def save(classifier: FaceClassifier | PackagedNetwork, folder: Path) -> None:
    """Write `classifier` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), folder / "model.safetensors")
    card: dict[str, Any] = {"architecture": classifier.architecture, "classes": classifier.classes}
    if isinstance(classifier, FaceClassifier) and classifier.head is not None:
        card["head"] = classifier.head
    (folder / "classifier.json").write_text(json.dumps(card, indent=2) + "\n")


def load(folder: Path) -> FaceClassifier | PackagedNetwork:
    """Read a folder written by `save`.

    Raises:
        CheckpointError: If a file is missing, damaged or does not fit the other.
    """
    try:
        card = json.loads((folder / "classifier.json").read_text())
        classifier: FaceClassifier | PackagedNetwork
        if card["architecture"] in PACKAGES:
            classifier = PACKAGES[card["architecture"]].network()
        else:
            classifier = FaceClassifier(
                card["architecture"], tuple(card["classes"]), card.get("head")
            )
        classifier.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BaselineCheckpointError(
            f"{folder} is not a readable baseline checkpoint: {error}"
        ) from error
    return classifier.eval()
