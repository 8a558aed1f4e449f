"""The discriminative networks: timm's architectures at face size, and networks of FER papers.

resnet18    He et al. 2016 (arXiv 1512.03385); timm's implementation, unchanged.
vit_small   Dosovitskiy et al. 2021 (arXiv 2010.11929), 6 layers of width 192, with the
            convolutional stem of Xiao et al. 2021 (arXiv 2106.14881) in place of patch embedding:
            with plain patches a ViT stays at chance on a few thousand pictures.
ma_net, dcs, poster++   of FER papers, at their own size; see `baselines.fer`.
Any other timm name is built with `timm.create_model`.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from baselines.fer import ARCHITECTURES, PublishedNetwork
from baselines.fer.base import fitting
from baselines.fer.dan import DAN
from baselines.fer.eac import EAC
from baselines.fer.scn import SCN
from baselines.packaged import PACKAGES, PackagedNetwork

INPUT_SIZE = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

#: Networks of FER papers that are trained as a whole, not as a head on a ResNet.
WHOLE = ("ma_net", "dcs", "poster++")

#: Heads of FER papers that a ResNet can have in the place of its linear layer.
HEADS: Mapping[str, Any] = {"scn": SCN, "dan": DAN, "eac": EAC}


class ConvStem(nn.Sequential):
    """Three stride-2 convolutions: (B, 3, S, S) -> (B, 96, S/8, S/8)."""

    num_features = 96

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, self.num_features)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        super().__init__(*layers)


def vit_small(num_classes: int) -> VisionTransformer:
    """A ViT for 64 px faces: 8x8 tokens, mean pooling, 2.8 M parameters."""
    network = VisionTransformer(
        img_size=INPUT_SIZE,
        patch_size=1,
        embed_layer=partial(HybridEmbed, backbone=ConvStem(), feature_size=(8, 8)),
        embed_dim=192,
        depth=6,
        num_heads=3,
        num_classes=num_classes,
        class_token=False,
        global_pool="avg",
    )
    for block in network.blocks:
        block.attn.fused_attn = False  # the fused kernel's backward pass is slower on CPU
    return network


def require_architecture(name: str, head: str | None = None, size: int = INPUT_SIZE) -> None:
    """Refuse what cannot be trained at a size. No network is made, and nothing fetched.

    Args:
        name: See `FaceClassifier`.
        head: See `FaceClassifier`.
        size: See `FaceClassifier`.

    Raises:
        ValueError: If it is no architecture of timm's (names that point elsewhere, such as
            "hf-hub:...", are none), or one whose input size is fixed and another.
    """
    if head is not None and head not in HEADS:
        raise ValueError(f"there is no head called {head!r}, but {', '.join(HEADS)}")
    if head is not None and (
        name in ("vit_small", *WHOLE)
        or (timm.is_model(name) and not timm.models.is_model_in_modules(name, ["resnet"]))
    ):
        raise ValueError(f"{head} needs the maps of a ResNet, such as resnet18, not {name}.")
    fixed = _only_size(name)
    if fixed not in (None, size):
        raise ValueError(
            f"{name} takes pictures of {fixed} px alone, not of {size}. Set image_size: {fixed}, "
            "or choose an architecture of any size, such as resnet18 or convnext_tiny."
        )


def _only_size(name: str) -> int | None:
    """The side of the pictures that an architecture takes; None if it takes any."""
    if name == "vit_small":
        return INPUT_SIZE
    if name in WHOLE:
        return ARCHITECTURES[name].size
    if name in HEADS:
        raise ValueError(f"{name} is a head on a ResNet: architecture: resnet18, objective: {name}")
    if not timm.is_model(name):
        known = ["vit_small", *WHOLE, *timm.list_models()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        hint = f"Did you mean {' or '.join(near)}?" if near else "timm.list_models() lists them."
        raise ValueError(f"timm has no architecture called {name!r}. {hint}")
    try:
        published = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # an unknown tag of weights
        raise ValueError(str(error)) from error
    fixed = published is not None and published.fixed_input_size
    return int(published.input_size[-1]) if fixed else None


class FaceClassifier(nn.Module):
    """A network behind the bench's contract: images in [0, 1] of any size in, logits out.

    Args:
        architecture: "resnet18", "vit_small", a name in `WHOLE`, or any timm model name.
        classes: Class names in logit order.
        head: "scn", "dan" or "eac" of `baselines.fer` on a ResNet; None for a linear layer.
        size: Height and width that pictures are brought to.
        normalisation: Mean and standard deviation of the three channels, of pictures in [0, 1];
            networks of FER papers have their own.

    Raises:
        ValueError: See `require_architecture`.
    """

    network: Any
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        architecture: str,
        classes: tuple[str, ...],
        head: str | None = None,
        *,
        size: int = INPUT_SIZE,
        normalisation: tuple[Sequence[float], Sequence[float]] = (MEAN, STD),
    ) -> None:
        super().__init__()
        require_architecture(architecture, head, size)
        self.architecture, self.classes, self.head = architecture, classes, head
        self.size, self.normalisation = size, normalisation
        if head is not None:
            trunk = timm.create_model(architecture, num_classes=0, global_pool="")
            self.network = HEADS[head](len(classes), trunk)
        elif architecture == "vit_small":
            self.network = vit_small(len(classes))
        elif architecture in WHOLE:
            self.network = ARCHITECTURES[architecture](len(classes))
            self.normalisation = self.network.mean, self.network.std
        else:
            self.network = timm.create_model(architecture, num_classes=len(classes))
        for name, values in zip(("mean", "std"), self.normalisation, strict=True):
            own = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, own, persistent=False)

    def prepared(self, images: Tensor) -> Tensor:
        """What the network is given, of float32 RGB images (B, 3, H, W) in [0, 1]."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W) in [0, 1]."""
        return self.of_prepared(self.prepared(images))

    def of_prepared(self, images: Tensor) -> Tensor:
        """The same, of images as the network is given them."""
        logits: Tensor = self.network(images)
        return logits.to(torch.float32)


