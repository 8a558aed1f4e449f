"""The discriminative networks: timm architectures, trained from scratch at face size.

resnet18    He et al. 2016 (arXiv 1512.03385); timm's implementation, unchanged.
vit_small   Dosovitskiy et al. 2021 (arXiv 2010.11929), 6 layers of width 192, with the
            convolutional stem of Xiao et al. 2021 (arXiv 2106.14881) in place of patch embedding:
            with plain patches a ViT stays at chance on a few thousand pictures.
Any other timm name is built with `timm.create_model`.
"""

import difflib
import json
from collections.abc import Mapping
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

from baselines.fer.dan import DAN
from baselines.fer.eac import EAC
from baselines.fer.scn import SCN
from baselines.packaged import PACKAGES, PackagedNetwork

INPUT_SIZE = 64

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


def require_architecture(name: str, head: str | None = None) -> None:
    """Refuse what cannot be trained at face size. No network is made, and nothing fetched.

    Args:
        name: See `FaceClassifier`.
        head: See `FaceClassifier`.

    Raises:
        ValueError: If it is no architecture of timm's (names that point elsewhere, such as
            "hf-hub:...", are none), or one whose input size is fixed.
    """
    if head is not None and head not in HEADS:
        raise ValueError(f"there is no head called {head!r}, but {', '.join(HEADS)}")
    if head is not None and (
        name == "vit_small"
        or (timm.is_model(name) and not timm.models.is_model_in_modules(name, ["resnet"]))
    ):
        raise ValueError(f"{head} needs the maps of a ResNet, such as resnet18, not {name}.")
    if name == "vit_small":
        return
    if not timm.is_model(name):
        known = ["vit_small", *timm.list_models()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        hint = f"Did you mean {' or '.join(near)}?" if near else "timm.list_models() lists them."
        raise ValueError(f"timm has no architecture called {name!r}. {hint}")
    published = timm.get_pretrained_cfg(name.partition(".")[0])  # less the tag of weights
    if published is not None and published.fixed_input_size:
        raise ValueError(
            f"{name} takes pictures of {published.input_size[-1]} px alone, and baselines are "
            f"trained at {INPUT_SIZE} px. Choose an architecture of any size, such as resnet18, "
            "convnext_tiny or vit_small."
        )


class FaceClassifier(nn.Module):
    """A network behind the bench's contract: images in [0, 1] of any size in, logits out.

    Args:
        architecture: "resnet18", "vit_small" or any timm model name.
        classes: Class names in logit order.
        head: "scn", "dan" or "eac" of `baselines.fer` on a ResNet; None for a linear layer.

    Raises:
        ValueError: See `require_architecture`.
    """

    network: Any

    def __init__(
        self, architecture: str, classes: tuple[str, ...], head: str | None = None
    ) -> None:
        super().__init__()
        require_architecture(architecture, head)
        self.architecture, self.classes, self.head = architecture, classes, head
        if head is not None:
            trunk = timm.create_model(architecture, num_classes=0, global_pool="")
            self.network = HEADS[head](len(classes), trunk)
        elif architecture == "vit_small":
            self.network = vit_small(len(classes))
        else:
            self.network = timm.create_model(architecture, num_classes=len(classes))

    def prepared(self, images: Tensor) -> Tensor:
        """What the network is given, of float32 RGB images (B, 3, H, W) in [0, 1]."""
        if images.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
            images = F.interpolate(
                images, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", antialias=True
            )
        return (images - 0.5) / 0.25

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W) in [0, 1]."""
        return self.of_prepared(self.prepared(images))

    def of_prepared(self, images: Tensor) -> Tensor:
        """The same, of images as the network is given them."""
        logits: Tensor = self.network(images)
        return logits.to(torch.float32)


# ------------------------------------------------------------------------------------------------
# Their checkpoints: weights as safetensors beside a JSON card with architecture and classes.


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
        BaselineCheckpointError: If a file is missing, damaged or does not fit the other.
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
