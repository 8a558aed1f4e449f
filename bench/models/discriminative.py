"""Networks with logits: a baseline, or a user's own."""

import hashlib
import importlib
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench.config import PythonClassifier
from bench.errors import UserError
from bench.models.base import Classifier
from bench.traces import Traces


class DiscriminativeClassifier(Classifier):
    """A network with logits: a baseline or a user's own."""

    def __init__(
        self, model: nn.Module, classes: Sequence[str], digest: str, device: torch.device
    ) -> None:
        super().__init__(device)
        self.model = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest = tuple(classes), digest

    def attack_target(self, sample_id: str) -> nn.Module:
        """The network itself."""
        return self.model

    @torch.no_grad()
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        return self.model(images).float().cpu().numpy(), None


def load_python(name: str, spec: PythonClassifier, device: torch.device) -> Classifier:
    """Call a user's factory.

    Raises:
        UserError: If it cannot be imported or returns something else than it should.
    """
    module_name, _, function = spec.factory.partition(":")
    sys.path.insert(0, "")  # `bench` is a script: the working folder is not on the path by itself
    try:
        model = getattr(importlib.import_module(module_name), function)()
        classes = tuple(model.classes)
        state = model.state_dict()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"classifier {name!r}: {spec.factory} must be an importable function that returns a "
            f"torch module with an attribute `classes` (names in logit order): {error}"
        ) from error
    finally:
        sys.path.remove("")
    total = hashlib.sha256(spec.factory.encode())
    for key, tensor in sorted(state.items()):
        total.update(key.encode() + tensor.detach().cpu().double().numpy().tobytes())
    return DiscriminativeClassifier(model, classes, total.hexdigest()[:16], device)
