"""Networks with logits: a baseline, or a user's own."""

import hashlib
import importlib
import json
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench.classifiers import flops
from bench.classifiers.base import Classifier, Measurement
from bench.classifiers.kinds.python import PythonClassifier
from bench.labels import class_names
from bench.perturb.views import Views
from bench.store.traces import TraceInfo, Traces
from bench.util.errors import UserError


class DiscriminativeClassifier(Classifier):
    """A network with logits: a baseline or a user's own."""

    def __init__(
        self, model: nn.Module, classes: Sequence[str], digest: str, device: torch.device
    ) -> None:
        super().__init__(device)
        self.model = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest = tuple(classes), digest

    def attack_target(self, sample_id: str, every_step: bool = False) -> nn.Module:
        """The network itself."""
        return self.model

    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        """See `Classifier.measure_views`. On a CPU view 0 is measured exactly as by `measure`."""
        info = TraceInfo(
            kind="surprises",
            classes=self.classes,
            precision="float32",
            model=self.digest,
            seed=views.seed,
            steps=views.count,
        )
        rows = 1 if self.device.type == "cpu" else views.count

        def measure(images: Tensor, names: Sequence[str]) -> tuple[np.ndarray, Traces]:
            surprises = [
                self._surprises(views.of(image, name), rows)
                for image, name in zip(images, names, strict=True)
            ]
            errors = np.stack(surprises)
            numbers = np.tile(np.arange(views.count, dtype=np.int32), (len(errors), 1))
            logits = -errors.mean(axis=2, dtype=np.float64).astype(np.float32)
            return logits, Traces(tuple(names), errors, numbers, info)

        return self._batch_by_batch(pictures, ids, measure, views.count)

    def flops(self) -> dict[str, float]:
        """See `Classifier.flops`; empty for a network whose operations cannot be counted."""
        image = flops.picture(self.device)
        try:
            step = flops.counted(lambda: self.model(image))
        except Exception:  # whatever a network of one's own does under another dispatch
            step = 0.0
        return {"picture": 0.0, "step": step, "evaluation": 0.0} if step else {}

    def _surprises(self, views: Tensor, rows: int) -> np.ndarray:
        """-log p(class | view), float32 (K, V), of views (V, 3, H, W), `rows` at a time."""
        parts = [self._measure(part, [])[0] for part in views.split(rows)]
        logits = torch.from_numpy(np.concatenate(parts)).double()
        surprises: np.ndarray = -torch.log_softmax(logits, dim=1).T.float().numpy()
        return surprises

    @torch.no_grad()
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        logits = self.model(images).float().cpu().numpy()
        if logits.shape != (len(images), len(self.classes)):
            raise UserError(
                f"a classifier of {len(self.classes)} classes ({', '.join(self.classes)}) must "
                f"return logits {(len(images), len(self.classes))} for {len(images)} pictures, "
                f"got {logits.shape}."
            )
        return logits, None


def load_python(name: str, spec: PythonClassifier, device: torch.device) -> Classifier:
    """Call a user's factory.

    Raises:
        UserError: If it cannot be imported, returns something else than it should, or has another
            number of classes than the config.
    """
    model = _made(name, spec)
    classes = _class_order(name, spec, model)
    total = hashlib.sha256(spec.factory.encode())
    total.update(json.dumps(classes).encode())  # rows hold names
    for key, tensor in sorted(model.state_dict().items()):
        total.update(key.encode() + tensor.detach().cpu().double().numpy().tobytes())
    return DiscriminativeClassifier(model, classes, total.hexdigest()[:16], device)


def _made(name: str, spec: PythonClassifier) -> nn.Module:
    """What the factory returns."""
    module_name, _, function = spec.factory.partition(":")
    sys.path.insert(0, "")  # `bench` is a script: the working folder is not on the path by itself
    try:
        model = getattr(importlib.import_module(module_name), function)()
    except (ImportError, AttributeError) as error:
        raise UserError(f"classifier {name!r}: {_expected(spec)}: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(model, nn.Module):
        raise UserError(f"classifier {name!r}: {_expected(spec)}, got {type(model).__name__}.")
    return model


def _class_order(name: str, spec: PythonClassifier, model: nn.Module) -> tuple[str, ...]:
    """The config's class order, else the module's own."""
    own = getattr(model, "classes", None)
    if spec.class_order is not None:
        declared = class_names(spec.class_order)
        if own is not None and len(own) != len(declared):
            raise UserError(
                f"classifier {name!r}: class_order has {len(declared)} classes, but the attribute "
                f"`classes` of the module of {spec.factory} has {len(own)}."
            )
        return declared
    if own is None:
        raise UserError(
            f"classifier {name!r}: the module of {spec.factory} has no attribute `classes` (names "
            "in logit order); set it there, or set class_order in the config."
        )
    return class_names(list(own))


def _expected(spec: PythonClassifier) -> str:
    return f"{spec.factory} must be an importable function that returns a torch module"
