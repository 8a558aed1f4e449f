"""A probe: multinomial logistic regression on the features of a network that stays as it is.

With features f (standardised on the training pictures), logits W f + b, and a penalty on W alone,

    L(W, b) = mean of -log softmax(W f + b)[label] + penalty / 2 * |W|^2

is convex, so L-BFGS finds its one minimum wherever it begins. The penalty is the candidate whose
mean NLL on validation pictures is least.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from torch import Tensor, nn

from bench.util.errors import UserError

#: Penalties that validation pictures choose from.
PENALTIES = tuple(10.0**power for power in range(-6, 2))


class LinearProbe(nn.Module):
    """Images in [0, 1] of any size -> logits.

    Args:
        backbone: Images -> features (B, D), behind the inputs that it wants.
        weight: float32 (K, D), of features as they are.
        bias: float32 (K,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, backbone: nn.Module, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W)."""
        return nn.functional.linear(self.backbone(images), self.weight, self.bias)


class Features:
    """Computes features of pictures, a batch a step; a trainer for `bench.training.loop`.

    Args:
        backbone: Images as the network wants them -> features (B, D).
        total: How many pictures there are.
        batch: How many a step has.
    """

    def __init__(self, backbone: Callable[[Tensor], Tensor], total: int, batch: int) -> None:
        self.backbone, self.total, self.batch = backbone, total, batch
        self.position = 0
        self.found: list[Tensor] = []

    @property
    def finished(self) -> bool:
        """Whether all are computed."""
        return self.position * self.batch >= self.total

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """The features of some pictures."""
        self.found.append(self.backbone(images).float().cpu())
        self.position += 1
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What was computed."""
        return {"position": self.position, "found": self.found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue."""
        self.position, self.found = state["position"], list(state["found"])


def fit(features: np.ndarray, labels: np.ndarray, penalty: float, count: int) -> np.ndarray:
    """The weights of least loss, float64 (K, D + 1); the last column is the bias.

    Args:
        features: float (N, D).
        labels: int (N,), in [0, K).
        penalty: On the squared weights, at least 0.
        count: K.
    """
    given = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    right = np.eye(count)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(count, -1)
        logits = given @ weights.T
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = (np.exp(log_p) - right).T @ given / len(given)
        slope[:, :-1] += penalty * weights[:, :-1]
        value = -log_p[right > 0].mean() + penalty / 2 * np.square(weights[:, :-1]).sum()
        return float(value), slope.ravel()

    start = np.zeros(count * given.shape[1])
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights: np.ndarray = found.x.reshape(count, -1)
    return weights


def chosen(
    train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Weight (K, D) and bias (K,) for features as they are, and what validation said of them.

    Args:
        train: Features (N, D) and labels (N,).
        val: The same of validation pictures.
        count: K.
    """
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0)
    spread = np.where(spread > 1e-6 * max(spread.max(), 1e-30), spread, np.inf)  # a constant: 0
    best: tuple[float, np.ndarray, dict[str, float]] | None = None
    for penalty in PENALTIES:
        weights = fit((train[0] - mean) / spread, train[1], penalty, count)
        logits = (val[0] - mean) / spread @ weights[:, :-1].T + weights[:, -1]
        top = logits.max(axis=1)
        norm = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        nll = float((norm - logits[np.arange(len(logits)), val[1]]).mean())
        if best is None or nll < best[0]:
            accuracy = float((logits.argmax(axis=1) == val[1]).mean())
            best = nll, weights, {"accuracy": accuracy, "nll": nll, "penalty": penalty}
    assert best is not None
    _, weights, said = best
    weight = weights[:, :-1] / spread
    return weight, weights[:, -1] - weight @ mean, said


def save(folder: Path, weight: np.ndarray, bias: np.ndarray, classes: Sequence[str]) -> None:
    """Write what was fitted; the backbone is not copied."""
    tensors = {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    save_file(tensors, folder / "probe.safetensors")
    (folder / "probe.json").write_text(json.dumps({"classes": list(classes)}, indent=1))


def load(folder: Path, backbone: nn.Module) -> tuple[LinearProbe, tuple[str, ...]]:
    """The probe in a folder, and its classes in logit order.

    Raises:
        UserError: If it is damaged.
    """
    try:
        tensors = load_file(folder / "probe.safetensors")
        classes = tuple(json.loads((folder / "probe.json").read_text())["classes"])
        return LinearProbe(backbone, tensors["weight"], tensors["bias"]), classes
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} is not a readable probe ({error}).", 1) from error