# ------------------------------------------------------------------------------------------------
# Weights to start from. What tells other classes apart stays as it was drawn.


def start_from(classifier: FaceClassifier, tensors: Mapping[str, Any], part: str = "") -> None:
    """Give a network, or a part of it, weights that were trained elsewhere.

    Args:
        classifier: Takes them. Of a head on a ResNet, the ResNet does.
        tensors: By the names of the architecture, as timm or a released file has them.
        part: Name of a module of the network, such as "ir_back" of dcs; all of it if empty.

    Raises:
        ValueError: If there is no such part, or, the last layer apart, one of its weights is
            missing, of another shape, or strange; or if it is the last layer.
    """
    whole = classifier.network if classifier.head is None else classifier.network.trunk
    try:
        network = whole.get_submodule(part)
    except AttributeError as error:
        known = ", ".join(name for name, _ in whole.named_children())
        raise ValueError(f"{classifier.architecture} has no part {part!r}, but {known}") from error
    dead: tuple[str, ...] = ()
    rename: Callable[[str], str] = str
    if isinstance(whole, PublishedNetwork):
        dead, rename = whole.dead, whole.own_name
        layers = ((name, m) for name, m in whole.named_modules() if isinstance(m, nn.Linear))
        last = [name for name, layer in layers if layer.out_features == len(classifier.classes)]
    else:  # a network of timm's has one name or several; vit_small, which is made here, none
        told = getattr(whole, "pretrained_cfg", {}).get("classifier", "head")
        last = [told] if isinstance(told, str) else list(told)
    ignored = (*dead, *(f"{name}.*" for name in last))
    before = f"{part}." if part else ""
    own = network.state_dict()

    def is_ignored(name: str) -> bool:
        return any(fnmatchcase(before + name, pattern) for pattern in ignored)

    def renamed(key: str) -> str:
        return rename(before + key).removeprefix(before)

    used = {
        key: value
        for key, value in tensors.items()
        if not is_ignored(key) and not is_ignored(renamed(key))
    }
    if not used and all(map(is_ignored, own)):
        raise ValueError(f"{part} is the last layer, which is new")
    network.load_state_dict(fitting(own, used, is_ignored, rename=renamed), strict=False)


def published_normalisation(architecture: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation that timm's weights of an architecture were trained with."""
    published = timm.get_pretrained_cfg(architecture) if timm.is_model(architecture) else None
    return (MEAN, STD) if published is None else (published.mean, published.std)


# ------------------------------------------------------------------------------------------------
# Their checkpoints: weights as safetensors beside a JSON card with architecture and classes.


class BaselineCheckpointError(ValueError):
    """A checkpoint folder that is incomplete, damaged or of another kind."""


def save(classifier: FaceClassifier | PackagedNetwork, folder: Path) -> None:
    """Write `classifier` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), folder / "model.safetensors")
    card: dict[str, Any] = {"architecture": classifier.architecture, "classes": classifier.classes}
    if isinstance(classifier, FaceClassifier):
        mean, std = classifier.normalisation
        usual = {"head": None, "size": INPUT_SIZE, "mean": list(MEAN), "std": list(STD)}
        own = {"head": classifier.head, "size": classifier.size, "mean": [*mean], "std": [*std]}
        card |= {name: value for name, value in own.items() if value != usual[name]}
    (folder / "classifier.json").write_text(json.dumps(card, indent=2) + "\n")


def load(folder: Path) -> FaceClassifier | PackagedNetwork:
    """Read a folder written by `save`.

    Raises:
        BaselineCheckpointError: If a file is missing, damaged or does not fit the other.
    """
    try:
        card = json.loads((folder / "classifier.json").read_text())
        classifier: FaceClassifier | PackagedNetwork
        if card["architecture"] in PACKAGES:
            classifier = PACKAGES[card["architecture"]].network()
        else:
            classifier = FaceClassifier(
                card["architecture"],
                tuple(card["classes"]),
                card.get("head"),
                size=card.get("size", INPUT_SIZE),
                normalisation=(card.get("mean", MEAN), card.get("std", STD)),
            )
        classifier.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BaselineCheckpointError(
            f"{folder} is not a readable baseline checkpoint: {error}"
        ) from error
    return classifier.eval()
