"""Networks of others as torch modules: behind the inputs that they want, and in ONNX files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.classifiers.base import as_images
from bench.perturb.user_code import probes
from bench.util.errors import UserError


@dataclass(frozen=True)
class Inputs:
    """What is done to a picture before a network sees it.

    Attributes:
        size: Height and width that it is resized to; (S,) resizes its shorter side to S.
        crop: Height and width of the centre that is kept; None keeps all.
        interpolation: "nearest", "bilinear" or "bicubic"; the latter two with antialiasing.
        mean: Of the channels, subtracted.
        std: Of the channels, divided by.
        scale: Values of pixels in [0, 1] are multiplied by it first.
    """

    size: tuple[int, ...] | None
    crop: tuple[int, int] | None
    interpolation: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0

    def __call__(self, images: Tensor) -> Tensor:
        """Prepared float32 images, of images (B, 3, H, W) in [0, 1]."""
        if self.size is not None:
            height, width = images.shape[-2:]
            ratio = self.size[0] / min(height, width)
            sizes = [int(height * ratio), int(width * ratio)] if len(self.size) == 1 else self.size
            if tuple(sizes) != (height, width):
                smooth = self.interpolation != "nearest"
                images = F.interpolate(
                    images, tuple(sizes), mode=self.interpolation, antialias=smooth
                ).clamp(0, 1)
        if self.crop is not None:
            images = _centre(images, *self.crop)
        mean, std = (torch.tensor(v).to(images).view(-1, 1, 1) for v in (self.mean, self.std))
        return (images * self.scale - mean) / std


class PreparedNetwork(nn.Module):
    """A network behind its inputs: images in [0, 1] of any size in, logits out.

    Args:
        network: The network.
        inputs: What it wants.
        logits: Its logits in what it returns.
    """

    def __init__(
        self, network: nn.Module, inputs: Inputs, logits: Callable[..., Tensor] = lambda x: x
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.logits = network, inputs, logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W) in [0, 1]."""
        return self.of_prepared(self.inputs(images))

    def of_prepared(self, images: Tensor) -> Tensor:
        """The same, of images as the network wants them."""
        return self.logits(self.network(images)).float()

    def digest(self, *about: object) -> str:
        """Of what it is, as names and numbers, of its inputs and of its weights."""
        total = hashlib.sha256(json.dumps([*about, repr(self.inputs)]).encode())
        for key, tensor in sorted(self.network.state_dict().items()):
            total.update(key.encode() + tensor.detach().cpu().double().numpy().tobytes())
        return total.hexdigest()[:16]


class Sees(nn.Module):
    """The part of a network of pictures and texts that sees: prepared images -> features (B, D)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Features in the space that texts share."""
        return pooled(self.network.get_image_features(pixel_values=images))


def pooled(output: Any) -> Tensor:
    """Features (B, D) of what transformers returns: pooled, or else those of the first token."""
    found = output if isinstance(output, Tensor) else getattr(output, "pooler_output", None)
    if found is None:
        found = output.last_hidden_state[:, 0]
    features: Tensor = found.flatten(1)
    return features


def _centre(images: Tensor, height: int, width: int) -> Tensor:
    """The centre; pictures that are smaller get a black frame."""
    missing = max(0, height - images.shape[-2]), max(0, width - images.shape[-1])
    if any(missing):
        top, left = missing[0] // 2, missing[1] // 2
        images = F.pad(images, (left, missing[1] - left, top, missing[0] - top))
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


# ------------------------------------------------------------------------------------------------
# onnxruntime's sessions as torch modules without gradients.


class OnnxNetwork(nn.Module):
    """Images in [0, 1] of any size in, logits out; one thread, so that bits are the same anywhere.

    The file says whether it wants channels first or last, one or three of them (one: luma), at
    which height and width, and how many pictures at once. Outputs that are probabilities become
    their logarithms.

    Args:
        name: The classifier's name, in errors.
        file: The file.
        count: Number of classes.
        scale: See `Inputs`, like the next two.
        mean: Of the channels.
        std: Of the channels.
        channels: "rgb" or "bgr".

    Raises:
        UserError: If the file is not a network from pictures to `count` numbers.
    """

    def __init__(
        self,
        name: str,
        file: Path,
        count: int,
        scale: float = 1.0,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        std: tuple[float, ...] = (1.0, 1.0, 1.0),
        channels: str = "rgb",
    ) -> None:
        super().__init__()
        self._about, self._count, self._channels = f"classifier {name!r}: {file}", count, channels
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class for each of its many reasons
            first = str(error).strip().splitlines()[0]
            raise UserError(f"{self._about} cannot be opened: {first}", 1) from error
        given = self._session.get_inputs()
        shape = given[0].shape
        places = [i for i in (1, 3) if len(shape) == 4 and shape[i] in (1, 3)]
        if len(given) != 1 or not places:
            shapes = ", ".join(f"{one.name} {one.shape}" for one in given)
            raise UserError(
                f"{self._about} must take one batch of pictures, (N, 3, H, W) or (N, H, W, 3), and "
                f"takes {shapes}."
            )
        self._last = places[0] == 3
        self._gray = shape[places[0]] == 1
        self._alone = shape[0] == 1
        sides = shape[1:3] if self._last else shape[2:4]
        size = tuple(sides) if all(isinstance(side, int) for side in sides) else None
        self._inputs = Inputs(size, None, "bilinear", mean, std, scale)
        self._type = {"tensor(float16)": np.float16}.get(given[0].type, np.float32)
        # Attacks and devices are found through a network's parameters.
        self.register_parameter("_device", nn.Parameter(torch.zeros(0), requires_grad=False))
        self._probabilities = False
        small = torch.stack([as_images([own])[0] for own in probes()[0]])
        outputs = self(small)
        sums = outputs.sum(dim=1)
        self._probabilities = bool((outputs >= 0).all() and (sums - 1).abs().max() < 1e-3)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W) in [0, 1]."""
        pictures = self._inputs(images).cpu()
        if self._gray:
            weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
            pictures = (pictures * weights).sum(dim=1, keepdim=True)
        elif self._channels == "bgr":
            pictures = pictures.flip(1)
        if self._last:
            pictures = pictures.permute(0, 2, 3, 1)
        values = np.ascontiguousarray(pictures.numpy().astype(self._type))
        parts = np.split(values, len(values)) if self._alone else [values]
        feed = self._session.get_inputs()[0].name
        try:
            found = np.concatenate([self._session.run(None, {feed: part})[0] for part in parts])
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            raise UserError(f"{self._about} fails: {first}", 1) from error
        if found.shape != (len(images), self._count):
            raise UserError(
                f"{self._about} returns {found.shape} for {len(images)} pictures, and `classes` "
                f"names {self._count}."
            )
        outputs = torch.from_numpy(found.astype(np.float32))
        return (outputs.clamp_min(1e-30).log() if self._probabilities else outputs).to(
            images.device
        )
